import type { Clock } from '../../raft/index.ts'

/** Measures how much time has passed, never too little: see {@link startStopwatch}. */
export interface Stopwatch {
  readonly elapsedMs: () => number
}

/**
 * Starts measuring for whoever must let go in time. The monotonic clock may stand still while a machine is suspended
 * and the wall clock may be set back, so the larger of both counts.
 */
export function startStopwatch (clock: Clock): Stopwatch {
  const monotonicMs = clock.monotonicMs()
  const wallMs = clock.wallMs()
  return { elapsedMs: () => Math.max(0, clock.monotonicMs() - monotonicMs, clock.wallMs() - wallMs) }
}
