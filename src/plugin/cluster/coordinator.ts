import { setMaxListeners } from 'node:events'
import { createRequire } from 'node:module'
import type {
  LeaderInfo,
  Leadership,
  Logger,
  Membership,
  PeerNotes,
  RaftControl,
  SnapshotTaken,
  WaitOptions
} from '../../raft/index.ts'
import { LeadershipLostError, StoppedError, TimeoutError } from '../../raft/index.ts'
import { ForgedFields, notStartedError, settlesWithin, systemTimers } from '../../raft/internal.ts'
import type { MemberReach } from '../options/member-rules.ts'
import type { BroadcastOptions, ClusterBroadcast } from '../primitives/broadcast.ts'
import { Broadcasts } from '../primitives/broadcast.ts'
import type { PrimitiveContext } from '../primitives/context.ts'
import { waitOptions } from '../primitives/context.ts'
import { startDueGrants } from '../primitives/due-grants.ts'
import type { GrantOwner, LeadershipGrant } from '../primitives/grant.ts'
import { createGrant } from '../primitives/grant.ts'
import { startKeyExpiry } from '../primitives/key-expiry.ts'
import { KeyedRequests } from '../primitives/keyed-requests.ts'
import type { LeaderDeadlines } from '../primitives/leader-deadlines.ts'
import type { ClusterLock } from '../primitives/lock.ts'
import { createLock } from '../primitives/lock.ts'
import { startLockExpiry } from '../primitives/lock-expiry.ts'
import type { ClusterReadWriteLock, SemaphoreOptions } from '../primitives/lock-kinds.ts'
import { createReadWriteLock, createSemaphore } from '../primitives/lock-kinds.ts'
import type { ClusterMachine } from '../primitives/machine.ts'
import { createMachine } from '../primitives/machine.ts'
import type { ClusterMap } from '../primitives/map.ts'
import { createMap } from '../primitives/map.ts'
import { splitNotes } from '../primitives/note-kinds.ts'
import type { OnceRun } from '../primitives/once.ts'
import { runOnce } from '../primitives/once.ts'
import { processSession } from '../primitives/process-session.ts'
import type { ClusterSchedule } from '../primitives/schedule.ts'
import { createSchedule, ScheduleControl } from '../primitives/schedule.ts'
import type { ScheduleOptions } from '../primitives/schedule-options.ts'
import type { ScheduleWork } from '../primitives/schedule-run.ts'
import { Schedules } from '../primitives/schedules.ts'
import { SessionBeats } from '../primitives/session-beats.ts'
import { startSessionExpiry } from '../primitives/session-expiry.ts'
import type { StoppingSingletons } from '../primitives/singleton.ts'
import {
  createSingleton,
  createWorkers,
  pauseSingletons,
  tasksOfThisNode,
  withdrawTasks
} from '../primitives/singleton.ts'
import type {
  ClusterSingleton,
  ClusterWorkers,
  SingletonOptions,
  SingletonRun,
  SpreadOptions,
  WorkerRun,
  WorkersOptions
} from '../primitives/singleton-types.ts'
import type {
  ClusterBarrier,
  ClusterCounter,
  ClusterLatch,
  ClusterRateLimiter,
  RateLimiterOptions
} from '../primitives/tallies.ts'
import { createBarrier, createCounter, createLatch, createRateLimiter } from '../primitives/tallies.ts'
import type { TransactionOptions, TransactionResult } from '../primitives/transaction.ts'
import { transact } from '../primitives/transaction.ts'
import { Waits } from '../primitives/waits.ts'
import type { MachineDefinition } from '../replicated/user-machine.ts'
import { Audit } from './audit.ts'
import type { Cluster } from './cluster.ts'
import { ClusterEventSource } from './cluster-events.ts'
import { confirmsLeadership } from './confirm.ts'
import { iterateLeadership } from './leadership-iterator.ts'
import { MemberControl } from './member-control.ts'
import type {
  ClusterEvents,
  ClusterListener,
  ClusterStatus,
  LeadershipChange,
  LeaderWork,
  LeaderWorkLost,
  LeaderWorkResult,
  MemberChangeOptions,
  MemberUrlOptions,
  NewMember,
  TransferOptions,
  WaitLimit
} from './types.ts'
import { waitForChange } from './wait.ts'

const { version } = createRequire(import.meta.url)('fastify-raft/package.json') as { readonly version: string }

