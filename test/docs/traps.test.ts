import { describe, expect, it } from 'vitest'
import { mutants } from '../sim/mutants.ts'
import { headingsOf } from './support/markdown.ts'
import { read } from './support/snippets.ts'
import { testFiles, titlesIn } from './support/titles.ts'

const mutantsFile = 'test/sim/mutants.ts'
/** Stands in an entry instead of files when no test has its code. */
const unheld = 'Not held by a test of its own'

const entries = headingsOf(read('docs/traps.md')).filter(({ level }) => level === 3)
const explained = entries.map(({ text }) => text)

/** The files that use each code in a title, or in the name of a mutant. */
const users = new Map<string, Set<string>>()
for (const path of testFiles) {
  const { it: tests, describe: groups } = titlesIn(path)
  for (const title of [...tests, ...groups]) for (const code of codesIn(title)) use(code, path)
}
for (const { name } of mutants) for (const code of codesIn(name)) use(code, mutantsFile)

describe('docs/traps.md', () => {
  it('explains every code that a title or a mutant carries', () => {
    expect(users.size).toBeGreaterThan(70)
    expect([...users.keys()].filter((code) => !explained.includes(code)).sort()).toEqual([])
  })

  it('has each code once, in order', () => {
    const place = (code: string): number => code.charCodeAt(0) * 100 + Number(code.slice(1))
    expect(explained.filter((code) => !/^[A-D]\d{1,2}$/.test(code))).toEqual([])
    expect(explained).toEqual([...new Set(explained)].sort((left, right) => place(left) - place(right)))
  })

  it.each(entries)('says of $text what goes wrong, what it costs, and who holds it', ({ text, body }) => {
    expect(body).toMatch(/^\*\*[^*]+\.\*\* \S[^]*\.\n- Cost: [^]+\.\n- (Held by: `|Not held by)/)
    const held = body.slice(body.lastIndexOf('\n- '))
    const named = [...held.matchAll(/`([^`]+)`/g)].map(([, path]) => path)
    expect(named).toEqual([...users.get(text) ?? []].sort())
    expect(held.includes(unheld)).toBe(named.length === 0)
  })
})

function codesIn (title: string): readonly string[] {
  return title.match(/\b[A-D]\d{1,2}\b/g) ?? []
}

function use (code: string, path: string): void {
  users.set(code, (users.get(code) ?? new Set()).add(path))
}
