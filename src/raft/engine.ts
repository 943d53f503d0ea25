import type { LeadershipLoss, Role } from './core/types.ts'

/** One member of the cluster, and where the others reach it. */
export interface Member {
  readonly id: string
  /** Base URL without a trailing slash, for example `http://10.0.0.1:3000`. */
  readonly url: string
}

/** The leader as this node knows it. */
export interface LeaderInfo extends Member {
  /** Number of its leadership. Rises with every leader of the cluster. */
  readonly term: number
}

/** How long a wait may take, and a signal that ends it early. Undefined is the same as left out. */
export interface WaitOptions {
  /** Milliseconds, 0 or more; more than a timer takes (24 days), `Infinity` included, is no limit. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait with its own reason; what was started goes on. */
  readonly signal?: AbortSignal | undefined
}

/** A leadership of this node, from the moment it has applied everything that was committed before. */
export interface Leadership {
  /** Fencing token: rises with every leadership of the cluster. With Raft, the log index of the term's first entry. */
  readonly token: number
  readonly term: number
}

/** How far a node is that restores its state after its start. */
export interface RestoreProgress {
  /** The snapshot covers all entries up to this index. */
  readonly snapshotIndex: number
  /** Bytes of the snapshot that the state machine has taken, of so many. */
  readonly bytes: number
  readonly totalBytes: number
  /** Milliseconds since it began. */
  readonly sinceMs: number
}

/**
 * Why a leadership of this node is over:
 *
 * - `deposed`: it heard of a later term;
 * - `transferred`: it told another node to take over;
 * - `stepped-down`: it was asked to, or its disk hung;
 * - `removed`: it is no voter any more;
 * - `quorum-lost`: no majority answered it, so another node may lead;
 * - `lease-lost`: it could not run or its clocks were set, and no majority confirmed it afterwards;
 * - `stopped`: the node was closed or failed.
 */
export type LeadershipEnd = LeadershipLoss | 'lease-lost' | 'stopped'

/** What any engine knows of its node. */
export interface EngineStatus {
  readonly nodeId: string
  readonly clusterId: string
  /** See {@link Engine.clusterUuid}; null until it is known. */
  readonly clusterUuid: string | null
  /** The latest leadership that this node has heard of. */
  readonly term: number
  readonly leader: LeaderInfo | null
  /**
   * Remaining leadership lease in milliseconds; 0 when this node does not lead, null when it cannot lapse (a cluster of
   * one).
   */
  readonly leaseRemainingMs: number | null
  /** Why the node stopped for good, or null while it runs. */
  readonly failure: Error | null
}

/** The side of an event emitter that its listeners use. `Events` maps names to the arguments of listeners. */
export interface EventSource<Events extends Record<keyof Events, unknown[]>> {
  on<Name extends keyof Events> (name: Name, listener: (...args: Events[Name]) => void): EventSource<Events>
  once<Name extends keyof Events> (name: Name, listener: (...args: Events[Name]) => void): EventSource<Events>
  off<Name extends keyof Events> (name: Name, listener: (...args: Events[Name]) => void): EventSource<Events>
}

/** Events of an {@link Engine}; listeners run synchronously and must not throw. */
export interface EngineEvents {
  /**
   * This node's leadership started (`leadership` set) or ended (null), and why it ended. A lapse of the lease in which
   * no other node was elected ends nothing: only `lease` tells of it.
   */
  leadership: [leadership: Leadership | null, end?: LeadershipEnd]
  /** `currentLeadership` is null although the leadership goes on (false), or no longer so (true). */
  lease: [isHeld: boolean]
  /** Another leader, or none, is known. */
  leader: [leader: LeaderInfo | null]
  /** The node stopped for good (disk failure, broken invariant, state machine that threw). */
  failed: [error: Error]
}

/**
 * What the coordinator and the primitives need of consensus, whichever engine provides it. It stands here and not in
 * the plugin because the Raft of this package implements it, and imports run from the plugin to the engine only.
 */
