import type { ChangeFault } from './configuration.ts'
import type { Message } from './message.ts'
import type { Installation } from './snapshot.ts'
import type { Configuration, Entry, HardState, Index, LogBase, NodeId, Role, Term } from './types.ts'

/**
 * One group of changes for the disk. Writes become durable in the order of their ids, which count up from 1.
 *
 * - `append`: the hard state, null when it did not change, and then the entries. They replace everything in the log
 *   from the first of them on (paper section 5.3).
 * - `restart`: the log starts anew behind `base`, with this hard state and no entries, all or nothing (paper figure
 *   13, rule 7).
 */
export type Write =
  | {
    readonly kind: 'append'
    readonly id: number
    readonly hardState: HardState | null
    readonly entries: readonly Entry[]
  }
  | { readonly kind: 'restart', readonly id: number, readonly base: LogBase, readonly hardState: HardState }

/**
 * Why commands were not appended: this node does not lead, has too much uncommitted, or is handing leadership over (the
 * next leader will take them).
 */
export type ProposeRefusal = 'not-leader' | 'busy' | 'transferring'

/** Outcome of {@link RaftCore.propose}; a refusal means that none of the commands was appended. */
export type ProposeResult =
  | { readonly kind: 'appended', readonly term: Term, readonly firstIndex: Index, readonly count: number }
  | { readonly kind: 'refused', readonly reason: ProposeRefusal }

/**
 * Answer to one read, some steps after it was asked. `context` is the mark that the caller gave. A confirmed read may
 * be served from the state as soon as everything through `index` is applied.
 */
export type ReadResult =
  | { readonly kind: 'confirmed', readonly context: number, readonly index: Index }
  | { readonly kind: 'refused', readonly context: number, readonly reason: 'no-leader' | 'leadership-lost' | 'busy' }

/**
 * Why a configuration was not changed. `pending`: a change is under way. `conflict`: the configuration is not the one
 * expected. `not-ready`: the term's no-op is not committed yet. `quorum-at-risk`: too few of the new voters are within
 * reach. `lagging`: the learner has not caught up.
 */
export type ConfigureRefusal =
  | 'not-leader' | 'transferring' | 'not-ready' | 'pending' | 'conflict' | 'lagging' | 'quorum-at-risk' | ChangeFault

/**
 * Outcome of {@link RaftCore.configure}; a refusal changed nothing. The change is complete when a configuration that is
 * not joint is committed.
 */
export type ConfigureResult =
  | { readonly kind: 'appended', readonly index: Index }
  | { readonly kind: 'refused', readonly reason: ConfigureRefusal }

/**
 * Why leadership was not transferred. `lagging`: the target, or every voter if no target was named, does not keep up
 * with the log. `pending`: a transfer is under way.
 */
export type TransferRefusal = 'not-leader' | 'unknown-member' | 'not-voter' | 'lagging' | 'pending'

/** Outcome of {@link RaftCore.transfer}; a refusal changed nothing. The view shows later whether another node leads. */
export type TransferResult =
  | { readonly kind: 'started', readonly to: NodeId }
  | { readonly kind: 'refused', readonly reason: TransferRefusal }

/** Role, term and leader, as this node knows them. */
export interface LeadershipView {
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | null
}

/**
 * A rule of the protocol that a received message or snapshot breaks. Nothing was changed by it.
 *
 * - `protocol`: no correct member of this cluster sends such a message.
 * - `contradiction`: this log and the leader's cannot both be right. Either this log has lost entries that this node
 *   confirmed, or the leader has other entries where this node knows of committed ones. A single message proves
 *   nothing: it may be forged or late.
 * - `foreign`: the sender belongs to another cluster, or does not know yet that it belongs to this one.
 */
export interface Violation {
  readonly kind: 'protocol' | 'contradiction' | 'foreign'
  readonly message: string
}

/**
 * All that the driver must do after one call of the core. Carried out in this order (`carryOut` of the driver does):
 *
 * 1. start `write`, then compact the log through `compactThrough`;
 * 2. send `messages` at once, also before the disk is done;
 * 3. hold `deferred` until the write `deferredUntil`, and so every earlier one, is durable: these messages are promises
 *    about this node's disk;
 * 4. restore `installed`, then apply `committed`.
 */
export interface Output<Handle = unknown> {
  /** Group of changes for the disk; null when there are none. */
  readonly write: Write | null
  /**
   * The storage may compact the log through this index when it gets to it; no promise waits for that. Null: no change.
   */
  readonly compactThrough: Index | null
  /** Messages that promise nothing about this node's disk, in the order in which they were made. */
  readonly messages: readonly Message[]
  /** Messages that must not leave before the write `deferredUntil` is durable. */
  readonly deferred: readonly Message[]
  /** Id of the newest write issued so far; 0 when there was none. */
  readonly deferredUntil: number
  /**
   * The snapshot given to {@link RaftCore.install}, if it replaces the whole state and all entries handed out before;
   * else null.
   */
  readonly installed: Installation<Handle> | null
  /**
   * Entries newly known to be committed, in log order. Since the start each is handed out exactly once, except those
   * that an installed snapshot covers.
   */
  readonly committed: readonly Entry[]
  /**
   * Peers that need entries which this leader has compacted: send them the latest snapshot. While this node leads,
   * report each with {@link RaftCore.snapshotSent} or {@link RaftCore.snapshotFailed}. A peer may be named again while
   * it is being sent a snapshot.
   */
  readonly snapshotsWanted: readonly NodeId[]
  /** Answers to reads that were requested on this node, now or in an earlier step. */
  readonly reads: readonly ReadResult[]
  /** The configuration in force after this step when it changed, else null; it may not be committed yet. */
  readonly configuration: Configuration | null
  /** Role, term and leader after this step when one of them changed, else null. */
  readonly view: LeadershipView | null
  /**
   * Number of the heartbeat round of this term that was started, the later of two, or null. The lease counts from the
   * start of the round (dissertation section 6.4.1).
   */
  readonly roundStarted: number | null
  /** Highest round of this term that a quorum has answered, when it rose, else null. */
  readonly roundConfirmed: number | null
}
