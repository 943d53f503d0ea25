import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Root of this repository. */
export const root = fileURLToPath(new URL('../../..', import.meta.url))

/** One fenced block of a document. */
export interface Snippet {
  /** Path of the document and line of the block, for messages. */
  readonly place: string
  /** What stands behind the fence; empty for drawings and formats. */
  readonly language: string
  readonly code: string
}

/** The documents at the top and everything under docs. */
export const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path.replaceAll('\\', '/')}`)
    .sort()
]

/** The text of a document. */
export function read (document: string): string {
  return readFileSync(join(root, document), 'utf8')
}

/** All fenced blocks of all documents. */
export const snippets: readonly Snippet[] = documents.flatMap((document) => {
  const found: Snippet[] = []
  let open: { readonly line: number, readonly language: string, readonly lines: string[] } | null = null
  read(document).split('\n').forEach((text, index) => {
    const fence = /^```(\w*)$/.exec(text)
    if (fence === null) open?.lines.push(text)
    else if (open === null) open = { line: index + 1, language: fence[1] ?? '', lines: [] }
    else {
      found.push({ place: `${document}:${open.line}`, language: open.language, code: open.lines.join('\n') })
      open = null
    }
  })
  return found
})
