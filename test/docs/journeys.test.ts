import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')
const journeys = ['A PUT of a map value', 'A forwarded request', 'A vote'].map((title) => ({ title, hops: hopsOf(title) }))

describe('the journeys of docs/architecture.md', () => {
  it.each(journeys)('$title: every hop names its file, and the file exists', ({ hops }) => {
    expect(hops.length).toBeGreaterThanOrEqual(6)
    expect(hops.filter((hop) => filesIn(hop).length === 0)).toEqual(hops.filter((hop) => isPlain(hop)))
    expect(hops.flatMap(filesIn).filter((file) => !existsSync(join(root, file)))).toEqual([])
  })
})

/** The numbered steps under a heading of the third level. */
function hopsOf (title: string): string[] {
  const [, section = ''] = page.split(`\n### ${title}\n`)
  const [text = ''] = section.split(/\n#{2,3} /)
  return text.split(/\n(?=\d+\. )/).slice(1).map((hop) => hop.split('\n\n')[0] ?? '')
}

function filesIn (hop: string): string[] {
  return [...hop.matchAll(/`(src\/[^`]+)`/g)].map(([, file = '']) => file)
}

/** A step that happens where an earlier one said, or that Fastify takes. */
function isPlain (hop: string): boolean {
  return /of step \d|steps \d/.test(hop) && filesIn(hop).length === 0
}
