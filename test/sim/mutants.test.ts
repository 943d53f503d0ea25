import { describe, expect, it } from 'vitest'
import { catchMutant, planOf } from './catch-mutant.ts'
import { mutants } from './mutants.ts'
import { runSeed } from './run-seed.ts'

const seedLimit = Number(process.env.MUTANT_SEEDS ?? 10_000)

describe('the simulator catches', () => {
  it.each(mutants.map((mutant) => ({ name: mutant.name, mutant })))(
    '$name',
    { timeout: 300_000 },
    async ({ mutant }) => {
      const caught = await catchMutant(mutant, seedLimit)
      expect(caught).not.toBeNull()
      // The same seed with the real core holds: it is the bug that was caught.
      await runSeed(caught?.failure.seed ?? 0, planOf(mutant))
    }
  )
})
