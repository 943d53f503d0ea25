import type { LeaderInfo, Membership, SnapshotTaken } from '../../raft/index.ts'
import type { Grant } from '../primitives/grant.ts'
import type { ClusterLock } from '../primitives/lock.ts'
import type { Machine } from '../primitives/machine.ts'
import type { ClusterMap } from '../primitives/map.ts'
import type { Singleton, SingletonOptions, SingletonRun } from '../primitives/singleton.ts'
import type { MachineDefinition } from '../replicated/user-machine.ts'
import type {
  ClusterEvents,
  ClusterListener,
  ClusterStatus,
  ExecuteResult,
  LeadershipChange,
  LeaderWork,
  MemberChangeOptions,
  MemberMoveOptions,
  NewMember,
  TransferOptions,
  Wait
} from './types.ts'

/**
 * The cluster as this node sees it: `app.cluster`.
 *
 * No answer about leadership is safe a moment later. What must not be done by two nodes at once has to carry the
 * fencing token, and whatever it is done to has to check that.
 */
export interface Cluster {
  readonly nodeId: string
  readonly clusterId: string
  /**
   * Whether this node leads now: its first entry of the term is applied and its lease holds. Compares clocks at every
   * read, so that it turns false behind a blocked event loop too, before any event could fire.
   */
  readonly isLeader: boolean
  /** The leader this node knows of, itself included. */
  readonly leader: LeaderInfo | null
  /** Base URL of the leader, or null when there is none or it has no address. */
  readonly leaderEndpoint: string | null
  readonly term: number

  /**
   * Waits until this node leads and resolves with the grant of that leadership.
   * Rejects with `RAFT_TIMEOUT`, the signal's reason, or `RAFT_STOPPED` when the node stops.
   */
  waitForLeadership: (wait?: Wait) => Promise<Grant>
  /** Waits until a leader is known. Rejects like {@link Cluster.waitForLeadership}. */
  waitForLeader: (wait?: Wait) => Promise<LeaderInfo>
  /**
   * Runs `work` if this node leads. Work that outlives its leadership is reported as `lost`, never as completed; an
   * error of the work itself is thrown in any case.
   */
  executeIfLeader: <T>(work: LeaderWork<T>) => Promise<ExecuteResult<T>>

  /**
   * Hands leadership over to a member, or to the most caught-up one when none is named, and resolves with the new
   * leader. Only on the leader: `RAFT_NOT_LEADER` elsewhere.
   *
   * Rejects, with nothing changed, with `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_ROLE` (a learner), `RAFT_MEMBER_LAGGING` or
   * `RAFT_CHANGE_PENDING`; with `RAFT_TIMEOUT` when nobody took over in time.
   */
  transferLeadership: (to?: string | null, options?: TransferOptions) => Promise<LeaderInfo>
  /** Ends this node's leadership; an election follows, and this node may win it. Rejects with `RAFT_NOT_LEADER`. */
  stepDown: () => Promise<void>

  /** Who belongs to the cluster, as far as this node knows. */
  readonly membership: Membership
  /**
   * Adds a member as a learner: it receives the log, and counts for nothing until it is promoted. Resolves with the new
   * membership. The new node itself has to be started with `join`.
   *
   * This and the four below work on the leader only, one at a time. They reject, with nothing changed, with
   * `RAFT_NOT_LEADER`, `RAFT_INVALID_OPTIONS` (an id or URL that no member may have), `RAFT_MEMBER_EXISTS`,
   * `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_ROLE`, `RAFT_MEMBER_LAGGING`, `RAFT_QUORUM_AT_RISK`, `RAFT_CHANGE_PENDING` or
   * `RAFT_VERSION_MISMATCH`; with `RAFT_OUTCOME_UNKNOWN` when the change was not complete in time: it may yet be.
   */
  addMember: (member: NewMember, options?: MemberChangeOptions) => Promise<Membership>
  /** Makes a learner that has caught up a voter. */
  promoteMember: (id: string, options?: MemberChangeOptions) => Promise<Membership>
  /** Makes a voter a learner. A leader that demotes itself hands over. */
  demoteMember: (id: string, options?: MemberChangeOptions) => Promise<Membership>
  /** Removes a member. A leader that removes itself hands over. */
  removeMember: (id: string, options?: MemberChangeOptions) => Promise<Membership>
  /**
   * Says where a member is reached from now on. A node that is started again with another URL does that by itself.
   * Refused with `RAFT_MEMBER_EXISTS` when another member is there.
   */
  changeMemberUrl: (id: string, url: string, options?: MemberMoveOptions) => Promise<Membership>

  on: <Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>) => Cluster
  once: <Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>) => Cluster
  off: <Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>) => Cluster
  /**
   * This node's role now, and from then on each time it flips, until the node closes or `signal` aborts (with its
   * reason). A slow reader gets the latest role, not every one in between.
   */
  leadership: (options?: { readonly signal?: AbortSignal }) => AsyncIterableIterator<LeadershipChange>

  /** The replicated map of that name. Values are JSON; what `V` says is the caller's promise. */
  map: <V = unknown>(name: string) => ClusterMap<V>
  /** The distributed lock of that name. */
  lock: (name: string) => ClusterLock
  /**
   * Registers a replicated state machine. To be called on every node alike, before `app.ready()`.
   *
   * Throws `RAFT_INVALID_OPTIONS` (a definition or a name that cannot be), `RAFT_MACHINE_EXISTS` or
   * `RAFT_MACHINE_TOO_LATE`. A node that lacks a machine which the log or its snapshot has, or has an older version,
   * stops with `RAFT_UNKNOWN_MACHINE` or `RAFT_MACHINE_VERSION`; one whose machine throws stops with that error.
   */
  machine: <State, Command, Answer>(
    name: string,
    definition: MachineDefinition<State, Command, Answer>
  ) => Machine<State, Command, Answer>
  /**
   * Runs `run` on whichever node leads, as long as it leads. To be called on every node, with the same name.
   */
  singleton: (name: string, run: SingletonRun, options?: SingletonOptions) => Singleton

  /**
   * Takes a snapshot of this node's state now, and lets its log be forgotten behind it; it does so by itself now and
   * then (`snapshots` of the options). Resolves when it is durable. Rejects with what the disk says, and with
   * `RAFT_STOPPED`; the node goes on as before.
   */
  takeSnapshot: () => Promise<SnapshotTaken>

  /** What this node knows of itself. */
  status: () => ClusterStatus
}
