import { randomInt } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { Route } from './client/proposal-queue.ts'
import { ProposalQueue } from './client/proposal-queue.ts'
import { ReadBarriers } from './client/read-barriers.ts'
import type { LeadershipView, NodeId } from './core/index.ts'
import { asNodeId, stableConfiguration } from './core/index.ts'
import { statusOf } from './driver/engine-status.ts'
import { RaftNode } from './driver/node.ts'
import type { OpenedLog } from './driver/open-log.ts'
import { openLog } from './driver/open-log.ts'
import { toTicks } from './driver/timing.ts'
import type {
  ChangeOptions,
  Engine,
  EngineEvents,
  EngineStatus,
  LeaderInfo,
  Leadership,
  Membership,
  MembershipChange,
  SnapshotTaken,
  WaitOptions
} from './engine.ts'
import { StoppedError } from './errors.ts'
import { MemberChanges } from './membership/changes.ts'
import { Incarnations, wipedError } from './membership/incarnations.ts'
import { MembershipRecord } from './membership/record.ts'
import { Suspicion } from './membership/suspicion.ts'
import { notLeader, transferLeadership } from './membership/transfer.ts'
import type { RaftEngineOptions } from './raft-engine-options.ts'
import type { Clock } from './runtime/clock.ts'
import { systemClock } from './runtime/clock.ts'
import { defaultSnapshotPolicy } from './snapshots/policy.ts'
import { decodeEnvelope } from './state/command-envelope.ts'
import { ReplicatedState } from './state/replicated-state.ts'
import { createStateHashes } from './state/state-hashes.ts'
import { HttpTransport } from './transport/http-transport.ts'
import { createPeerRoutes } from './transport/peer-routes.ts'
import type { RequestHandler } from './transport/request-filter.ts'

const maxBodyBytes = 33_554_432
const defaultTimeoutMs = 5_000
const defaultSessionTtlMs = 3_600_000
/** A follower's disk may be slow without being dead. */
const appendTimeoutMs = 10_000
/** A part of a snapshot; the last one waits until all of it is on the peer's disk. */
const snapshotTimeoutMs = 30_000

/**
 * Awaited before the core is given an input: listeners of the engine, and of its signals, run within a step of the
 * core.
 */
const afterThisStep = Promise.resolve()

/** An {@link Engine} on this library's own Raft. */
export interface RaftEngine extends Engine {
  /** Answers a request below the peer prefix. */
  readonly handlePeerRequest: RequestHandler
}

/**
 * Opens the storage and builds a node that is ready to start. Rejects, with nothing started, when the storage refuses
 * (`RAFT_WAL_CORRUPT`, `RAFT_WAL_VERSION`, `RAFT_DATA_DIR`, `RAFT_DATA_DIR_FOREIGN`), and when the latest snapshot is
 * missing or cannot be restored (`RAFT_SNAPSHOT_MISSING`, `RAFT_SNAPSHOT_CORRUPT`, `RAFT_SNAPSHOT_VERSION`).
 */
export async function openRaftEngine (options: RaftEngineOptions): Promise<RaftEngine> {
  try {
    const engine = new HttpRaftEngine(options, await openLog(options.storage, options.snapshots))
    await engine.ready()
    return engine
  } catch (error) {
    await options.storage.close()
    throw error
  }
}

class HttpRaftEngine implements RaftEngine {
  readonly events = new EventEmitter<EngineEvents>()
  readonly #options: RaftEngineOptions
  readonly #nodeId: NodeId
  readonly #state: ReplicatedState
  readonly #node: RaftNode
  readonly #proposals: ProposalQueue
  readonly #reads: ReadBarriers
  readonly #memberChanges: MemberChanges
  readonly handlePeerRequest: RequestHandler
  readonly #incarnations: Incarnations
  readonly #record: MembershipRecord
  /** That the log of this node, which has none to speak of, is not the one that the others know it by. */
  readonly #wiped: Suspicion
  #announcedLeader: LeaderInfo | null = null

