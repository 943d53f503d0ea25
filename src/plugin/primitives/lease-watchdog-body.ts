import type * as fileSystem from 'node:fs'
import type * as workerThreads from 'node:worker_threads'

/** Memory that the watchdog shares with the thread that it watches. */
export interface WatchdogControl {
  /** Rung when the deadline comes closer; then the length of the last words in bytes. */
  readonly words: Int32Array
  /** When the process is to end, by `process.hrtime`, in nanoseconds; 0 for never. */
  readonly deadlineNs: BigInt64Array
  /** What is said then, as UTF-8. */
  readonly lastWords: Uint8Array
}

/** The words of the control, by their place. */
export const watchdogWords = { bell: 0, length: 1 } as const

/**
 * The body of the watchdog; never returns. It ends the whole process when the deadline has passed, which it can while
 * the main thread is blocked.
 *
 * It is passed to the thread as text, so it must stand alone: it uses its parameters and the globals of every Node.js
 * thread, and no import.
 */
export function runLeaseWatchdog (
  fs: Pick<typeof fileSystem, 'writeSync'>,
  { workerData }: Pick<typeof workerThreads, 'workerData'>,
  at: typeof watchdogWords
): void {
  const { words, deadlineNs, lastWords } = workerData as WatchdogControl
  for (;;) {
    const rung = Atomics.load(words, at.bell)
    const deadline = Atomics.load(deadlineNs, 0)
    const leftMs = deadline === 0n ? Infinity : Number(deadline - process.hrtime.bigint()) / 1e6
    if (leftMs <= 0) {
      const text = Buffer.from(lastWords.slice(0, words[at.length]))
      try {
        // The main thread may be blocked: only what is written at once is seen.
        fs.writeSync(2, text)
      } finally {
        process.kill(process.pid, 'SIGKILL')
      }
    }
    Atomics.wait(words, at.bell, rung, Math.max(1, leftMs))
  }
}
