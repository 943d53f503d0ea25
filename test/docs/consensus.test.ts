import { describe, expect, it } from 'vitest'
import { headingsOf } from './support/markdown.ts'
import { read } from './support/snippets.ts'
import { titlesIn } from './support/titles.ts'

/** As many as there have been. Promises are added, and not dropped without a word here. */
const promiseCount = 63

interface NamedTest {
  readonly promise: string
  readonly path: string
  readonly title: string
}

const promises = headingsOf(read('docs/consensus.md')).filter(({ level }) => level === 3)
const named = promises.flatMap(({ text, body }) => testsIn(text, body))

describe('docs/consensus.md', () => {
  it('names a test for every promise', () => {
    expect(promises.length).toBeGreaterThanOrEqual(promiseCount)
    expect(new Set(promises.map(({ text }) => text)).size).toBe(promises.length)
    const held = new Set(named.map(({ promise }) => promise))
    expect(promises.filter(({ text }) => !held.has(text))).toEqual([])
  })

  it('names only tests that exist', () => {
    expect(named.length).toBeGreaterThanOrEqual(2 * promiseCount - 1)
    expect(named.filter(({ path, title }) => !titlesIn(path).it.has(title))).toEqual([])
  })

  it.each(promises)('says in words what "$text" means, before it lists tests', ({ body }) => {
    expect(body).toMatch(/^[A-Z][^]*?\.\n\n(Rule: \S[^]*?\.\n\n)?- `test\//)
    const list = body.slice(body.indexOf('- `test/')).split('\n')
    expect(list.filter((line) => !/^(- `test\/\S+\.test\.ts`| {2}- ".+")$/.test(line))).toEqual([])
  })
})

/** The tests of one promise: a list of files, each with a list of titles in quotes. */
function testsIn (promise: string, body: string): NamedTest[] {
  let path = ''
  return body.split('\n').flatMap((line) => {
    path = /^- `(test\/.+)`$/.exec(line)?.[1] ?? path
    const title = /^ {2}- "(.+)"$/.exec(line)?.[1]
    return title === undefined ? [] : [{ promise, path, title }]
  })
}
