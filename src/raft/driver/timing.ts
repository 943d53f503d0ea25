/** Heartbeat interval and election timeouts of a cluster; the same on every node. */
export interface Timing {
  readonly heartbeatMs: number
  readonly electionTimeoutMinMs: number
  readonly electionTimeoutMaxMs: number
}

/** Ticks of the core in one heartbeat interval. */
const heartbeatTicks = 5

/** Heartbeat intervals in which a lease ends: two heartbeats in a row may be lost, or late. */
const leaseHeartbeats = 3

/** Bound on how much faster one node's clock may run than another's. */
const clockDriftBound = 1.05

/** {@link Timing} in the ticks that the core counts. */
export interface TickTiming {
  readonly tickMs: number
  readonly heartbeatTicks: number
  readonly electionTicksMin: number
  readonly electionTicksMax: number
  /** How long an answer to a heartbeat keeps its sender from voting at least. */
  readonly leaseTicks: number
  /** How long the leadership lease lasts from the start of a heartbeat round. */
  readonly leaseMs: number
}

export function toTicks (timing: Timing): TickTiming {
  const tickMs = timing.heartbeatMs / heartbeatTicks
  const electionTicksMin = Math.max(heartbeatTicks + 1, Math.ceil(timing.electionTimeoutMinMs / tickMs))
  const leaseTicks = Math.min(electionTicksMin, leaseHeartbeats * heartbeatTicks)
  return {
    tickMs,
    heartbeatTicks,
    leaseTicks,
    electionTicksMin,
    electionTicksMax: Math.max(electionTicksMin, Math.ceil(timing.electionTimeoutMaxMs / tickMs)),
    // One tick less: contact may come just before a follower's tick, and then the first tick that it counts is short.
    leaseMs: (leaseTicks - 1) * tickMs / clockDriftBound
  }
}

/** The lengths that a leader's watch over its leadership counts, in milliseconds; see `LeadershipWatch`. */
export function watchTiming (
  { tickMs, heartbeatTicks, electionTicksMax }: Omit<TickTiming, 'electionTicksMin' | 'leaseTicks' | 'leaseMs'>
): { readonly stallMs: number, readonly confirmWithinMs: number, readonly replacedAfterMs: number } {
  return {
    // A tick that is late by less is no stall.
    stallMs: Math.max(2, heartbeatTicks) * tickMs,
    // One round may be lost.
    confirmWithinMs: 2 * heartbeatTicks * tickMs,
    replacedAfterMs: electionTicksMax * tickMs
  }
}
