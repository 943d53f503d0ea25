import { fixedMembers } from './plan.ts'
import { FailingSeed, runSeed } from './run-seed.ts'
import type { RunOptions } from './run-seed.ts'
import { buildMutant } from './mutants.ts'
import type { Mutant } from './mutants.ts'

/** The first seed that breaks a promise, and how many it took. */
export interface Catch {
  readonly failure: FailingSeed
  readonly seeds: number
}

/** Tries the known seed, if there is one, and then all from 1 on. */
export const firstFailure = (options: RunOptions, seedLimit: number, known?: number): Catch | null => {
  const candidates = known === undefined ? [] : [known]
  for (let run = 1; run <= seedLimit + candidates.length; run++) {
    const seed = candidates[run - 1] ?? run - candidates.length
    try {
      runSeed(seed, options)
    } catch (error) {
      if (error instanceof FailingSeed) return { failure: error, seeds: run }
      throw error
    }
  }
  return null
}

/** What the seeds of a mutant simulate: members that stay, unless the bug needs them to change. */
export const planOf = (mutant: Mutant): RunOptions => ({ plan: { membership: fixedMembers, ...mutant.plan } })

/** Runs seeds with the bug in the core until one fails. */
export const catchMutant = async (mutant: Mutant, seedLimit: number): Promise<Catch | null> =>
  firstFailure({ ...planOf(mutant), sabotage: { core: await buildMutant(mutant) } }, seedLimit, mutant.seed)
