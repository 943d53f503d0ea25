import type { LeaderInfo, Membership, SnapshotTaken, WaitOptions } from '../../raft/index.ts'
import type { BroadcastOptions, ClusterBroadcast } from '../primitives/broadcast.ts'
import type { LeadershipGrant } from '../primitives/grant.ts'
import type { ClusterLock } from '../primitives/lock.ts'
import type { ClusterReadWriteLock, SemaphoreOptions } from '../primitives/lock-kinds.ts'
import type { ClusterMachine } from '../primitives/machine.ts'
import type { ClusterMap } from '../primitives/map.ts'
import type { OnceRun } from '../primitives/once.ts'
import type { ClusterSchedule, ClusterSchedules } from '../primitives/schedule.ts'
import type { ScheduleOptions } from '../primitives/schedule-options.ts'
import type { ScheduleWork } from '../primitives/schedule-run.ts'
import type { ClusterWorkers, SingletonMethod, WorkerRun, WorkersOptions } from '../primitives/singleton-types.ts'
import type {
  ClusterBarrier,
  ClusterCounter,
  ClusterLatch,
  ClusterRateLimiter,
  RateLimiterOptions
} from '../primitives/tallies.ts'
import type { TransactionOptions, TransactionResult } from '../primitives/transaction.ts'
import type { MachineDefinition } from '../replicated/user-machine.ts'
import type {
  ClusterEvents,
  ClusterListener,
  ClusterStatus,
  LeadershipChange,
  LeaderWork,
  LeaderWorkResult,
  MemberChangeOptions,
  MemberUrlOptions,
  NewMember,
  TransferOptions,
  WaitLimit
} from './types.ts'

/**
 * The cluster as this node sees it: `app.cluster`.
 *
 * A property is a cheap look at what this node knows at that moment: it never waits and never throws, and it may be
 * another a moment later. A method does something: it asks the cluster, changes it, registers or subscribes. Methods
 * that wait take `timeoutMs` (milliseconds, `requestTimeoutMs` of the plugin when left out) and `signal`.
 *
 * No answer about leadership is safe a moment later. What two nodes must not do at once has to carry the fencing token,
 * and the resource has to check it.
 */
export interface Cluster {
  /** Identity of this node: the option `id`. */
  readonly nodeId: string
  /** Name of the cluster: the option `clusterId`. */
  readonly clusterId: string
  /**
   * Whether this node leads now: its first entry of the term is applied and its lease holds. Compares clocks at every
   * read, so that it turns false after a blocked event loop too, before any event could fire.
   */
  readonly isLeader: boolean
  /** The leader that this node knows of, itself included; null when it knows of none. */
  readonly leader: LeaderInfo | null
  /** Base URL of the leader: `leader.url`, but null when there is no leader or it has no address. */
  readonly leaderEndpoint: string | null
  /** Raft term of the leader, or the term of this node when it knows of none. */
  readonly term: number
  /** The members of the cluster as far as this node knows. The event `membershipChanged` tells of changes. */
  readonly membership: Membership
  /** All that this node knows of itself, as plain JSON: what `GET v1/status` answers. */
  readonly status: ClusterStatus

  /**
   * Waits until this node leads and resolves with the grant of that leadership.
   * Rejects with `RAFT_TIMEOUT`, the reason of the signal, or `RAFT_STOPPED` when the node stops.
   */
  waitForLeadership: (limit?: WaitLimit) => Promise<LeadershipGrant>
  /** Waits until a leader is known. Rejects like {@link Cluster.waitForLeadership}. */
  waitForLeader: (limit?: WaitLimit) => Promise<LeaderInfo>
  /**
   * Waits until this node has restored the state that its disk holds. Calls that need the state do so by themselves,
   * for as long as their `timeoutMs` says. With a large state it outlasts `app.ready()` and `app.listen()`.
   *
   * Rejects with `RAFT_RESTORING` after the timeout, the reason of the signal, or `RAFT_STOPPED`.
   */
  waitForState: (limit?: WaitLimit) => Promise<void>
  /**
   * Runs `work` if this node leads. Work that outlives its leadership is reported as `lost`, never as completed. An
   * error of the work itself is thrown in any case.
   */
  executeIfLeader: <T>(work: LeaderWork<T>) => Promise<LeaderWorkResult<T>>

  /**
   * Hands leadership over to a member, or to the most caught-up one when none is named, and resolves with the new
   * leader. Only on the leader: `RAFT_NOT_LEADER` elsewhere.
   *
   * Rejects, with nothing changed, with `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_ROLE` (a learner), `RAFT_MEMBER_LAGGING` or
   * `RAFT_CHANGE_PENDING`; with `RAFT_TIMEOUT` when nobody took over in time, and `RAFT_STOPPED` when this node stops.
   */
  transferLeadership: (to?: string | null, options?: TransferOptions) => Promise<LeaderInfo>
  /** Ends this node's leadership; an election follows, and this node may win it. Rejects with `RAFT_NOT_LEADER`. */
  stepDown: () => Promise<void>

