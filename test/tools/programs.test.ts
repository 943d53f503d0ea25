import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const directory = fileURLToPath(new URL('../cluster/tools/', import.meta.url))

it('programs that run from build/ say themselves where the programs are that they start', () => {
  const files = readdirSync(directory).filter((name) => name.endsWith('.ts'))
  expect(files).toContain('large-bodies.ts')
  // What stands there is found from test/ only.
  const wrong = files.filter((name) =>
    /support\/start-cluster\.ts|NotesCluster\.start\(\)/.test(readFileSync(directory + name, 'utf8')))
  expect(wrong).toEqual([])
})
