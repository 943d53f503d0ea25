import type { EventEmitter } from 'node:events'
import type { Role } from './core/types.ts'

/** One member of the cluster, and where the others reach it. */
export interface Member {
  readonly id: string
  /** Base URL without a trailing slash, for example `http://10.0.0.1:3000`. */
  readonly url: string
}

/**
 * What a member is. A `voter` counts for elections and commits; a `learner` only receives the log; one that is
 * `leaving` votes until the change that removes it is complete.
 */
export type MemberRole = 'voter' | 'learner' | 'leaving'

/** A member as the configuration in force on this node says. */
export interface MemberInfo extends Member {
  readonly role: MemberRole
  /** Only of a learner that was a voter and was demoted: it does not ask to become one again. */
  readonly demoted?: true
  /**
   * Which log it keeps, once the leader has heard from it and written that down: a node with another one is not this
   * member.
   */
  readonly incarnation?: string
}

/** Who belongs to the cluster. */
export interface Membership {
  readonly members: readonly MemberInfo[]
  /** Log index of the entry that says so; 0 before the log says anything. Rises with every change. */
  readonly version: number
  /** Whether it is committed and no change is under way. */
  readonly isSettled: boolean
}

/**
 * One step of a change of membership. New members start as learners. `incarnation` says which log the member keeps:
 * left out for a new one, it is the first one heard of; given for one that moves, it has to be that of the member.
 */
export type MembershipChange =
  | { readonly kind: 'add-learner', readonly id: string, readonly url: string, readonly incarnation?: string }
  | { readonly kind: 'promote', readonly id: string }
  | { readonly kind: 'demote', readonly id: string }
  | { readonly kind: 'remove', readonly id: string }
  | { readonly kind: 'set-url', readonly id: string, readonly url: string, readonly incarnation?: string }

/** How to change the membership. */
export interface ChangeOptions extends WaitOptions {
  /** Refuses the change unless this is the membership's version. */
  readonly ifVersion?: number | undefined
}

/** The leader as this node knows it. */
export interface LeaderInfo extends Member {
  readonly term: number
}

/** How long a wait may take, and a signal that ends it early. Undefined is the same as left out. */
export interface WaitOptions {
  /** Milliseconds, 0 or more; more than a timer takes (24 days), `Infinity` included, is no limit. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait, not what is waited for, with its own reason. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A leadership of this node: from the moment its first entry was applied here.
 */
export interface Leadership {
  /** Fencing token: the log index of the term's no-op. */
  readonly token: number
  readonly term: number
}

/** A snapshot of what this node knows of itself. */
export interface EngineStatus {
  readonly nodeId: string
  /** Which log this node keeps: random, given to it when the log was created. */
  readonly incarnation: string
  readonly clusterId: string
  readonly role: Role
  readonly term: number
  readonly leader: LeaderInfo | null
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  /** Everything through this index is in a snapshot on this node; 0 when it has none. */
  readonly snapshotIndex: number
  /**
   * Remaining leadership lease in milliseconds; 0 when this node does not lead, null when it cannot lapse (a cluster of
   * one).
   */
  readonly leaseRemainingMs: number | null
  readonly members: readonly MemberInfo[]
  /**
   * Whether space for the log of this node is running out. While it leads it refuses commands for that; nothing has
   * failed yet.
   */
  readonly lowSpace: boolean
  /** Why the node stopped for good, or null while it runs. */
  readonly failure: Error | null
}

/** A snapshot that a node holds. */
export interface SnapshotTaken {
  /** Log index and term of the last entry it covers. */
  readonly index: number
  readonly term: number
  readonly bytes: number
}

/** Events of an {@link Engine}; listeners run synchronously and must not throw. */
export interface EngineEvents {
  /** This node's leadership started (`leadership` set) or ended (null). */
  leadership: [leadership: Leadership | null]
  /** Another leader, or none, is known. */
  leader: [leader: LeaderInfo | null]
  /** Another membership is in force on this node. */
  membership: [membership: Membership]
  /** All entries up to this index have been applied on this node. */
  applied: [index: number]
  /** A snapshot of this node's own state is durable. */
  snapshot: [snapshot: SnapshotTaken]
  /** The node stopped for good (disk failure, broken invariant, state machine that threw). */
  failed: [error: Error]
}

/**
 * What the coordinator and the primitives need of consensus. Raft is the first engine behind it.
 */
export interface Engine {
  readonly events: EventEmitter<EngineEvents>
  /** Opens nothing by itself: starts timers and message exchange. */
  start: () => void
  /** Ends all traffic and the disk; a leader hands over first, as `handOver` does. */
  stop: () => Promise<void>
  /**
   * Replicates one command, through whichever node leads, and resolves with the answer of this node's state machine
   * once it is durable on a majority and applied here. Applied at most once, however often it had to be sent.
   *
   * Rejects with `RAFT_NO_LEADER` or `RAFT_BUSY` when it surely was not appended and `RAFT_OUTCOME_UNKNOWN` when it may
   * have been; with the signal's reason when that aborts first.
   */
  propose: (command: Uint8Array, options?: WaitOptions) => Promise<unknown>
  /**
   * Resolves when this node's state machine has applied everything that was committed anywhere before the call
   * (ReadIndex, dissertation section 6.4). Rejects with `RAFT_NO_LEADER` after the timeout.
   */
  readBarrier: (options?: WaitOptions) => Promise<void>
  membership: () => Membership
  /**
   * Changes who belongs, all steps at once, through joint consensus, and resolves when that is complete and applied
   * here. Only the leader does; one change at a time.
   *
   * Rejects, with nothing changed, with `RAFT_NOT_LEADER`, `RAFT_CHANGE_PENDING`, `RAFT_VERSION_MISMATCH`,
   * `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_EXISTS`, `RAFT_MEMBER_ROLE`, `RAFT_MEMBER_LAGGING`, `RAFT_QUORUM_AT_RISK`
   * or `RAFT_WRONG_INCARNATION`; with `RAFT_OUTCOME_UNKNOWN` when the change was not complete in time: it may yet be.
   */
  changeMembership: (changes: readonly MembershipChange[], options?: ChangeOptions) => Promise<Membership>
  /**
   * Hands leadership over to a member, or to the most caught-up one (null), and resolves with the new leader. This node
   * counts as leader no longer from the moment the other one may lead.
   *
   * Rejects, with nothing changed, with `RAFT_NOT_LEADER`, `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_LAGGING` or
   * `RAFT_CHANGE_PENDING`; with `RAFT_TIMEOUT` when nobody took over in time.
   */
  transferLeadership: (to: string | null, options?: WaitOptions) => Promise<LeaderInfo>
  /**
   * Before this node leaves in order: hands leadership over to the most caught-up member if this node leads and is not
   * the only voter. That saves the others an election timeout. Never rejects; where nobody takes over, they elect.
   */
  handOver: () => Promise<void>
  /**
   * Ends this node's leadership without naming a successor; an election follows. Rejects with `RAFT_NOT_LEADER`.
   */
  stepDown: () => Promise<void>
  /**
   * Takes a snapshot of this node's state now, and lets its log be forgotten behind it. Resolves when it is durable,
   * with the one there is when nothing was applied since. Rejects with what the disk says; the node goes on then.
   */
  takeSnapshot: () => Promise<SnapshotTaken>
  /**
   * This node's leadership, or null. Compares clocks at every call and is never a cached flag: null from the moment
   * the lease has lapsed, even if no timer could run since.
   */
  leadership: () => Leadership | null
  /** The leader known to this node, itself included. */
  leader: () => LeaderInfo | null
  status: () => EngineStatus
}
