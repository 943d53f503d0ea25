import type { ChangeFault, Configuration } from './configuration.ts'
import type { Message } from './message.ts'
import type { SnapshotPoint } from './snapshot.ts'
import type { Entry, HardState, Index, LogBase, NodeId, Role, Term } from './types.ts'

/**
 * One group for the disk: durable in the order of the ids, hard state before entries. With a `reset` the log starts
 * anew behind that base, with the hard state (which is given then) and no entries, all or nothing.
 */
export interface Write {
  readonly id: number
  readonly reset: LogBase | null
  readonly hardState: HardState | null
  readonly entries: readonly Entry[]
}

/**
 * Why commands were not appended: this node does not lead, has too much uncommitted, or is handing leadership over (the
 * next leader will take them).
 */
export type ProposeRefusal = 'not-leader' | 'busy' | 'transferring'

/** What became of the commands of one `propose`. A refusal means that none of them was appended. */
export type ProposeResult =
  | { readonly kind: 'appended', readonly term: Term, readonly firstIndex: Index, readonly count: number }
  | { readonly kind: 'refused', readonly reason: ProposeRefusal }

/** What became of one `read`. */
export type ReadResult =
  | { readonly kind: 'confirmed', readonly context: number, readonly index: Index }
  | { readonly kind: 'refused', readonly context: number, readonly reason: 'no-leader' | 'leadership-lost' | 'busy' }

/**
 * Why a configuration was not changed. `pending`: a change is under way. `conflict`: the configuration is not the one
 * expected. `not-ready`: the term's no-op is not committed yet. `quorum-at-risk`: too few of the voters to be are
 * within reach. `lagging`: the learner has not caught up.
 */
export type ConfigureRefusal =
  | 'not-leader' | 'transferring' | 'not-ready' | 'pending' | 'conflict' | 'lagging' | 'quorum-at-risk' | ChangeFault

/** What became of one `configure`; a refusal changed nothing. The change is complete when the configuration says so. */
export type ConfigureResult =
  | { readonly kind: 'appended', readonly index: Index }
  | { readonly kind: 'refused', readonly reason: ConfigureRefusal }

/** `lagging`: the target does not keep up with the log, or nobody does. `pending`: a transfer is under way. */
export type TransferRefusal = 'not-leader' | 'unknown-member' | 'not-voter' | 'lagging' | 'pending'

/** What became of one `transfer`; a refusal changed nothing. */
export type TransferResult =
  | { readonly kind: 'started', readonly to: NodeId }
  | { readonly kind: 'refused', readonly reason: TransferRefusal }

/** Who leads, as this node sees it. */
export interface LeadershipView {
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | null
}

/**
 * All that the driver must do after one input.
 *
 * Order: start `write`; then let the storage forget what `release` says; send `messages` at once, also before the disk
 * is done; send `deferred` only when the write `deferredUntil` (and so every earlier one) is durable, because those
 * messages are promises about this node's disk; restore `installed`; apply `committed`.
 */
export interface Output {
  readonly write: Write | null
  readonly messages: readonly Message[]
  readonly deferred: readonly Message[]
  /** Id of the newest write issued so far; 0 when there was none. */
  readonly deferredUntil: number
  /** The storage may forget the entries through here, in its turn; no promise waits for that. Null: nothing new. */
  readonly release: Index | null
  /**
   * A snapshot that takes the place of the whole state, and of all entries handed out before; null when there is none.
   */
  readonly installed: SnapshotPoint | null
  /**
   * Entries newly known to be committed, in log order, each exactly once since the start, but for those that a snapshot
   * has covered.
   */
  readonly committed: readonly Entry[]
  /**
   * Peers that need what this leader's log has forgotten: to be sent the latest snapshot. Each is to be answered with
   * `snapshot-sent` or `snapshot-failed`, as long as this node leads; a peer may be named again while it is being sent
   * one.
   */
  readonly snapshotsWanted: readonly NodeId[]
  readonly proposed: ProposeResult | null
  readonly transfer: TransferResult | null
  readonly configured: ConfigureResult | null
  /** The configuration in force after this input when it changed, else null. */
  readonly configuration: Configuration | null
  readonly reads: readonly ReadResult[]
  /** The view after this input when it changed, else null. */
  readonly view: LeadershipView | null
  /**
   * Number of the heartbeat round of this term that was started, the later of two, or null. The lease counts from here.
   */
  readonly roundStarted: number | null
  /** Highest round of this term that a quorum has answered, when it rose, else null. */
  readonly roundConfirmed: number | null
  /** Why the received message was refused: it contradicts the protocol, and nothing was changed by it. */
  readonly violation: string | null
}
