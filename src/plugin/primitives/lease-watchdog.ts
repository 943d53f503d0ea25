import { Worker } from 'node:worker_threads'
import { systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'
import type { WatchdogControl } from './lease-watchdog-body.ts'
import { runLeaseWatchdog, watchdogWords } from './lease-watchdog-body.ts'

/** Work that must not outlive what it was given. */
interface WatchedWork {
  /** Says which work it is, in the last line of the process. */
  readonly what: string
  /** Milliseconds for which it is surely allowed from now on; `Infinity` when that cannot lapse. */
  readonly remainingMs: () => number
}

/** How often what remains is looked at, in milliseconds: the lease is renewed with every heartbeat. */
const lookMs = 20
/** How long work may take to end by itself once it is not allowed any more, in milliseconds. */
const graceMs = 100
const maxLastWordsBytes = 1_024

let watchdog: Watchdog | null = null

/**
 * Ends the process, with SIGKILL and a last line on standard error, when the work is not allowed any more and still not
 * at its end, even while the main thread is blocked. The function returned says that the work has ended.
 */
export function endProcessWithLease (context: PrimitiveContext, work: WatchedWork): () => void {
  watchdog ??= new Watchdog()
  return watchdog.watch(context, work)
}

/** The thread, of which a process has one, and the deadline that comes first. */
class Watchdog {
  readonly #control: WatchdogControl = {
    words: new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)),
    deadlineNs: new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)),
    lastWords: new Uint8Array(new SharedArrayBuffer(maxLastWordsBytes))
  }

  /** When each work has to be at its end, by `process.hrtime`; null for never. */
  readonly #watched = new Map<WatchedWork, bigint | null>()

  constructor () {
    // The body is passed as text: a path would have to name a compiled file, which the sources under test are not.
    const worker = new Worker(
      `(${runLeaseWatchdog.toString()})(require('node:fs'), require('node:worker_threads'), ` +
        `${JSON.stringify(watchdogWords)})`,
      {
        eval: true,
        name: 'raft-watchdog',
        workerData: this.#control,
        execArgv: [],
        resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 }
      }
    )
    worker.unref()
  }

  watch ({ timers = systemTimers }: PrimitiveContext, work: WatchedWork): () => void {
    let cancel = (): void => {}
    const look = (): void => {
      this.#watched.set(work, deadlineOf(work.remainingMs(), this.#watched.get(work) ?? null))
      this.#tell()
      cancel = timers.after(lookMs, look, { background: true })
    }
    look()
    return () => {
      cancel()
      this.#watched.delete(work)
      this.#tell()
    }
  }

  #tell (): void {
    const { words, deadlineNs, lastWords } = this.#control
    let first: readonly [WatchedWork, bigint] | null = null
    for (const [work, deadline] of this.#watched) {
      if (deadline !== null && (first === null || deadline < first[1])) first = [work, deadline]
    }
    const before = Atomics.load(deadlineNs, 0)
    const next = first?.[1] ?? 0n
    if (first !== null) words[watchdogWords.length] = writeLastWords(lastWords, first[0].what)
    Atomics.store(deadlineNs, 0, next)
    // A deadline that moves away is found when the earlier one has come.
    if (next === 0n || (before !== 0n && next >= before)) return
    Atomics.add(words, watchdogWords.bell, 1)
    Atomics.notify(words, watchdogWords.bell)
  }
}

/** The next deadline; once nothing remains the one before stands. */
function deadlineOf (remainingMs: number, before: bigint | null): bigint | null {
  if (remainingMs === Infinity) return null
  if (remainingMs <= 0 && before !== null) return before
  return process.hrtime.bigint() + BigInt(Math.round((remainingMs + graceMs) * 1e6))
}

/** Returns how many bytes it takes. */
function writeLastWords (target: Uint8Array, what: string): number {
  const line = `fastify-raft: this process ends now, because ${what} and has not ended (onLeaseLost: "exit")\n`
  return new TextEncoder().encodeInto(line, target).written
}
