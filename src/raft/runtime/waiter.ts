import type { WaitOptions } from '../engine.ts'
import type { Pacing } from './pacing.ts'
import { systemPacing } from './pacing.ts'

/** The longest delay a timer takes; beyond it Node fires at once. */
const maxTimerMs = 2_147_483_647

/**
 * A promise that somebody else settles, with a deadline and an optional signal. Settled exactly once; timer and
 * listener are gone afterwards.
 */
export class Waiter<T> {
  readonly promise: Promise<T>
  #resolve!: (value: T) => void
  #reject!: (reason: unknown) => void
  #cancelTimer: (() => void) | null = null
  #unlisten: (() => void) | null = null
  settled = false

  /** `onTimeout` makes the error of a missed deadline; `onSettled` runs once, however the wait ends. */
  constructor (
    options: WaitOptions & { readonly timeoutMs: number },
    onTimeout: () => Error,
    onSettled: () => void,
    pacing: Pacing = systemPacing
  ) {
    this.#onSettled = onSettled
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { signal, timeoutMs } = options
    if (timeoutMs <= maxTimerMs) this.#cancelTimer = pacing.after(timeoutMs, () => this.reject(onTimeout()))
    if (signal !== undefined) {
      const aborted = () => this.reject(signal.reason)
      signal.addEventListener('abort', aborted, { once: true })
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
    this.#cancelTimer?.()
    this.#unlisten?.()
    this.#onSettled()
    return true
  }
}
