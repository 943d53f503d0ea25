/**
 * The time a node lives in. Injected, so that tests can stop it, jump it and tear the two clocks apart.
 */
export interface Clock {
  /** Monotonic milliseconds; only differences mean anything. */
  readonly monotonicMs: () => number
  /** Milliseconds since the epoch; may jump. */
  readonly wallMs: () => number
}

/** The clocks of this process. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now()
}
