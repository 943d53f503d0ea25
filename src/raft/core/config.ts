import type { Configuration, NodeId } from './types.ts'

/**
 * Fixed properties of one node's core. Durations are counted in ticks; the driver decides how long a tick is.
 */
export interface CoreConfig {
  /** This node. */
  readonly id: NodeId
  /** The configuration until the log has one. It is empty on a node that joins: a leader will send the log. */
  readonly configuration: Configuration
  /** A leader starts a heartbeat round this often. */
  readonly heartbeatTicks: number
  /** Shortest election timeout. Votes are refused for as long after contact with a leader (dissertation 4.2.3). */
  readonly electionTicksMin: number
  /**
   * How long votes are refused at least after this node has answered a heartbeat or put a configuration in force:
   * longer than a lease, and no longer than the shortest election timeout.
   */
  readonly leaseTicks: number
  /** Longest election timeout: each wait is a random length between the two. */
  readonly electionTicksMax: number
  /** Seed of the generator that spreads election timeouts. */
  readonly seed: number
  readonly limits: CoreLimits
}

/** Bounds on what the core sends ahead and holds back. */
export interface CoreLimits {
  readonly maxEntriesPerAppend: number
  /** Size of the entries in one append; a single larger entry still travels alone. */
  readonly maxBytesPerAppend: number
  /** Appends to one peer that may be unanswered. */
  readonly maxInFlightAppends: number
  /** Size of the entries in them. */
  readonly maxInFlightBytes: number
  /** Bytes of commands in the leader's log that are not committed yet; past it proposals are refused as busy. */
  readonly maxUncommittedBytes: number
  /** Reads waiting for a quorum round; past it reads are refused as busy. */
  readonly maxPendingReads: number
}

/** Limits that suit HTTP between a handful of nodes. */
export const defaultCoreLimits: CoreLimits = {
  maxEntriesPerAppend: 4_096,
  maxBytesPerAppend: 1_048_576,
  maxInFlightAppends: 64,
  maxInFlightBytes: 8_388_608,
  maxUncommittedBytes: 67_108_864,
  maxPendingReads: 100_000
}
