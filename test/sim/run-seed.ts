import type { Intervention, Kept } from './interventions.ts'
import type { PlanOverride } from './plan.ts'
import { fixedMembers, noUsers, wholeLogs } from './plan.ts'
import { BrokenPromise } from './promise.ts'
import { ProtocolTrace } from './protocol-trace.ts'
import type { RunReport } from './simulation.ts'
import { Simulation } from './simulation.ts'
import type { Sabotage } from './world.ts'

export interface RunOptions {
  /** Fixes parts of what the seed would draw. */
  readonly plan?: PlanOverride | undefined
  /** Only these interventions take place; null or left out: all. */
  readonly kept?: Kept | null | undefined
  readonly sabotage?: Sabotage | undefined
  /** Lines of the trace to show with a failure. */
  readonly traceLines?: number
}

/** What was broken when, and everything that was done to the cluster before. */
export interface Breakage {
  /** Name of the promise, or the text of an assertion without its numbers. */
  readonly promise: string
  readonly atUs: number
  readonly interventions: readonly Intervention[]
}

/** A seed that broke a promise, with the end of its trace. */
export class FailingSeed extends Error {
  override readonly name = 'FailingSeed'
  readonly seed: number
  readonly #breakage: Breakage

  constructor (seed: number, breakage: Breakage, cause: Error, detail: string) {
    super(`seed ${seed}: ${cause.name}: ${cause.message}${detail}`, { cause })
    this.seed = seed
    this.#breakage = breakage
  }

  get breakage (): Breakage { return this.#breakage }
}

function promiseOf (error: Error): string {
  return error instanceof BrokenPromise ? error.promise : `${error.name}: ${error.message.replaceAll(/\d+/g, '#')}`
}

type Outcome =
  | { readonly kind: 'kept', readonly report: RunReport }
  | { readonly kind: 'broken', readonly error: Error, readonly breakage: Breakage, readonly trace: readonly string[] }

async function simulate (seed: number, { plan, kept, sabotage }: RunOptions, keepTrace: boolean): Promise<Outcome> {
  const simulation = new Simulation({ seed, plan, kept, sabotage, keepTrace })
  try {
    return { kind: 'kept', report: await simulation.run() }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    simulation.trace.note(simulation.nowUs, ['BROKEN', error.message])
    const breakage = { promise: promiseOf(error), atUs: simulation.nowUs, interventions: simulation.interventions }
    return { kind: 'broken', error, breakage, trace: simulation.trace.lines }
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
  disk: { isImmediate: true, isLog: false },
  faults: {
    crashUs: 0,
    downUs: 200_000,
    partitionUs: 700_000,
    partitionedUs: 500_000,
    pauseUs: 0,
    lapseUs: 0,
    stepDownUs: 0,
    campaignUs: 0,
    transferUs: 0,
    massCrashUs: 0,
    refusalUs: 0
  },
  load: { proposeUs: 15_000, readUs: 0, maxBatch: 3 },
  callers: { count: 0 },
  users: noUsers,
  snapshots: wholeLogs,
  membership: fixedMembers
}

/** Runs one seed with static membership, with or without crashes, and hands over its protocol trace line by line. */
export function traceSeed (seed: number, withCrashes: boolean, emit: (line: string) => void): Promise<RunReport> {
  const plan: PlanOverride = withCrashes
    ? { ...tracedPlan, faults: { ...tracedPlan.faults, crashUs: 500_000 } }
    : tracedPlan
  return new Simulation({ seed, plan, protocolTrace: new ProtocolTrace(emit) }).run()
}

/**
 * Runs one seed to its end. Rejects with {@link FailingSeed} when a promise is broken or an assertion of the core
 * fires.
 */
export async function runSeed (seed: number, options: RunOptions = {}): Promise<RunReport> {
  const outcome = await simulate(seed, options, false)
  if (outcome.kind === 'kept') return outcome.report
  const { traceLines = 0 } = options
  if (traceLines === 0) throw new FailingSeed(seed, outcome.breakage, outcome.error, '')
  // The same seed again, this time keeping the lines: runs are repeatable, and most never fail.
  const again = await simulate(seed, options, true)
  const lines = again.kind === 'broken' ? again.trace.slice(-traceLines) : ['(the failure did not repeat)']
  throw new FailingSeed(seed, outcome.breakage, outcome.error, `\n${lines.join('\n')}`)
}
