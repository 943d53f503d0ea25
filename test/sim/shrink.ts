import type { Intervention, Kept } from './interventions.ts'
import { keptOf } from './interventions.ts'
import type { PlanOverride } from './plan.ts'
import { mergeOverrides } from './plan.ts'
import type { RunOptions } from './run-seed.ts'
import { FailingSeed, runSeed } from './run-seed.ts'

/** A run with parts of its seed's plan left out. */
export interface Schedule {
  readonly seed: number
  readonly plan: PlanOverride
  readonly kept: Kept | null
}

/** A failing schedule that the allowed runs could not shorten any more. */
export interface Shrunk {
  readonly schedule: Schedule
  readonly failure: FailingSeed
  /** Interventions before the failure, first and last. */
  readonly before: number
  readonly after: number
  readonly runs: number
}

/** Sources of trouble that go on all the time, each to be switched off as a whole. */
const simplifications: readonly PlanOverride[] = [
  { membership: { interrupted: 0 } },
  { network: { strays: 0 } },
  { network: { duplication: 0 } },
  { network: { loss: 0 } },
  { disk: { stalls: 0 } },
  { drift: 0 },
  { load: { maxBatch: 1 } },
  { membership: { spares: 0, configureUs: 0 } }
]

/** Tries ever smaller schedules that break the same promise. */
class Shrinker {
  readonly #options: RunOptions
  readonly #seed: number
  readonly #maxRuns: number
  runs = 0
  failure: FailingSeed
  plan: PlanOverride
  kept: readonly Intervention[]

  constructor (failure: FailingSeed, options: RunOptions, maxRuns: number) {
    this.#seed = failure.seed
    this.#options = options
    this.#maxRuns = maxRuns
    this.failure = failure
    this.plan = options.plan ?? {}
    this.kept = failure.breakage.interventions
  }

  get hasRunsLeft (): boolean { return this.runs < this.#maxRuns }

  /** Takes the smaller schedule over when it breaks the same promise. */
  async take (plan: PlanOverride, kept: readonly Intervention[]): Promise<boolean> {
    if (!this.hasRunsLeft) return false
    this.runs++
    try {
      await runSeed(this.#seed, { ...this.#options, plan, kept: keptOf(kept) })
      return false
    } catch (error) {
      if (!(error instanceof FailingSeed)) throw error
      const { promise, atUs } = this.failure.breakage
      // A schedule that fails later, after the healing, is no shorter.
      if (error.breakage.promise !== promise || error.breakage.atUs > atUs) return false
      this.failure = error
      this.plan = plan
      this.kept = error.breakage.interventions
      return true
    }
  }

  /** Ends the run where it fails: later events, the healing included, show nothing more. */
  async cut (): Promise<void> {
    await this.take(mergeOverrides(this.plan, { durationUs: this.failure.breakage.atUs + 1 }), this.kept)
  }

  async simplify (): Promise<void> {
    for (const simplification of simplifications) await this.take(mergeOverrides(this.plan, simplification), this.kept)
  }

  /** Leaves out ever smaller parts, until no single intervention can be spared (delta debugging). */
  async reduce (): Promise<void> {
    for (let size = Math.ceil(this.kept.length / 2); size >= 1 && this.hasRunsLeft;) {
      let hasShrunk = false
      for (let start = 0; start < this.kept.length;) {
        const smaller = [...this.kept.slice(0, start), ...this.kept.slice(start + size)]
        if (await this.take(this.plan, smaller)) hasShrunk = true
        else start += size
      }
      if (size > 1) size = Math.ceil(size / 2)
      else if (!hasShrunk) return
    }
  }
}

/** Looks for a short schedule that breaks the same promise as this failure did, within so many runs. */
export async function shrink (failure: FailingSeed, options: RunOptions = {}, maxRuns = 300): Promise<Shrunk> {
  const shrinker = new Shrinker(failure, { ...options, traceLines: 0 }, maxRuns)
  const before = failure.breakage.interventions.length
  await shrinker.cut()
  await shrinker.simplify()
  await shrinker.reduce()
  await shrinker.cut()
  const { plan, kept, runs } = shrinker
  return {
    schedule: { seed: failure.seed, plan, kept: keptOf(kept) },
    failure: shrinker.failure,
    before,
    after: kept.length,
    runs
  }
}

/** The one line that runs a schedule again. */
export function replayCommand (schedule: Schedule, mutant: string | null = null): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  return `npm run sim -- ${mutant === null ? '' : `--mutant ${quoted(mutant)} `}--replay ${quoted(JSON.stringify(schedule))}`
}
