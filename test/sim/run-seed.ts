import { drawPlan } from './plan.ts'
import type { PlanOverride } from './plan.ts'
import { SimRandom } from './random.ts'
import { Simulation } from './simulation.ts'
import type { RunReport } from './simulation.ts'
import type { Sabotage } from './world.ts'

export interface RunOptions {
  /** Fixes parts of what the seed would draw. */
  readonly plan?: PlanOverride
  readonly sabotage?: Sabotage
  /** Lines of the trace to show with a failure. */
  readonly traceLines?: number
}

/** A seed that broke a promise, with the end of its trace. */
export class FailingSeed extends Error {
  override readonly name = 'FailingSeed'
  readonly seed: number

  constructor (seed: number, cause: Error, detail: string) {
    super(`seed ${seed}: ${cause.name}: ${cause.message}${detail}`, { cause })
    this.seed = seed
  }
}

const simulate = (seed: number, options: RunOptions, keepTrace: boolean): { readonly report: RunReport } | { readonly error: Error, readonly trace: readonly string[] } => {
  const random = new SimRandom(seed)
  const simulation = new Simulation(drawPlan(random, options.plan), random, options.sabotage ?? {}, keepTrace)
  try {
    return { report: simulation.run() }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    simulation.trace.note(simulation.nowUs, ['BROKEN', error.message])
    return { error, trace: simulation.trace.lines }
  }
}

/** Runs one seed to its end. Throws {@link FailingSeed} when a promise is broken or an assertion of the core fires. */
export const runSeed = (seed: number, options: RunOptions = {}): RunReport => {
  const outcome = simulate(seed, options, false)
  if ('report' in outcome) return outcome.report
  const { traceLines = 0 } = options
  if (traceLines === 0) throw new FailingSeed(seed, outcome.error, '')
  // The same seed again, this time keeping the lines: runs are repeatable, and most never fail.
  const again = simulate(seed, options, true)
  const lines = 'trace' in again ? again.trace.slice(-traceLines) : ['(the failure did not repeat)']
  throw new FailingSeed(seed, outcome.error, `\n${lines.join('\n')}`)
}