/** What a {@link Coordinator} is built from. */
interface CoordinatorOptions {
  readonly nodeId: string
  readonly clusterId: string
  readonly context: PrimitiveContext
  /** The same engine: who belongs, transfers of leadership, snapshots and status. */
  readonly control: RaftControl
  /** Reaches other nodes beside the log; there are none when left out. */
  readonly notes?: PeerNotes
  /** Where this node listens, for a lone node that was given no address; null while it does not listen. */
  readonly ownOrigin: () => string | null
  /** The address of this node by its options; empty for a lone node that was given none. */
  readonly ownUrl: string
  /** Where members may be. */
  readonly memberReach: MemberReach
  /** Lets this node join the cluster, and knows why it cannot; null for a node that does not join. */
  readonly joiner: { readonly failure: Error | null } | null
  /** Whether the application has started this node. */
  readonly hasStarted: () => boolean
  /** How long singletons may take to stop before leadership moves all the same, in milliseconds. */
  readonly handOverAfterMs: number
  /** Gets a line for each change that somebody asks for. */
  readonly auditLogger: Logger
  /** Takes this node out of its cluster, and stops it. */
  readonly leave: (options: WaitOptions & { readonly timeoutMs: number }) => Promise<void>
  /** Begins to close, and takes requests meanwhile. */
  readonly drain: () => Promise<void>
}

/** What a change of membership is about, for the audit. */
interface AskedChange extends MemberUrlOptions, Partial<NewMember> {}

/** The cluster behind `app.cluster`. */
export class Coordinator implements Cluster {
  readonly nodeId: string
  readonly clusterId: string
  /** What the routes ask for, which have an audit of their own. */
  readonly changes: MemberControl
  /** Internal fields of requests that nothing proves. */
  readonly forged: ForgedFields
  readonly audit: Audit
  /** The requests of idempotent routes. */
  readonly keyed: KeyedRequests
  readonly #context: PrimitiveContext
  readonly #control: RaftControl
  readonly #ownOrigin: () => string | null
  readonly #joiner: { readonly failure: Error | null } | null
  readonly #hasStarted: () => boolean
  readonly #leave: CoordinatorOptions['leave']
  readonly #drain: CoordinatorOptions['drain']
  readonly #events: ClusterEventSource
  readonly #waits = new Waits()
  readonly #closed = new AbortController()
  /** Aborts at the latest with `closed`. */
  readonly #leadingEnds = new AbortController()
  readonly #deadlines: readonly LeaderDeadlines[]
  readonly #broadcasts: Broadcasts
  readonly #beats: SessionBeats
  readonly #schedules: Schedules
  /** All schedules of the cluster, by name. */
  readonly schedules: ScheduleControl
  #stopping: StoppingSingletons | null = null
  /** The grant that waiters for one leadership share, so that waiting leaves nothing behind. */
  #shared: { readonly leadership: Leadership; readonly owner: GrantOwner } | null = null

  constructor (options: CoordinatorOptions) {
    const { nodeId, clusterId, context, control, ownOrigin, ownUrl, memberReach, joiner, hasStarted } = options
    this.nodeId = nodeId
    this.clusterId = clusterId
    const notes = options.notes === undefined ? null : splitNotes(options.notes)
    this.#beats = new SessionBeats(context, notes?.beats ?? null)
    this.#context = { ...context, closed: this.#closed.signal, waits: this.#waits, beats: this.#beats }
    this.keyed = new KeyedRequests(this.#context)
    this.#control = control
    this.#ownOrigin = ownOrigin
    this.#joiner = joiner
    this.#hasStarted = hasStarted
    this.#leave = options.leave
    this.#drain = options.drain
    this.changes = new MemberControl({
      engine: control,
      nodeId,
      ownUrl,
      memberReach,
      defaultTimeoutMs: context.defaultTimeoutMs,
      makeRoom: (change, withinMs) => this.#makeRoom(change, Math.min(options.handOverAfterMs, withinMs))
    })
    this.#events = new ClusterEventSource(control, context.logger, {
      leader: (leader) => this.#present(leader),
      membership: (membership) => this.#presentMembership(membership)
    })
    this.forged = new ForgedFields(options.context.logger, context.clock)
    this.audit = new Audit({
      logger: options.auditLogger,
      timers: context.timers ?? systemTimers,
      clock: context.clock,
      deliver: (record) => { this.#events.audit(record) },
      isHeard: () => this.#events.isAudited
    })
    this.#deadlines = [
      startLockExpiry(context), startSessionExpiry(context), startKeyExpiry(context), startDueGrants(context)
    ]
    this.#broadcasts = new Broadcasts(this.#context, nodeId, notes?.broadcasts ?? null)
    this.#schedules = new Schedules(this.#context, nodeId)
    this.schedules = new ScheduleControl(this.#context)
    // Every open wait listens.
    setMaxListeners(0, this.#closed.signal, this.#leadingEnds.signal)
  }

  get isLeader (): boolean {
    return this.#context.engine.currentLeadership() !== null
  }

  get leader (): LeaderInfo | null {
    return this.#present(this.#context.engine.leader())
  }

  get term (): number {
    return this.#context.engine.leader()?.term ?? this.#context.engine.status().term
  }

  get leaderEndpoint (): string | null {
    const url = this.leader?.url ?? ''
    return url === '' ? null : url
  }

  async waitForLeadership (limit?: WaitLimit): Promise<LeadershipGrant> {
    return this.#explained('leadership', () => waitForChange(
      this.#context.engine,
      () => {
        const leadership = this.#context.engine.currentLeadership()
        return leadership === null ? null : this.#sharedGrant(leadership)
      },
      'leadership',
      limit,
      { ...this.#waitDefaults(), closed: this.#leadingEnds.signal }
    ))
  }