  /**
   * Adds a member as a learner: it receives the log and does not vote until it is promoted. Resolves with the new
   * membership. The new node itself has to be started with `join`.
   *
   * This and the four below work on the leader only, one at a time. They reject, with nothing changed, with
   * `RAFT_NOT_LEADER`, `RAFT_INVALID_OPTIONS` (an id or URL that no member may have), `RAFT_MEMBER_EXISTS`,
   * `RAFT_UNKNOWN_MEMBER`, `RAFT_MEMBER_ROLE`, `RAFT_MEMBER_LAGGING`, `RAFT_QUORUM_AT_RISK`, `RAFT_CHANGE_PENDING` or
   * `RAFT_VERSION_MISMATCH`; with `RAFT_OUTCOME_UNKNOWN` when the change was not complete in time: it may yet be.
   */
  addMember: (member: NewMember, options?: MemberChangeOptions) => Promise<Membership>
  /** Turns a learner that has caught up into a voter. */
  promoteMember: (id: string, options?: MemberChangeOptions) => Promise<Membership>
  /** Turns a voter into a learner. A leader that demotes itself hands over. */
  demoteMember: (id: string, options?: MemberChangeOptions) => Promise<Membership>
  /** Removes a member. A leader that removes itself hands over. */
  removeMember: (id: string, options?: MemberUrlOptions) => Promise<Membership>
  /**
   * Changes where a member is reached. A node that is started again with another URL does that by itself.
   * Refused with `RAFT_MEMBER_EXISTS` when another member has the URL.
   */
  changeMemberUrl: (id: string, url: string, options?: MemberUrlOptions) => Promise<Membership>
  /**
   * Takes this node out of the cluster for good: hands leadership over, has its member removed, and stops. On any node.
   * Resolves when the cluster goes on without it, at once when it was no member. Close the application then; its data
   * is of no more use. The option `leaveOnClose` does the same when the application closes.
   *
   * Rejects with `RAFT_QUORUM_AT_RISK` when it is the last voter, or too few of the others are within reach;
   * `RAFT_CHANGE_PENDING` or `RAFT_NO_LEADER` when nobody made the change in time, and `RAFT_OUTCOME_UNKNOWN` when
   * somebody may have; `RAFT_UNAUTHORIZED` when the others refuse the call; `RAFT_STOPPED`. The node goes on then.
   */
  leave: (options?: WaitOptions) => Promise<void>
  /**
   * Prepares this node to be closed while nobody notices: its `readyz` answers 503 from now on, singletons stop, or
   * move to other nodes, leadership moves, and moves on when it comes back. Requests are served as before, those for
   * the leader by the next one, until the application is closed. Resolves when this node no longer leads, or nobody
   * took over in time. Cannot be undone; `app.close()` does the same first. Rejects with `RAFT_STOPPED` before the
   * application is ready.
   */
  drain: () => Promise<void>

