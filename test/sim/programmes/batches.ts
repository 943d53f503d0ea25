import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { TraceRecorder } from '../trace.ts'

/** Seeds from `first` on. */
export interface BatchOrder {
  readonly first: number
  readonly count: number
}

type Totals = Record<'events' | 'elections' | 'acknowledged' | 'reads' | 'crashes' | 'changes' | 'transfers' | 'simulatedMs', number>

/** What the seeds of one batch came to. */
export interface BatchResult {
  readonly hashes: Array<readonly [seed: number, hash: string]>
  readonly totals: Totals
  readonly failures: Array<{ readonly seed: number, readonly message: string }>
}

const workerCount = 2
const seedsPerBatch = 20

/** One hash over the traces of several seeds, in the order of the seeds. */
export const combineHashes = (hashes: ReadonlyArray<readonly [seed: number, hash: string]>): string => {
  const recorder = new TraceRecorder(false)
  for (const [seed, hash] of [...hashes].sort(([left], [right]) => left - right)) recorder.note(seed, [hash])
  return recorder.hash
}

/** Runs seeds on two worker processes; `progress` hears of every finished batch. */
export const runBatches = async (first: number, count: number, progress: (done: number, result: BatchResult) => void): Promise<BatchResult> => {
  const sum: BatchResult = { hashes: [], totals: { events: 0, elections: 0, acknowledged: 0, reads: 0, crashes: 0, changes: 0, transfers: 0, simulatedMs: 0 }, failures: [] }
  const orders: BatchOrder[] = []
  for (let seed = first; seed < first + count; seed += seedsPerBatch) orders.push({ first: seed, count: Math.min(seedsPerBatch, first + count - seed) })
  let done = 0

  const add = (result: BatchResult, order: BatchOrder): void => {
    sum.hashes.push(...result.hashes)
    sum.failures.push(...result.failures)
    for (const name of Object.keys(sum.totals) as Array<keyof Totals>) sum.totals[name] += result.totals[name]
    done += order.count
    progress(done, result)
  }

  const work = async (): Promise<void> => {
    if (orders.length === 0) return
    const worker = fork(fileURLToPath(new URL('sim-worker.js', import.meta.url)))
    await new Promise<void>((resolve, reject) => {
      let current: BatchOrder | undefined
      const next = (): void => {
        current = orders.shift()
        if (current === undefined) worker.disconnect()
        else worker.send(current)
      }
      worker.on('message', (result: BatchResult) => {
        if (current !== undefined) add(result, current)
        next()
      })
      worker.on('error', reject)
      worker.on('exit', (code) => {
        if (code === 0 && current === undefined) resolve()
        else reject(new Error(`a worker ended with ${String(code)} in the seeds from ${String(current?.first)} on`))
      })
      next()
    })
  }

  await Promise.all(Array.from({ length: workerCount }, work))
  return sum
}
