import type { WaitOptions } from '../engine.ts'
import type { Timers } from './timers.ts'
import { systemTimers } from './timers.ts'

/**
 * A promise that is settled from outside, with a deadline and an optional signal. Settled exactly once; its timer and
 * listener are removed then.
 */
export class Waiter<T> {
  readonly promise: Promise<T>
  #resolve!: (value: T) => void
  #reject!: (reason: unknown) => void
  readonly #cancelTimer: () => void
  #unlisten: (() => void) | null = null
  settled = false

  /** `onTimeout` makes the error of a missed deadline; `onSettled` runs once, however the wait ends. */
  constructor (
    options: WaitOptions & { readonly timeoutMs: number },
    onTimeout: () => Error,
    onSettled: () => void,
    timers: Timers = systemTimers
  ) {
    this.#onSettled = onSettled
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { signal, timeoutMs } = options
    this.#cancelTimer = timers.after(timeoutMs, () => this.reject(onTimeout()))
    if (signal !== undefined) {
      const aborted = () => this.reject(signal.reason)
      // An aborted signal tells no new listener. Its owner hears of it once this constructor has returned.
      if (signal.aborted) queueMicrotask(aborted)
      else signal.addEventListener('abort', aborted, { once: true })
      this.#unlisten = () => signal.removeEventListener('abort', aborted)
    }
  }

  readonly #onSettled: () => void

  resolve (value: T): void {
    if (this.#settle()) this.#resolve(value)
  }

  reject (reason: unknown): void {
    if (this.#settle()) this.#reject(reason)
  }

  #settle (): boolean {
    if (this.settled) return false
    this.settled = true
    this.#cancelTimer()
    this.#unlisten?.()
    this.#onSettled()
    return true
  }
}