  /** Calls `listener` at each event of that name, in a later microtask. An error that it throws is logged. */
  on: <Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>) => Cluster
  /** Calls `listener` at the next event of that name. With three parameters, see {@link OnceMethod}. */
  once: OnceMethod
  /** Ends what `on` or `once` began. */
  off: <Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>) => Cluster
  /**
   * Iterates over this node's role: the present one, then each change, until the node closes or `signal` aborts (with
   * its reason). A slow reader gets the latest role, not every one in between.
   */
  leadership: (options?: { readonly signal?: AbortSignal }) => AsyncIterableIterator<LeadershipChange>

  /**
   * The replicated map of that name, 1 to 200 characters (`RAFT_INVALID_OPTIONS`). Values are JSON; the caller answers
   * for what `V` says of them.
   */
  map: <V = unknown>(name: string) => ClusterMap<V>
  /**
   * Compares keys of maps, and writes one of two branches, at one place of the log: all of it or none, also in the eyes
   * of a watch. With `fence`, only while that leadership or lock holds.
   *
   * Rejects with `RAFT_INVALID_OPTIONS` (another form, a key twice in a branch, a value that JSON does not carry),
   * `RAFT_TOO_LARGE`, `RAFT_FENCED` or `RAFT_IDEMPOTENCY_CONFLICT`, and as every write of a map does.
   */
  transaction: (options: TransactionOptions) => Promise<TransactionResult>
  /** The distributed lock of that name, 1 to 200 characters (`RAFT_INVALID_OPTIONS`). */
  lock: (name: string) => ClusterLock
  /** The read-write lock of that name: many readers at once, or one writer. Names as those of locks. */
  readWriteLock: (name: string) => ClusterReadWriteLock
  /** The semaphore of that name: its permits are shared by all copies. Names as those of locks. */
  semaphore: (name: string, options: SemaphoreOptions) => ClusterLock
  /** The counter of that name. Names of this and the three below as those of locks. */
  counter: (name: string) => ClusterCounter
  /** The latch of that name: it opens when it was counted down so often. */
  latch: (name: string, count: number) => ClusterLatch
  /** The barrier of that name: so many go on together. */
  barrier: (name: string, parties: number) => ClusterBarrier
  /** The rate limiter of that name, shared by all copies. */
  rateLimiter: (name: string, options: RateLimiterOptions) => ClusterRateLimiter
  /**
   * Registers a replicated state machine. Call it on every node alike, before `app.ready()`.
   *
   * Throws `RAFT_INVALID_OPTIONS` (a definition or a name that cannot be), `RAFT_MACHINE_EXISTS` or
   * `RAFT_MACHINE_TOO_LATE`. A node stops with `RAFT_UNKNOWN_MACHINE` when it lacks a machine that the log or its
   * snapshot has, with `RAFT_MACHINE_VERSION` when its version is older, and with the error of a machine that throws.
   */
  machine: <State, Command, Answer>(
    name: string,
    definition: MachineDefinition<State, Command, Answer>
  ) => ClusterMachine<State, Command, Answer>
  /**
   * Runs `run` on one node at a time: the one that leads, or with `placement: 'spread'` the one that the hash of its
   * name says, of those that have called this and do not drain. Call it on every node, with the same name.
   * Throws `RAFT_INVALID_OPTIONS` when the name is empty or in use on this node, or for an option out of bounds.
   */
  singleton: SingletonMethod
  /**
   * Runs `run` `count` times in the cluster, 1 to 256, spread over the nodes that have called this and do not drain;
   * each run has a number from 0, and is on one node at a time. Otherwise as `singleton` with `placement: 'spread'`.
   */
  workers: (name: string, count: number, run: WorkerRun, options?: WorkersOptions) => ClusterWorkers
  /** All schedules of the cluster by their names, also those that this node has not registered. */
  readonly schedules: ClusterSchedules
  /**
   * A topic of which all copies hear: to empty caches, for instance. Throws `RAFT_INVALID_OPTIONS` for a name that is
   * no topic.
   */
  broadcast: <Message = unknown>(topic: string, options?: BroadcastOptions) => ClusterBroadcast<Message>
  /**
   * Runs `run` at each slot of a cron expression (five fields, six with seconds, seven with a year; UTC unless
   * `timeZone` says otherwise), on the node that leads and once for the whole cluster. Call it on every node alike.
   * What `run` throws is logged and remembered, and goes no further.
   *
   * Throws `RAFT_CRON_INVALID`, `RAFT_CRON_NEVER`, `RAFT_TIME_ZONE`, `RAFT_SCHEDULE_EXISTS` (the name is registered on
   * this node) or `RAFT_INVALID_OPTIONS`.
   */
  schedule: (name: string, cron: string, run: ScheduleWork, options?: ScheduleOptions) => ClusterSchedule

  /**
   * Takes a snapshot of this node's state now and compacts its log behind it. The node does so by itself as well
   * (option `snapshots`). Resolves when the snapshot is durable. Rejects with the error of the disk, after which the
   * node goes on as before, and with `RAFT_STOPPED`.
   */
  takeSnapshot: () => Promise<SnapshotTaken>
}

/** The two meanings of `once`: the next event, and work that one copy does. */
export interface OnceMethod {
  /** Calls `listener` at the next event of that name. */
  <Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): Cluster
  /**
   * Does work once in the cluster, for each version of its name: one copy calls `run`, the others wait, and all resolve
   * with what it returned (JSON, 4,096 bytes at most, or undefined). It is remembered for good. If `run` throws, its
   * caller gets the error, and the next caller does the work; so it is when its process crashed half way, which the
   * grant tells. Call it behind `listen()`: it needs a leader.
   *
   * Rejects with `RAFT_INVALID_OPTIONS`, `RAFT_NOT_JSON` or `RAFT_TOO_LARGE` (what `run` returned), `RAFT_BUSY` (10,000
   * works are remembered), `RAFT_SESSION_LOST` (this process was cut off while `run` was at work, and another one may
   * do it again), `RAFT_TIMEOUT`, `RAFT_NO_LEADER`, `RAFT_STOPPED`, or the reason of the signal. `timeoutMs` bounds the
   * wait for others, not `run`; no limit when left out.
   */
  <T>(name: string, version: string | number, run: OnceRun<T>, options?: WaitOptions): Promise<T>
}
