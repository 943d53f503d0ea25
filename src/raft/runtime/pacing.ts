/** When the client halves of a node go on. Injected, so that a simulator decides it. */
export interface Pacing {
  /** Calls back in a later turn of the event loop, after what has arrived by now. */
  readonly soon: (callback: () => void) => void
  /** Calls back after so many milliseconds; the function returned cancels it. */
  readonly after: (delayMs: number, callback: () => void) => () => void
}

/** The event loop and the timers of this process. */
export const systemPacing: Pacing = {
  soon: (callback) => { setImmediate(callback) },
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs)
    return () => { clearTimeout(timer) }
  }
}
