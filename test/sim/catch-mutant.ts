import type { Mutant } from './mutants.ts'
import { buildMutant } from './mutants.ts'
import type { PlanOverride } from './plan.ts'
import { alone, fixedMembers, longLeaseTicks, mergeOverrides, noUsers, wholeLogs } from './plan.ts'
import type { RunOptions } from './run-seed.ts'
import { FailingSeed, runSeed } from './run-seed.ts'

/** The first seed that breaks a promise, and how many it took. */
export interface Catch {
  readonly failure: FailingSeed
  readonly seeds: number
}

/** Tries the known seed, if there is one, and then all from `first` on. */
export async function firstFailure (
  options: RunOptions,
  seedLimit: number,
  known?: number,
  first = 1
): Promise<Catch | null> {
  const candidates = known === undefined ? [] : [known]
  for (let run = 1; run <= seedLimit + candidates.length; run++) {
    const seed = candidates[run - 1] ?? first - 1 + run - candidates.length
    try {
      await runSeed(seed, options)
    } catch (error) {
      if (error instanceof FailingSeed) return { failure: error, seeds: run }
      throw error
    }
  }
  return null
}

/** Short runs of the core alone: most bugs show early in some seed, and what a bug needs to show its mutant names. */
const plain: PlanOverride = {
  durationUs: 15_000_000,
  leaseTicks: longLeaseTicks,
  disk: { isLog: false },
  faults: { suspendUs: 0, lapseUs: 0, wallClockUs: 0, fullUs: 0, rotUs: 0, refusalUs: 0 },
  callers: { count: 0, keyed: 0 },
  users: noUsers,
  snapshots: wholeLogs,
  membership: fixedMembers,
  otherCluster: alone
}

/** What the seeds of a mutant simulate. */
export function planOf (mutant: Pick<Mutant, 'plan'>): RunOptions {
  return { plan: mergeOverrides(plain, mutant.plan ?? {}) }
}

/** The same with the bug put in. */
export async function optionsOf (mutant: Mutant): Promise<RunOptions> {
  return { ...planOf(mutant), sabotage: await buildMutant(mutant) }
}

/** Runs seeds with the bug in the core until one fails: the known one first, or none but those from `first` on. */
export async function catchMutant (
  mutant: Mutant,
  seedLimit: number,
  first: number | null = null
): Promise<Catch | null> {
  return firstFailure(await optionsOf(mutant), seedLimit, first === null ? mutant.seed : undefined, first ?? 1)
}
