/** One-shot timers. Injected beside the clock, so that tests can move both. */
export interface Timers {
  /**
   * Calls `callback` after `delayMs` milliseconds; the function returned cancels it.
   * A `background` timer does not keep the process alive.
   */
  readonly after: (delayMs: number, callback: () => void, options?: { readonly background?: boolean }) => () => void
}

/** The longest delay the runtime knows; it takes a longer one for one of a millisecond. */
export const maxDelayMs = 2_147_483_647

/** The timers of this process. */
export const systemTimers: Timers = {
  after: (delayMs, callback, options = {}) => {
    const timer = setTimeout(callback, Math.min(delayMs, maxDelayMs))
    if (options.background === true) timer.unref()
    return () => { clearTimeout(timer) }
  }
}
