import type { Clock } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'

/** Measures how much time has passed, never too little: see {@link startStopwatch}. */
export interface Stopwatch {
  readonly elapsedMs: () => number
}

/**
 * Starts measuring for a holder that must let go in time. The monotonic clock may stand still while a machine is
 * suspended and the wall clock may be set back, so the larger of both counts.
 */
export function startStopwatch (clock: Clock): Stopwatch {
  const monotonicMs = clock.monotonicMs()
  const wallMs = clock.wallMs()
  return { elapsedMs: () => Math.max(0, clock.monotonicMs() - monotonicMs, clock.wallMs() - wallMs) }
}

// Quartz clocks differ by about 1e-5; one percent leaves room. The holder gives up this much earlier.
const clockDriftBound = 1.01

/** For how long something with this time to live surely lives, if its grant or renewal was asked for at `since`. */
export function surelyHeldMs (ttlMs: number, since: Stopwatch): number {
  return ttlMs / clockDriftBound - since.elapsedMs()
}

/** Calls back after so many milliseconds, and keeps no process alive for it. The function returned cancels. */
export function inBackground (
  { timers = systemTimers }: PrimitiveContext,
  delayMs: number,
  callback: () => void
): () => void {
  return timers.after(Math.max(0, Math.ceil(delayMs)), callback, { background: true })
}

/** Calls back once nothing remains, however the clocks were set meanwhile. The function returned cancels. */
export function whenOver (context: PrimitiveContext, remainingMs: () => number, over: () => void): () => void {
  let cancel = (): void => {}
  const look = (): void => {
    cancel = inBackground(context, remainingMs(), () => {
      if (remainingMs() > 0) look()
      else over()
    })
  }
  look()
  return () => { cancel() }
}
