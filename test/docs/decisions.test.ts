import { describe, expect, it } from 'vitest'
import { headingsOf } from './support/markdown.ts'
import { documents, read } from './support/snippets.ts'

const folder = 'docs/decisions/'
const files = documents.filter((path) => path.startsWith(folder) && path !== `${folder}README.md`)
const pages = files.map((path) => ({ file: path.slice(folder.length), headings: headingsOf(read(path)) }))

describe('docs/decisions', () => {
  it('numbers its pages without gaps', () => {
    expect(pages.length).toBeGreaterThanOrEqual(16)
    const numbers = pages.map(({ file }) => /^(\d{4})-[a-z0-9-]+\.md$/.exec(file)?.[1])
    expect(numbers).toEqual(pages.map((_page, index) => String(index + 1).padStart(4, '0')))
  })

  it.each(pages)('has $file in the form of all pages', ({ file, headings }) => {
    const [title, ...sections] = headings
    expect(title).toMatchObject({ level: 1, body: '' })
    expect(title?.text).toMatch(new RegExp(`^${Number(file.slice(0, 4))}\\. \\S`))
    const names = sections.filter(({ level }) => level <= 2).map(({ text }) => text)
    expect(names).toEqual(['Status', 'Context', 'Decision', 'Consequences'])
    expect(sections[0]?.body).toMatch(/^(Accepted\.|Superseded by \[decision \d+\]\()/)
    // A section may be all subsections.
    expect(sections.filter(({ body }, index) => body === '' && sections[index + 1]?.level !== 3)).toEqual([])
  })

  it('lists every page in its index, by its title and in order', () => {
    const index = read(`${folder}README.md`).split('\n').filter((line) => line.startsWith('- '))
    expect(index).toEqual(pages.map(({ file, headings: [title, status] }) =>
      `- [${title?.text ?? ''}](${file})${status?.body.startsWith('Superseded') === true ? ' (superseded)' : ''}`))
  })

  it('is cited by the numbers of its pages', () => {
    const cited = documents.flatMap((path) => [...read(path).matchAll(/\[decision (\d+)\]\([^)]*?(\d{4})-[^)]*\)/g)])
    expect(cited.length).toBeGreaterThan(10)
    expect(cited.filter(([, number, page]) => Number(number) !== Number(page)).map(([text]) => text)).toEqual([])
  })
})
