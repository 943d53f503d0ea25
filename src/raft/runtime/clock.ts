/**
 * The clocks of a node. Injected, so that tests can stop them, set them and let them diverge.
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
