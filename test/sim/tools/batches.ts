import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { PlanOverride } from '../plan.ts'
import type { RunReport } from '../simulation.ts'
import { TraceRecorder } from '../trace.ts'

/** Seeds from `first` on. */
export interface BatchOrder {
  readonly kind: 'seeds'
  readonly first: number
  readonly count: number
  readonly plan: PlanOverride
}

/** One mutant, and the seeds in which it must show. */
export interface MutantOrder {
  readonly kind: 'mutant'
  readonly name: string
  /** First of the seeds; null: the known seed of the mutant, then all from 1 on. */
  readonly first: number | null
  readonly limit: number
}

export type Order = BatchOrder | MutantOrder

type Totals = Record<
  | 'events'
  | 'elections'
  | 'acknowledged'
  | 'reads'
  | 'crashes'
  | 'changes'
  | 'transfers'
  | 'calls'
  | 'callsUnknown'
  | 'grants'
  | keyof RunReport['users']
  | 'snapshots'
  | 'installed'
  | 'simulatedMs'
  | 'cpuMs',
  number
>

export function noTotals (): Totals {
  return {
    events: 0,
    elections: 0,
    acknowledged: 0,
    reads: 0,
    crashes: 0,
    changes: 0,
    transfers: 0,
    calls: 0,
    callsUnknown: 0,
    grants: 0,
    counted: 0,
    turns: 0,
    singletonRuns: 0,
    placedRuns: 0,
    slots: 0,
    done: 0,
    watched: 0,
    snapshots: 0,
    installed: 0,
    simulatedMs: 0,
    cpuMs: 0
  }
}

/** What the seeds of one batch came to. */
export interface BatchResult {
  readonly hashes: Array<readonly [seed: number, hash: string]>
  readonly totals: Totals
  readonly failures: Array<{ readonly seed: number, readonly message: string }>
}

/** How a mutant was caught; null: it was not. */
export interface MutantResult {
  readonly name: string
  readonly caught: { readonly seeds: number, readonly message: string } | null
}

const seedsPerBatch = 10

/** One hash over the traces of several seeds, in the order of the seeds. */
export function combineHashes (hashes: ReadonlyArray<readonly [seed: number, hash: string]>): string {
  const recorder = new TraceRecorder(false)
  for (const [seed, hash] of [...hashes].sort(([left], [right]) => left - right)) recorder.note(seed, [hash])
  return recorder.hash
}

/** Carries out orders on worker processes, one order at a time on each. Begins none once `isOver`. */
async function distribute<O extends Order, R> (
  workerCount: number,
  orders: readonly O[],
  take: (order: O, result: R) => void,
  isOver: () => boolean = () => false
): Promise<void> {
  const waiting = [...orders]
  const work = (): Promise<void> => {
    if (waiting.length === 0) return Promise.resolve()
    const worker = fork(fileURLToPath(new URL('sim-worker.js', import.meta.url)), {
      execArgv: ['--max-semi-space-size=64']
    })
    return new Promise<void>((resolve, reject) => {
      let current: O | undefined
      const next = (): void => {
        current = isOver() ? undefined : waiting.shift()
        if (current === undefined) worker.disconnect()
        else worker.send(current)
      }
      worker.on('message', (result: R) => {
        if (current !== undefined) take(current, result)
        next()
      })
      worker.on('error', reject)
      worker.on('exit', (code) => {
        if (code === 0 && current === undefined) resolve()
        else reject(new Error(`a worker ended with ${String(code)} in ${JSON.stringify(current)}`))
      })
      next()
    })
  }
  await Promise.all(Array.from({ length: workerCount }, work))
}

/** Seeds that are to be run. */
interface SeedRange {
  readonly first: number
  readonly count: number
  readonly plan: PlanOverride
  /** No batch is begun later, in milliseconds from now. */
  readonly withinMs: number
}

/** Runs seeds on worker processes; `progress` hears of every finished batch. */
export async function runBatches (
  workers: number,
  { first, count, plan, withinMs }: SeedRange,
  progress: (done: number, result: BatchResult) => void
): Promise<BatchResult> {
  const endsAtMs = performance.now() + withinMs
  const sum: BatchResult = { hashes: [], totals: noTotals(), failures: [] }
  const orders: BatchOrder[] = []
  for (let seed = first; seed < first + count; seed += seedsPerBatch) {
    orders.push({ kind: 'seeds', first: seed, count: Math.min(seedsPerBatch, first + count - seed), plan })
  }
  let done = 0
  await distribute<BatchOrder, BatchResult>(workers, orders, (order, result) => {
    sum.hashes.push(...result.hashes)
    sum.failures.push(...result.failures)
    for (const name of Object.keys(sum.totals) as Array<keyof Totals>) sum.totals[name] += result.totals[name]
    done += order.count
    progress(done, result)
  }, () => performance.now() >= endsAtMs)
  return sum
}

/** Looks for a seed that catches each of these mutants, on worker processes. */
export async function runMutants (
  workers: number,
  names: readonly string[],
  first: number | null,
  limit: number,
  progress: (result: MutantResult) => void
): Promise<readonly MutantResult[]> {
  const results: MutantResult[] = []
  await distribute<MutantOrder, MutantResult>(
    workers,
    names.map((name) => ({ kind: 'mutant', name, first, limit })),
    (_order, result) => {
      results.push(result)
      progress(result)
    }
  )
  return results
}
