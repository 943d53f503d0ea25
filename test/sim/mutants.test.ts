import { describe, expect, it } from 'vitest'
import { catchMutant, firstFailure, planOf } from './catch-mutant.ts'
import { crashes, mutants } from './mutants.ts'
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

  it('a driver that lets promises out before the disk has them (D1, D7)', { timeout: 300_000 }, async () => {
    expect(
      await firstFailure(
        { ...planOf({}), sabotage: { releasesEarly: (message) => message.kind === 'append-response' } },
        seedLimit
      )
    ).not.toBeNull()
    expect(
      await firstFailure(
        { ...planOf({ plan: crashes }), sabotage: { releasesEarly: (message) => message.kind === 'vote-response' } },
        seedLimit
      )
    ).not.toBeNull()
  })

  it(
    'a driver that counts the lease from the answer and not from the start of the round (A13)',
    { timeout: 300_000 },
    async () => {
      expect(await firstFailure({ ...planOf({}), sabotage: { leaseFromAnswer: true } }, seedLimit)).not.toBeNull()
    }
  )
})
