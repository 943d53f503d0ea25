import { describe, expect, it } from 'vitest'
import { catchMutant, planOf } from './catch-mutant.ts'
import { mutants } from './mutants.ts'
import { runSeed } from './run-seed.ts'

const seedLimit = Number(process.env.MUTANT_SEEDS ?? 10_000)

/** How long mutants are begun with; the rest is listed as skipped. For machines that have to end in time. */
const withinMs = Number(process.env.MUTANTS_WITHIN_S ?? Infinity) * 1_000

/** Which of how many shares is run: they only compute, so each core can have its own process. */
const [share = 1, shares = 1] = (process.env.MUTANT_SHARE ?? '1/1').split('/').map(Number)

describe('the simulator catches', () => {
  const chosen = mutants.filter((_, index) => index % shares === share - 1)
  it.for(chosen.map((mutant) => ({ name: mutant.name, mutant })))(
    '$name',
    { timeout: 300_000 },
    async ({ mutant }, { skip }) => {
      skip(performance.now() > withinMs, 'the time for mutants is over')
      const caught = await catchMutant(mutant, seedLimit)
      expect(caught).not.toBeNull()
      // The same seed with the real core holds: it is the bug that was caught.
      await runSeed(caught?.failure.seed ?? 0, planOf(mutant))
    }
  )
})