export interface Engine {
  readonly events: EventSource<EngineEvents>
  /** Opens nothing by itself: starts timers and message exchange, and begins to restore the state. */
  readonly start: () => void
  /**
   * Resolves when the state machine of this node has its state: at once, unless the node has just started and still
   * restores it. Rejects with `RAFT_RESTORING` after the timeout, and with `RAFT_STOPPED` when the node stops or the
   * state cannot be restored; the `cause` says why.
   */
  readonly waitForState: (options?: WaitOptions) => Promise<void>
  /** Ends all traffic and the disk; a leader hands over first, as `handOver` does. */
  readonly stop: () => Promise<void>
  /**
   * Before this node leaves in order: lets another node lead, if this one leads and is not the only one that can. That
   * saves the others an election timeout. Never rejects; where no other node takes over, they elect.
   */
  readonly handOver: () => Promise<void>
  /**
   * Replicates one command, through the leader, and resolves with the answer of this node's state machine once the
   * command is durable and applied here. Applied at most once, however often it had to be sent.
   *
   * Rejects with `RAFT_NO_LEADER`, `RAFT_BUSY` or `RAFT_RESTORING` when it surely was not executed and
   * `RAFT_OUTCOME_UNKNOWN` when it may have been; with the signal's reason when that aborts first.
   */
  readonly propose: (command: Uint8Array, options?: WaitOptions) => Promise<unknown>
  /**
   * Resolves when this node's state machine has applied everything that was committed anywhere before the call: reads
   * of its state are linearizable then. Rejects with `RAFT_NO_LEADER` or `RAFT_RESTORING` after the timeout.
   */
  readonly readBarrier: (options?: WaitOptions) => Promise<void>
  /**
   * This node's leadership, or null. Compares clocks at every call and is never a cached flag: null from the moment
   * the lease has lapsed, even if no timer could run since.
   */
  readonly currentLeadership: () => Leadership | null
  /**
   * This node's leadership from its start to its end, or null: also while its lease has lapsed and nobody knows yet
   * whether another node leads. It says whether work goes on, never whether this node may act as leader.
   */
  readonly openLeadership: () => Leadership | null
  /** The leader known to this node, itself included. */
  readonly leader: () => LeaderInfo | null
  /** All members of the cluster that this node knows, itself included. */
  readonly members: () => readonly Member[]
  /**
   * Which cluster this node belongs to, among all that have its name: random, drawn when the cluster was founded, the
   * same on all its nodes. Undefined until this node knows it, which takes a leader; then it never changes.
   */
  readonly clusterUuid: () => string | undefined
  /** Index of the last log entry that this node's state machine has applied; 0 before there is any. */
  readonly appliedIndex: () => number
  /**
   * Milliseconds since this node last took a message of its leader, by whichever of its two clocks says more; 0 on a
   * leader while its lease holds, and on one whose lease has lapsed the time since the last round that a majority
   * answered began. `Infinity` when there was none since the start. No bound of staleness: the message may have waited.
   */
  readonly lastContactMs: () => number
  readonly status: () => EngineStatus
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
   * Which log it keeps, once the leader has heard from it and recorded that: a node with another log is not this
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
 * left out for a new member, the first one heard of counts; given for a member that moves, it has to be the one known.
 */
export type MembershipChange =
  | { readonly kind: 'add-learner', readonly id: string, readonly url: string, readonly incarnation?: string }
  | { readonly kind: 'promote', readonly id: string }
  | { readonly kind: 'demote', readonly id: string }
  | { readonly kind: 'remove', readonly id: string, readonly incarnation?: string }
  | { readonly kind: 'set-url', readonly id: string, readonly url: string, readonly incarnation?: string }

/** How to change the membership. */
export interface ChangeOptions extends WaitOptions {
  /** Refuses the change unless this is the membership's version. */
  readonly ifVersion?: number | undefined
}

/** A snapshot that a node holds. */
export interface SnapshotTaken {
  /** Log index and term of the last entry it covers. */
  readonly index: number
  readonly term: number
  readonly bytes: number
}

/** Snapshots that failed, all since the last one that did not: the log of the node grows meanwhile. */
export interface SnapshotFailure {
  /** Why the last one failed, with the code of the error. */
  readonly message: string
  /** How many failed in a row. */
  readonly count: number
  /** Milliseconds since the first of them. */
  readonly sinceMs: number
}

/** What a Raft node knows of itself. */
export interface RaftStatus extends EngineStatus {
  /** Which log this node keeps: random, given to it when the log was created. */
  readonly incarnation: string
  readonly role: Role
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  /** Everything through this index is in a snapshot on this node; 0 when it has none. */
  readonly snapshotIndex: number
  /** That no snapshot could be taken lately, or null. The node goes on, and tries again. */
  readonly snapshotFailure: SnapshotFailure | null
  /** How far the state is restored after the start, or null when it is there. */
  readonly restoring: RestoreProgress | null
  readonly members: readonly MemberInfo[]
  /**
   * Whether space for the log of this node is running out. While it leads it refuses commands that may let the state
   * grow; nothing has failed yet.
   */
  readonly lowSpace: boolean
}

/** Events of {@link RaftControl}; listeners run synchronously and must not throw. */
export interface RaftEvents extends EngineEvents {
  /** Another membership is in force on this node. */
  membership: [membership: Membership]
  /** All entries up to this index have been applied on this node. */
  applied: [index: number]
  /** A snapshot of this node's own state is durable. */
  snapshot: [snapshot: SnapshotTaken]
}

/** What only a Raft engine offers: for the parts that administer a cluster, never for the primitives. */
export interface RaftControl extends Engine {
  readonly events: EventSource<RaftEvents>
  readonly membership: () => Membership
  /**
   * Whether this node was a member for certain: a committed membership has it with its log, as far as that goes back. A
   * log that does not have it may only be behind. Whether it is a member now, only the cluster can say.
   */
  readonly hasBelonged: () => boolean
  /**
   * This node is to become part of the cluster with this UUID: as long as its own log does not say which cluster it
   * belongs to, it refuses the messages of all others.
   */
  readonly expectCluster: (uuid: string) => void
  /**
   * Changes who belongs, all steps at once, through joint consensus (dissertation section 4.3), and resolves when that
   * is complete and applied here. On the leader only, one change at a time.
   *
   * Rejects, with nothing changed, with `RAFT_NOT_LEADER`, `RAFT_CHANGE_PENDING`, `RAFT_VERSION_MISMATCH`,
   * `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_EXISTS`, `RAFT_MEMBER_ROLE`, `RAFT_MEMBER_LAGGING`, `RAFT_QUORUM_AT_RISK`
   * or `RAFT_WRONG_INCARNATION`; with `RAFT_OUTCOME_UNKNOWN` when the change was not complete in time: it may yet be.
   */
  readonly changeMembership: (changes: readonly MembershipChange[], options?: ChangeOptions) => Promise<Membership>
  /**
   * Hands leadership over to a member, or to the most caught-up one (null), and resolves with the new leader
   * (dissertation section 3.10). This node counts as leader no longer from the moment the other one may lead.
   *
   * Rejects, with nothing changed, with `RAFT_NOT_LEADER`, `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_LAGGING` or
   * `RAFT_CHANGE_PENDING`; with `RAFT_TIMEOUT` when no member took over in time.
   */
  readonly transferLeadership: (to: string | null, options?: WaitOptions) => Promise<LeaderInfo>
  /**
   * Ends this node's leadership without naming a successor; an election follows. Rejects with `RAFT_NOT_LEADER`.
   */
  readonly stepDown: () => Promise<void>
  /**
   * Takes a snapshot of this node's state now, and compacts its log behind it. Resolves when the snapshot is durable,
   * with the latest one when nothing was applied since. Rejects with the error of the disk; the node goes on then. Not
   * while the state is restored after the start: `RAFT_RESTORING`.
   */
  readonly takeSnapshot: () => Promise<SnapshotTaken>
  readonly status: () => RaftStatus
}
