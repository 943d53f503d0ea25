/** Heartbeat interval and election timeouts of a cluster; the same on every node. */
export interface Timing {
  readonly heartbeatMs: number
  readonly electionTimeoutMinMs: number
  readonly electionTimeoutMaxMs: number
}

/** Ticks of the core in one heartbeat interval. */
const heartbeatTicks = 5

/** Bound on how much faster one node's clock may run than another's. */
const clockDriftBound = 1.05

/** {@link Timing} in the ticks that the core counts. */
export interface TickTiming {
  readonly tickMs: number
  readonly heartbeatTicks: number
  readonly electionTicksMin: number
  readonly electionTicksMax: number
  /** How long the leadership lease lasts from the start of a heartbeat round. */
  readonly leaseMs: number
}

export function toTicks (timing: Timing): TickTiming {
  const tickMs = timing.heartbeatMs / heartbeatTicks
  const electionTicksMin = Math.max(heartbeatTicks + 1, Math.ceil(timing.electionTimeoutMinMs / tickMs))
  return {
    tickMs,
    heartbeatTicks,
    electionTicksMin,
    electionTicksMax: Math.max(electionTicksMin, Math.ceil(timing.electionTimeoutMaxMs / tickMs)),
    // One tick less: contact may come just before a follower's tick, and then the first tick that it counts is short.
    leaseMs: (electionTicksMin - 1) * tickMs / clockDriftBound
  }
}

/** The lengths that a leader's watch over its leadership counts, in milliseconds; see `LeadershipWatch`. */
export function watchTiming (
  { tickMs, heartbeatTicks, electionTicksMax }: Omit<TickTiming, 'electionTicksMin' | 'leaseMs'>
): { readonly stallMs: number, readonly confirmWithinMs: number, readonly replacedAfterMs: number } {
  return {
    // A tick that is late by less is no stall.
    stallMs: Math.max(2, heartbeatTicks) * tickMs,
    // One round may be lost.
    confirmWithinMs: 2 * heartbeatTicks * tickMs,
    replacedAfterMs: electionTicksMax * tickMs
  }
}
