/** One-shot timers and turns of the event loop. Injected beside the clock, so that tests and simulators move both. */
export interface Timers {
  /**
   * Calls `callback` after `delayMs` milliseconds; the function returned cancels it. A delay beyond
   * 2,147,483,647 ms (24 days), `Infinity` included, never ends.
   * A `background` timer does not keep the process alive.
   */
  readonly after: (delayMs: number, callback: () => void, options?: { readonly background?: boolean }) => () => void
  /** Calls `callback` in a later turn of the event loop, after everything that has arrived by now. */
  readonly soon: (callback: () => void) => void
}

/** Longest delay that setTimeout accepts; longer ones fire after 1 ms. */
const maxDelayMs = 2_147_483_647

/** The timers and the event loop of this process. */
export const systemTimers: Timers = {
  after: (delayMs, callback, options = {}) => {
    if (delayMs > maxDelayMs) return () => {}
    const timer = setTimeout(callback, delayMs)
    if (options.background === true) timer.unref()
    return () => { clearTimeout(timer) }
  },
  soon: (callback) => { setImmediate(callback) }
}

/** Resolves after so many milliseconds; rejects with the signal's reason when it aborts before. */
export function pause (
  timers: Timers,
  delayMs: number,
  signal?: AbortSignal,
  options?: { readonly background?: boolean }
): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      cancel()
      reject(signal?.reason as Error)
    }
    const cancel = timers.after(delayMs, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    }, options)
    if (signal?.aborted === true) aborted()
    else signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** Resolves with true as soon as the promise has settled, however it did, and with false after `timeoutMs`. */
export function settlesWithin (timers: Timers, promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const cancel = timers.after(timeoutMs, () => { resolve(false) })
    const settled = (): void => {
      cancel()
      resolve(true)
    }
    promise.then(settled, settled)
  })
}
