import { drawPlan, fixedMembers } from './plan.ts'
import type { PlanOverride } from './plan.ts'
import { ProtocolTrace } from './protocol-trace.ts'
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
  const simulation = new Simulation(drawPlan(random, new SimRandom(seed + 2 ** 48), options.plan), random, options.sabotage ?? {}, keepTrace)
  try {
    return { report: simulation.run() }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    simulation.trace.note(simulation.nowUs, ['BROKEN', error.message])
    return { error, trace: simulation.trace.lines }
  }
}

/** Three nodes that stay, under load, and an election now and then. */
const tracedPlan: PlanOverride = {
  size: 3,
  durationUs: 4_000_000,
  drift: 0.01,
  heartbeatTicks: 2,
  electionTicksMin: 10,
  electionTicksMax: 20,
  network: { loss: 0.02, duplication: 0.02, delayMaxUs: 5_000, strays: 0 },
  disk: { isImmediate: true },
  faults: { crashUs: 0, downUs: 200_000, partitionUs: 700_000, partitionedUs: 500_000, pauseUs: 0, stepDownUs: 0, campaignUs: 0, transferUs: 0, massCrashUs: 0 },
  load: { proposeUs: 15_000, readUs: 0, maxBatch: 3 },
  membership: fixedMembers
}

/** Runs one seed with static membership, with or without crashes, and hands over its protocol trace line by line. */
export const traceSeed = (seed: number, withCrashes: boolean, emit: (line: string) => void): RunReport => {
  const plan: PlanOverride = withCrashes ? { ...tracedPlan, faults: { ...tracedPlan.faults, crashUs: 500_000 } } : tracedPlan
  const random = new SimRandom(seed)
  return new Simulation(drawPlan(random, new SimRandom(seed + 2 ** 48), plan), random, {}, false, new ProtocolTrace(emit)).run()
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