  constructor (options: RaftEngineOptions, recovered: OpenedLog) {
    this.#options = options
    this.#nodeId = asNodeId(options.nodeId)
    this.events.setMaxListeners(0)
    const clock = options.clock ?? systemClock
    this.#incarnations = new Incarnations({
      nodeId: this.#nodeId,
      own: options.storage.incarnation,
      configuration: () => this.#node.configuration,
      isLeader: () => this.#node.view.role === 'leader',
      logger: options.logger
    })
    this.#node = this.#createNode(clock, recovered)
    this.#proposals = new ProposalQueue({
      defaultTimeoutMs,
      maxPending: 100_000,
      maxPendingBytes: 67_108_864,
      maxCommandBytes: 4_194_304,
      maxBatchCommands: 4_096,
      maxBatchBytes: 4_194_304,
      retryAfterMs: options.timing.heartbeatMs / 2,
      sessionTtlMs: options.sessionTtlMs ?? defaultSessionTtlMs,
      route: () => this.#route(),
      propose: (commands) => this.#node.propose(commands),
      forward: (to, commands) => this.#node.forward(to, commands)
    })
    this.#state = new ReplicatedState(
      options.stateMachine,
      this.#proposals,
      createStateHashes(options, (commands) => this.#node.propose(commands))
    )
    this.#reads = new ReadBarriers({
      defaultTimeoutMs,
      maxWaiting: 100_000,
      repeatAfterMs: options.timing.electionTimeoutMinMs,
      nowMs: clock.monotonicMs,
      appliedIndex: () => this.#node.appliedIndex,
      ask: (context) => this.#node.read(context)
    })
    this.#memberChanges = new MemberChanges(this.#node, () => this.leader())
    this.#record = new MembershipRecord(
      this.#node,
      this.#memberChanges,
      this.#incarnations,
      options.timing.electionTimeoutMaxMs
    )
    this.#wiped = new Suspicion(toTicks(options.timing).electionTicksMax)
    this.#incarnations.onMeant = (isOther) => {
      if (isOther) this.#wiped.raise(() => wipedError(options.nodeId))
      else this.#wiped.clear()
    }
    this.handlePeerRequest = this.#createPeerRoutes()
  }

  /**
   * Restores the state from the latest snapshot; the entries behind it are applied as they are known to be committed.
   */
  async ready (): Promise<void> {
    const { snapshots } = this.#options
    const latest = snapshots.latest()
    if (latest !== null) await this.#state.restore(snapshots.read(latest))
  }

  start (): void {
    this.#node.start()
  }

  async stop (): Promise<void> {
    await this.handOver()
    const reason = new StoppedError('it was closed')
    this.#proposals.stop(reason)
    this.#reads.stop(reason)
    this.#memberChanges.stop(reason)
    await this.#node.stop()
  }

  async propose (command: Uint8Array, options: WaitOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted()
    this.#assertRunning()
    return await this.#proposals.submit(command, options)
  }

  async readBarrier (options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
    this.#assertRunning()
    await this.#reads.wait(options)
  }

  membership (): Membership {
    return this.#memberChanges.membership()
  }

  async changeMembership (changes: readonly MembershipChange[], options: ChangeOptions = {}): Promise<Membership> {
    options.signal?.throwIfAborted()
    this.#assertRunning()
    await this.#record.settled()
    this.#assertRunning()
    const wait = { ...options, timeoutMs: options.timeoutMs ?? defaultTimeoutMs }
    return await this.#memberChanges.change(changes, this.#incarnations.unrecorded(), wait)
  }

  async transferLeadership (to: string | null, options: WaitOptions = {}): Promise<LeaderInfo> {
    options.signal?.throwIfAborted()
    await afterThisStep
    this.#assertRunning()
    const timeoutMs = options.timeoutMs ?? 2 * this.#options.timing.electionTimeoutMaxMs
    return await transferLeadership(this.#node, this.events, this.leader(), to, { ...options, timeoutMs })
  }

  async handOver (): Promise<void> {
    if (this.#node.configuration.voters.length === 1 || this.#node.leadership() === null) return
    try {
      const leader = await this.transferLeadership(null, { timeoutMs: this.#options.timing.electionTimeoutMaxMs })
      this.#options.logger.info({ leader: leader.id, term: leader.term }, 'handed leadership over before stopping')
    } catch (error) {
      this.#options.logger.warn(
        { err: error },
        'nobody took leadership over before stopping; the others elect after their timeout'
      )
    }
  }

  async stepDown (): Promise<void> {
    await afterThisStep
    this.#assertRunning()
    if (this.#node.view.role !== 'leader') throw notLeader(this.leader())
    this.#node.stepDown()
  }

  async takeSnapshot (): Promise<SnapshotTaken> {
    this.#assertRunning()
    const { index, term, bytes } = await this.#node.takeSnapshot()
    return { index, term, bytes }
  }

  leadership (): Leadership | null {
    return this.#node.leadership()
  }

  leader (): LeaderInfo | null {
    const { leader, term } = this.#node.view
    if (leader === null || !this.#node.isRunning) return null
    const member = this.#node.configuration.members.find(({ id }) => id === leader)
    return member === undefined ? null : { id: member.id, url: member.address, term }
  }

  status (): EngineStatus {
    const { nodeId, clusterId, storage: { lowSpace } } = this.#options
    return statusOf(this.#node, {
      nodeId,
      clusterId,
      incarnation: this.#incarnations.own,
      leader: this.leader(),
      lowSpace
    })
  }

  #createNode (clock: Clock, recovered: OpenedLog): RaftNode {
    const options = this.#options
    return new RaftNode({
      nodeId: this.#nodeId,
      configuration: stableConfiguration(options.members.map(({ id, url }) => ({ id: asNodeId(id), address: url }))),
      timing: toTicks(options.timing),
      seed: randomInt(2 ** 32),
      storage: options.storage,
      snapshots: options.snapshots,
      snapshotPolicy: { ...defaultSnapshotPolicy, ...options.snapshotPolicy },
      recovered,
      clock,
      logger: options.logger,
      connect: (events) => new HttpTransport({
        clusterId: options.clusterId,
        nodeId: this.#nodeId,
        incarnations: this.#incarnations,
        basePath: this.#basePath,
        controlTimeoutMs: options.timing.electionTimeoutMinMs,
        appendTimeoutMs,
        snapshotTimeoutMs,
        events,
        logger: options.logger
      }),
      listener: {
        apply: (entry) => { this.#memberChanges.applying(entry); this.#state.apply(entry) },
        snapshot: () => this.#state.snapshot(),
        restore: (source) => this.#state.restore(source),
        snapshotTaken: ({ index, term, bytes }) => { this.events.emit('snapshot', { index, term, bytes }) },
        applied: (index) => {
          this.#reads.applied()
          this.#memberChanges.applied()
          this.events.emit('applied', index)
        },
        readDecided: (result) => this.#reads.decided(result),
        configurationChanged: () => this.#configurationChanged(),
        viewChanged: (view) => this.#viewChanged(view),
        leadershipChanged: (leadership) => this.#leadershipChanged(leadership),
        ticked: () => this.#ticked(),
        failed: (error) => this.#failed(error)
      }
    })
  }

  get #basePath (): string { return this.#options.basePath ?? '/_cluster/raft' }

  #createPeerRoutes (): RequestHandler {
    const options = this.#options
    return createPeerRoutes({
      clusterId: options.clusterId,
      nodeId: this.#nodeId,
      incarnations: this.#incarnations,
      basePath: this.#basePath,
      maxBodyBytes,
      acceptRemoteAddress: options.acceptRemoteAddress ?? (() => true),
      endpoint: {
        receive: (messages) => this.#node.receive(messages),
        receiveSnapshot: (from, piece) => this.#node.receiveSnapshot(from, piece),
        acceptForwarded: (from, commands) => {
          // Refused here, a malformed command never reaches the log, where it would halt every node.
          for (const command of commands) decodeEnvelope(command)
          return this.#node.acceptForwarded(from, commands)
        }
      },
      isRunning: () => this.#node.isRunning
    })
  }

  #route (): Route {
    const { leader } = this.#node.view
    if (leader === null) return { kind: 'none' }
    return leader === this.#nodeId ? { kind: 'self' } : { kind: 'peer', id: leader }
  }

  #configurationChanged (): void {
    const membership = this.membership()
    this.#options.logger.info({ members: membership.members, version: membership.version }, 'membership changed')
    this.events.emit('membership', membership)
    // A node that joins hears of the leader before it hears who that is.
    this.#announceLeader()
  }

  #ticked (): void {
    this.#reads.tick()
    this.#record.update()
    const reason = this.#wiped.tick()
    // A node that joins is told by the cluster that it asks, and one with a configuration in its log is behind, not
    // wiped.
    const mayBeWiped =
      this.#node.configurationIndex === 0 && this.#options.members.some(({ id }) => id === this.#nodeId)
    if (reason !== null && mayBeWiped) this.#node.fail(reason)
  }

  #viewChanged (view: LeadershipView): void {
    this.#incarnations.roleChanged()
    this.#options.logger.info({ role: view.role, term: view.term, leader: view.leader }, 'role or leader changed')
    this.#proposals.routeChanged()
    this.#reads.routeChanged()
    this.#announceLeader()
  }

  #announceLeader (): void {
    const leader = this.leader()
    const announced = this.#announcedLeader
    if (leader?.id === announced?.id && leader?.term === announced?.term && leader?.url === announced?.url) return
    this.#announcedLeader = leader
    this.events.emit('leader', leader)
  }

  #leadershipChanged (leadership: Leadership | null): void {
    if (leadership === null) this.#options.logger.info({}, 'leadership ended')
    else this.#options.logger.info({ term: leadership.term, token: leadership.token }, 'leadership started')
    this.events.emit('leadership', leadership)
    // Not within the input that is being carried out.
    if (leadership !== null) setImmediate(() => this.#record.update())
  }

  #failed (error: Error): void {
    // As whoever comes later is told: another node can serve that, whatever it is that has failed here.
    const reason = new StoppedError(error.message, { cause: error })
    this.#proposals.stop(reason)
    this.#reads.stop(reason)
    this.#memberChanges.stop(reason)
    this.#announcedLeader = null
    this.events.emit('leader', null)
    this.events.emit('failed', error)
  }

  #assertRunning (): void {
    const failure = this.#node.failure
    if (failure !== null) throw new StoppedError(failure.message, { cause: failure })
    if (!this.#node.isRunning) throw new StoppedError('it has not been started or was closed')
  }
}
