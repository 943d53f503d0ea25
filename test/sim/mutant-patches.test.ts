import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { mutants } from './mutants.ts'

describe('the patches of the mutants', () => {
  it.each(mutants.map((mutant) => ({ name: mutant.name, mutant })))('fit the source: $name', ({ mutant }) => {
    const misfits = mutant.changes.filter(({ file, find }) => occurrences(file, find) !== 1)
    expect(misfits).toEqual([])
  })
})

function occurrences (file: string, text: string): number {
  return readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), 'utf8').split(text).length - 1
}
