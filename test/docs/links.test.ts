import { existsSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, linksIn } from './support/markdown.ts'
import { documents, read, root } from './support/snippets.ts'

interface Link {
  readonly document: string
  /** As written. */
  readonly written: string
  /** Path from the root of the repository. */
  readonly path: string
  /** Without the `#`; null: the link names the whole file. */
  readonly anchor: string | null
}

const links = documents.flatMap((document) => linksIn(read(document)).flatMap((written) => linkIn(document, written)))

describe('links in the documents', () => {
  it('are found, and headings too', () => {
    expect(links.length).toBeGreaterThanOrEqual(20)
    const withLinks = '[a](b.md) `[c](d.md)` ![e](f.svg "g")\n```\n[h](i.md)\n```\n<img src="j.svg">'
    expect(linksIn(withLinks)).toEqual(['b.md', 'f.svg', 'j.svg'])
    const withHeadings = '# A `b`, c-d\n```\n# no\n```\n## [Of](x.md) e_f!\n## Of e_f'
    expect(anchorsOf(withHeadings)).toEqual(new Set(['a-b-c-d', 'of-e_f', 'of-e_f-1']))
  })

  it.each(documents)('%s links only to files that exist', (document) => {
    const broken = links.filter((link) => link.document === document && !isThere(link))
    expect(broken.map(show)).toEqual([])
  })

  it.each(documents)('%s links only to headings that exist', (document) => {
    const anchored = links.filter((link) => link.document === document && link.anchor !== null)
    const broken = anchored.filter((link) => !isThere(link) || !anchorsOf(read(link.path)).has(link.anchor ?? ''))
    expect(broken.map(show)).toEqual([])
  })

  it.each(documents)('%s names no path in code that does not exist', (document) => {
    const named = read(document).matchAll(/`((?:src|examples|test|bench|tools|docs)\/[\w./-]+)`/g)
    expect([...named].map(([, path = '']) => path).filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('lead to every page of docs', () => {
    const targets = new Set(links.filter(({ document, path }) => document !== path).map(({ path }) => path))
    expect(documents.filter((document) => document.startsWith('docs/') && !targets.has(document))).toEqual([])
  })

  it.each([
    ['README.md', ['docs/architecture.md', 'docs/glossary.md', 'docs/traps.md', 'CONTRIBUTING.md']],
    ['CONTRIBUTING.md', ['docs/architecture.md', 'docs/glossary.md', 'docs/traps.md', 'docs/decisions/README.md']]
  ] as const)('lead from %s to where readers go next', (from, pages) => {
    const targets = links.filter(({ document }) => document === from).map(({ path }) => path)
    expect(pages.filter((page) => !targets.includes(page))).toEqual([])
  })
})

/** The link, or nothing when it leads out of the repository. A folder stands for its README.md, if it has one. */
function linkIn (document: string, written: string): Link[] {
  if (/^[a-z]+:/i.test(written)) return []
  const [target = '', anchor = null] = written.split('#')
  const path = target === '' ? document : relative(root, join(root, dirname(document), target)).replaceAll('\\', '/')
  const index = `${path}/README.md`
  const isFolder = existsSync(join(root, path)) && statSync(join(root, path)).isDirectory()
  return [{ document, written, path: isFolder && existsSync(join(root, index)) ? index : path, anchor }]
}

function isThere ({ path }: Link): boolean {
  return existsSync(join(root, path))
}

function show ({ document, written }: Link): string {
  return `${document}: ${written}`
}
