import { describe, expect, it } from 'vitest'
import { headingsOf } from './support/markdown.ts'
import { read } from './support/snippets.ts'

const [title, ...entries] = headingsOf(read('docs/glossary.md'))
const terms = entries.map(({ text }) => text)
const lower = terms.map((term) => term.toLowerCase())

/** Words that an entry rules out, from its line "Not: a, b". */
const avoided = entries.flatMap(({ text, body }) => {
  const [, list = ''] = /\bNot: ([^.]+)\.$/m.exec(body) ?? []
  return list.split(',').map((word) => word.trim()).filter((word) => word !== '').map((word) => ({ term: text, word }))
})

describe('docs/glossary.md', () => {
  it('is one list of terms under one title', () => {
    expect(title).toMatchObject({ level: 1, text: 'Glossary' })
    expect(entries.filter(({ level }) => level !== 2)).toEqual([])
    expect(entries.length).toBeGreaterThan(50)
  })

  it('is in alphabetical order', () => {
    expect(lower).toEqual([...lower].sort((left, right) => left < right ? -1 : 1))
  })

  it('explains no term twice', () => {
    expect(lower.filter((term, index) => lower.indexOf(term) !== index)).toEqual([])
  })

  it.each(entries)('explains $text in a few sentences', ({ text, body }) => {
    expect(text).toMatch(/^(URL|[A-Z][a-z]+(?:[ -][a-z]+)*)$/)
    expect(body.length).toBeGreaterThan(20)
    expect(body.length).toBeLessThan(320)
    expect(body).toMatch(/^[A-Z]/)
    expect(body).toMatch(/\.$/)
  })

  it('names sources in one way', () => {
    const form = /^Source: (paper|dissertation|RFC \d+ section) (figure )?\d+(\.\d+)*[,.]/
    const sources = entries.flatMap(({ body }) => body.split('\n').filter((line) => line.includes('Source')))
    expect(sources.length).toBeGreaterThan(20)
    expect(sources.filter((line) => !form.test(line))).toEqual([])
  })

  it('rules out words other than the term itself', () => {
    expect(avoided.length).toBeGreaterThan(10)
    expect(avoided.filter(({ term, word }) => word.toLowerCase() === term.toLowerCase())).toEqual([])
  })
})
