import { describe, expect, it } from 'vitest'
import { buildMutant, crashes, mutants } from './mutants.ts'
import { fixedMembers } from './plan.ts'
import { FailingSeed, runSeed } from './run-seed.ts'
import type { RunOptions } from './run-seed.ts'

const seedLimit = Number(process.env.MUTANT_SEEDS ?? 2_000)

const firstFailure = (options: RunOptions, known?: number): FailingSeed | null => {
  for (let run = known === undefined ? 1 : 0; run <= seedLimit; run++) {
    const seed = run === 0 && known !== undefined ? known : run
    try {
      runSeed(seed, options)
    } catch (error) {
      if (error instanceof FailingSeed) return error
      throw error
    }
  }
  return null
}

describe('the simulator catches', () => {
  it.each(mutants.map((mutant) => ({ name: mutant.name, mutant })))('$name', { timeout: 300_000 }, async ({ mutant }) => {
    const core = await buildMutant(mutant)
    const options = { plan: { membership: fixedMembers, ...mutant.plan } }
    const startedAt = performance.now()
    const failure = firstFailure({ ...options, sabotage: { core } }, mutant.seed)
    console.log(`${mutant.name}: ${failure?.message ?? 'NOT CAUGHT'} (${((performance.now() - startedAt) / 1_000).toFixed(1)} s)`)
    expect(failure).not.toBeNull()
    // The same seed with the real core holds: it is the bug that was caught.
    expect(() => runSeed(failure?.seed ?? 0, options)).not.toThrow()
  })

  it('a driver that lets promises out before the disk has them (D1, D7)', { timeout: 300_000 }, () => {
    expect(firstFailure({ sabotage: { releasesEarly: (message) => message.kind === 'append-response' }, plan: { membership: fixedMembers } })).not.toBeNull()
    expect(firstFailure({ sabotage: { releasesEarly: (message) => message.kind === 'vote-response' }, plan: { membership: fixedMembers, ...crashes } })).not.toBeNull()
  })

  it('a driver that counts the lease from the answer and not from the start of the round (A13)', { timeout: 300_000 }, () => {
    expect(firstFailure({ sabotage: { leaseFromAnswer: true } })).not.toBeNull()
  })
})