  async waitForLeader (limit?: WaitLimit): Promise<LeaderInfo> {
    return this.#explained('a leader', () =>
      waitForChange(this.#context.engine, () => this.leader, 'a leader', limit, this.#waitDefaults()))
  }

  async waitForState (limit?: WaitLimit): Promise<void> {
    await this.#context.engine.waitForState(
      waitOptions(this.#context, typeof limit === 'number' ? { timeoutMs: limit } : (limit ?? {}))
    )
  }

  async executeIfLeader<T>(work: LeaderWork<T>): Promise<LeaderWorkResult<T>> {
    this.#assertStarted()
    const leadership = this.#context.engine.currentLeadership()
    if (leadership === null) return { status: 'not-leader', leader: this.leader }
    const { grant, end } = createGrant(this.#context.engine, leadership)
    try {
      const value = await work(grant.signal, grant)
      await this.#confirm(leadership, grant)
      return holds(grant) ? { status: 'completed', value, token: grant.token } : this.#lost(grant)
    } catch (error) {
      // An error that only says that the leadership ended is the loss itself; any other is the work's own.
      if (tellsOfLoss(error, grant) && !holds(grant)) return this.#lost(grant)
      throw error
    } finally {
      end()
    }
  }

  get membership (): Membership {
    return this.#presentMembership(this.#control.membership())
  }

  async transferLeadership (to: string | null = null, options?: TransferOptions): Promise<LeaderInfo> {
    const about = { target: to, parameters: {} }
    return await this.audit.ofApplication('transferLeadership', about, () => this.changes.transfer(to, options))
  }

  async stepDown (): Promise<void> {
    await this.audit.ofApplication('stepDown', { target: null, parameters: {} }, () => this.changes.stepDown())
  }

  async addMember (member: NewMember, options?: MemberChangeOptions): Promise<Membership> {
    this.#assertStarted()
    return await this.#auditedChange('addMember', { ...member, ...options }, () => this.changes.add(member, options))
  }

  async promoteMember (id: string, options?: MemberChangeOptions): Promise<Membership> {
    const change = (): Promise<Membership> => this.changes.change('promote', id, options)
    return await this.#auditedChange('promoteMember', { id, ...options }, change)
  }

  async demoteMember (id: string, options?: MemberChangeOptions): Promise<Membership> {
    const change = (): Promise<Membership> => this.changes.change('demote', id, options)
    return await this.#auditedChange('demoteMember', { id, ...options }, change)
  }

  async removeMember (id: string, options?: MemberUrlOptions): Promise<Membership> {
    return await this.#auditedChange('removeMember', { id, ...options }, () => this.changes.remove(id, options))
  }

  async drain (): Promise<void> {
    this.#assertStarted()
    await this.audit.ofApplication('drain', { target: this.nodeId, parameters: {} }, this.#drain)
  }

  async leave (options: WaitOptions = {}): Promise<void> {
    this.#assertStarted()
    await this.audit.ofApplication('leave', { target: this.nodeId, parameters: {} }, async () => {
      await this.#leave(waitOptions(this.#context, options))
    })
  }

  async changeMemberUrl (id: string, url: string, options?: MemberUrlOptions): Promise<Membership> {
    const change = (): Promise<Membership> => this.changes.changeUrl(id, url, options)
    return await this.#auditedChange('changeMemberUrl', { id, url, ...options }, change)
  }

  on<Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): this {
    this.#events.on(name, listener)
    return this
  }

  once<Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): this
  once<T>(name: string, version: string | number, run: OnceRun<T>, options?: WaitOptions): Promise<T>
  once (
    name: string,
    second: string | number | ClusterListener<keyof ClusterEvents>,
    run?: OnceRun<unknown>,
    wait: WaitOptions = {}
  ): this | Promise<unknown> {
    if (typeof second !== 'function') {
      this.#assertStarted()
      return runOnce(this.#context, { name, version: second, run, wait })
    }
    this.#events.once(name as keyof ClusterEvents, second)
    return this
  }

  off<Name extends keyof ClusterEvents>(name: Name, listener: ClusterListener<Name>): this {
    this.#events.off(name, listener)
    return this
  }

  leadership ({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<LeadershipChange> {
    return iterateLeadership(
      {
        current: () => this.#role(),
        subscribe: (listener) => {
          this.#events.on('leadershipChanged', listener)
          return () => {
            this.#events.off('leadershipChanged', listener)
          }
        },
        closed: this.#closed.signal
      },
      signal
    )
  }

  map<V = unknown>(name: string): ClusterMap<V> {
    return createMap<V>(this.#context, name)
  }

  async transaction (options: TransactionOptions): Promise<TransactionResult> {
    return await transact(this.#context, options)
  }

  lock (name: string): ClusterLock {
    return createLock(this.#context, name)
  }

  readWriteLock (name: string): ClusterReadWriteLock {
    return createReadWriteLock(this.#context, name)
  }

  counter (name: string): ClusterCounter {
    return createCounter(this.#context, name)
  }

  latch (name: string, count: number): ClusterLatch {
    return createLatch(this.#context, name, count)
  }

  barrier (name: string, parties: number): ClusterBarrier {
    return createBarrier(this.#context, name, parties)
  }

  rateLimiter (name: string, options: RateLimiterOptions): ClusterRateLimiter {
    return createRateLimiter(this.#context, name, options)
  }

  semaphore (name: string, options: SemaphoreOptions): ClusterLock {
    return createSemaphore(this.#context, name, options)
  }

  machine<State, Command, Answer>(
    name: string,
    definition: MachineDefinition<State, Command, Answer>
  ): ClusterMachine<State, Command, Answer> {
    return createMachine(this.#context, name, definition)
  }

  singleton (name: string, run: SingletonRun, options?: SingletonOptions): ClusterSingleton
  singleton (name: string, run: WorkerRun, options: SpreadOptions): ClusterSingleton
  singleton (
    name: string,
    run: SingletonRun | WorkerRun,
    options?: SingletonOptions | SpreadOptions
  ): ClusterSingleton {
    return createSingleton(this.#context, name, run as SingletonRun, options as SingletonOptions)
  }

  workers (name: string, count: number, run: WorkerRun, options?: WorkersOptions): ClusterWorkers {
    return createWorkers(this.#context, name, count, run, options)
  }

  broadcast<Message = unknown> (topic: string, options?: BroadcastOptions): ClusterBroadcast<Message> {
    return this.#broadcasts.topic(topic, options)
  }

  schedule (name: string, cron: string, run: ScheduleWork, options: ScheduleOptions = {}): ClusterSchedule {
    const stop = this.#schedules.register(name, cron, run, options)
    return createSchedule(this.schedules, name, stop)
  }

  async takeSnapshot (): Promise<SnapshotTaken> {
    return await this.#control.takeSnapshot()
  }

  get status (): ClusterStatus {
    const status = this.#control.status()
    const { machine } = this.#context
    const { members, version: membershipVersion } = this.membership
    return {
      ...status,
      isLeader: this.isLeader,
      leader: this.#present(status.leader),
      members,
      membershipVersion,
      refusedCalls: this.audit.refusedCalls,
      forgedFields: this.forged.count,
      idempotency: { keys: machine.answers.size, bytes: machine.answers.bytes, ...this.keyed.stats },
      tasks: tasksOfThisNode(this.#context),
      failure: (status.failure ?? this.#joiner?.failure)?.message ?? null,
      version
    }
  }

  /**
   * Ends what is at work because this node leads: waits for leadership and the grants they gave at once, singletons
   * when their runs return. The same ones, however often it is called.
   */
  stopLeading (): StoppingSingletons {
    this.#leadingEnds.abort()
    this.#shared?.owner.end(new StoppedError('it is closed'))
    this.#stopping ??= together(this.#pauseWork(), withdrawTasks(this.#context))
    return this.#stopping
  }

  /** Ends the session of this process, and with it what it still owns: nobody has to wait for its time to run out. */
  async endSession (): Promise<void> {
    await processSession(this.#context).end()
  }

  /** Ends all waits and iterations, and `stopLeading` without waiting for its singletons. Idempotent. */
  close (): void {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    this.stopLeading()
    for (const deadlines of this.#deadlines) deadlines.stop()
    this.#beats.close()
    this.#broadcasts.close()
    this.#schedules.close()
    this.#events.close()
  }

  /** Asks all that runs because this node leads to stop, until it is told to go on. */
  #pauseWork (): StoppingSingletons {
    return together(pauseSingletons(this.#context), this.#schedules.pause())
  }

  /** Lets singletons stop before this node gives its leadership up; they go on if it does not. */
  async #makeRoom<T> (change: () => Promise<T>, withinMs: number): Promise<T> {
    const singletons = this.#pauseWork()
    try {
      await settlesWithin(this.#context.timers ?? systemTimers, singletons.known, withinMs)
      return await change()
    } finally {
      // A node that drains starts nothing any more.
      if (this.#stopping === null) singletons.resume()
    }
  }

  /** Asks a majority when the lease has lapsed, until the grant ends. */
  async #confirm ({ token }: Leadership, { signal }: LeadershipGrant): Promise<void> {
    if (signal.aborted) return
    const { engine, defaultTimeoutMs: timeoutMs } = this.#context
    await confirmsLeadership(engine, token, { timeoutMs, signal })
  }

  async #auditedChange (
    action: string,
    { id, url, ifVersion, incarnation, ifIncarnation }: AskedChange,
    change: () => Promise<Membership>
  ): Promise<Membership> {
    const about = { target: id, parameters: { url, ifVersion, incarnation, ifIncarnation } }
    return await this.audit.ofApplication(action, about, change)
  }

  #lost (grant: LeadershipGrant): LeaderWorkLost {
    return { status: 'lost', token: grant.token, leader: this.leader }
  }

  #role (): LeadershipChange {
    const leadership = this.#context.engine.openLeadership()
    return leadership === null
      ? { isLeader: false, token: null, term: this.term }
      : { isLeader: true, token: String(leadership.token), term: leadership.term }
  }

  #sharedGrant (leadership: Leadership): LeadershipGrant {
    if (this.#shared !== null && this.#shared.leadership.token === leadership.token) return this.#shared.owner.grant
    this.#shared?.owner.end()
    const owner = createGrant(this.#context.engine, leadership)
    this.#shared = { leadership, owner }
    return owner.grant
  }

  /** A lone node without an address is where it listens. */
  #present (leader: LeaderInfo | null): LeaderInfo | null {
    if (leader === null || leader.url !== '') return leader
    return { ...leader, url: this.#ownOrigin() ?? '' }
  }

  #presentMembership (membership: Membership): Membership {
    if (membership.members.every(({ url }) => url !== '')) return membership
    return {
      ...membership,
      members: membership.members.map((member) =>
        member.url === '' ? { ...member, url: this.#ownOrigin() ?? '' } : member
      )
    }
  }

  /** "Not the leader" would be no answer of a node that takes no part yet. */
  #assertStarted (): void {
    if (!this.#hasStarted()) throw notStartedError()
  }

  /** A wait may begin before the node starts, and in vain if whoever starts it waits for its end. */
  async #explained<T> (what: string, wait: () => Promise<T>): Promise<T> {
    try {
      return await this.#waits.take(what, wait)
    } catch (error) {
      throw error instanceof TimeoutError && !this.#hasStarted() ? notStartedError({ cause: error }) : error
    }
  }

  #waitDefaults (): Parameters<typeof waitForChange>[4] {
    const { defaultTimeoutMs: timeoutMs, timers } = this.#context
    return { timeoutMs, closed: this.#closed.signal, timers }
  }
}

/** Work of both kinds, as one. */
function together (one: StoppingSingletons, other: StoppingSingletons): StoppingSingletons {
  return {
    ended: Promise.all([one.ended, other.ended]).then(() => {}),
    known: Promise.all([one.known, other.known]).then(() => {}),
    running: () => [...one.running(), ...other.running()],
    resume: () => {
      one.resume()
      other.resume()
    }
  }
}

function holds (grant: LeadershipGrant): boolean {
  if (grant.signal.aborted) return false
  try {
    grant.check()
    return true
  } catch {
    return false
  }
}

/**
 * Whether an error is the grant's own: the signal's reason, what `check` throws, or the AbortError that Node's APIs
 * wrap around the reason.
 */
function tellsOfLoss (error: unknown, grant: LeadershipGrant): boolean {
  if (error instanceof LeadershipLostError) return true
  if (!grant.signal.aborted) return false
  if (error === grant.signal.reason) return true
  return error instanceof Error && error.name === 'AbortError' && error.cause === grant.signal.reason
}
