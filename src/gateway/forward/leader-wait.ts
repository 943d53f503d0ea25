import type { Timers } from '../../raft/internal.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { LeaderSource } from './types.ts'

/** How a wait for a change of leadership ended. */
export type WaitResult = 'changed' | 'timeout' | 'aborted' | 'full' | 'closed'

/** Requests waiting for news of leadership, woken by it: a bounded number, on one subscription. */
export class LeaderWaiters {
  readonly #maxWaiting: number
  readonly #timers: Timers
  readonly #waiters = new Set<(result: WaitResult) => void>()
  readonly #unsubscribe: () => void
  #closed = false

  constructor (leaders: LeaderSource, maxWaiting: number, timers: Timers = systemTimers) {
    this.#maxWaiting = maxWaiting
    this.#timers = timers
    this.#unsubscribe = leaders.subscribe(() => { this.#wakeAll('changed') })
  }

  get size (): number {
    return this.#waiters.size
  }

  /** Resolves at the next change, or after the time, or when the signal aborts; at once when there is no room. */
  async wait (timeoutMs: number, signal?: AbortSignal): Promise<WaitResult> {
    if (this.#closed) return 'closed'
    if (signal?.aborted === true) return 'aborted'
    if (this.#waiters.size >= this.#maxWaiting) return 'full'
    return await new Promise((resolve) => {
      const finish = (result: WaitResult): void => {
        this.#waiters.delete(finish)
        cancel()
        signal?.removeEventListener('abort', onAbort)
        resolve(result)
      }
      const onAbort = (): void => { finish('aborted') }
      const cancel = this.#timers.after(Math.max(0, timeoutMs), () => { finish('timeout') })
      this.#waiters.add(finish)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  close (): void {
    this.#closed = true
    this.#unsubscribe()
    this.#wakeAll('closed')
  }

  #wakeAll (result: WaitResult): void {
    for (const finish of [...this.#waiters]) finish(result)
  }
}
