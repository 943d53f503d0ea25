import type {
  ClusterMark,
  Configuration,
  ConfigurationChange,
  ConfigureResult,
  Installation,
  LeadershipView,
  Message,
  Moment,
  NodeId,
  ProposeResult,
  TransferResult,
  Violation
} from '../core/index.ts'
import { asIndex, defaultCoreLimits, RaftCore } from '../core/index.ts'
import type { Leadership, SnapshotFailure } from '../engine.ts'
import { StoppedError } from '../errors.ts'
import { Contradictions } from '../membership/distrust.ts'
import { violationError } from '../runtime/refusal.ts'
import { systemTimers } from '../runtime/timers.ts'
import type { SnapshotHost } from '../snapshots/snapshots.ts'
import { Snapshots } from '../snapshots/snapshots.ts'
import { ClockNotes } from '../state/time-of-day.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'
import type { CommandRefusal, ForwardAnswer } from '../transport/codec.ts'
import type { SnapshotChunk, SnapshotReply } from '../transport/snapshot-codec.ts'
import type { PeerEndpoint, Transport, TransportEvents } from '../transport/transport.ts'
import { Applier } from './applier.ts'
import type { DriverPorts } from './carry-out.ts'
import { carryOut, sendDurable } from './carry-out.ts'
import { Contact } from './contact.ts'
import { DeferredMessages } from './deferred-messages.ts'
import { LeadershipWatch } from './leadership-watch.ts'
import { LeadershipLease } from './lease.ts'
import { LogWriter } from './log-writer.ts'
import type { NodeHost, NodeListener, RaftNodeOptions } from './node-options.ts'
import { AnswerCollector } from './response-collector.ts'
import { StateRestore } from './state-restore.ts'
import { Ticker } from './ticker.ts'
import { watchTiming } from './timing.ts'

const notLeading = { kind: 'refused', reason: 'not-leader' } as const

/**
 * How many maximum election timeouts a node without its state lets pass before it campaigns. It could lead for nobody
 * until the state is there, and the others get the time to elect a node that can.
 */
const restoringPatience = 10

/**
 * The driver: the only loop that ties core, storage, transport and state machine together. It gives the core one event
 * at a time, and {@link carryOut} carries out the output.
 */
export class RaftNode implements PeerEndpoint, TransportEvents {
  readonly #options: RaftNodeOptions
  readonly #core: RaftCore<SnapshotInfo>
  readonly #lease: LeadershipLease
  readonly #contact: Contact
  readonly #ticker: Ticker
  readonly #ports: DriverPorts<SnapshotInfo>
  readonly #log: LogWriter
  readonly #applier: Applier
  readonly #snapshots: Snapshots
  /** The state that the start restores. */
  readonly restore: StateRestore
  #ticksWithoutLeader = 0
  /** Null until the node is started; not needed before. */
  #host: NodeHost | null = null
  readonly #watch: LeadershipWatch
  #held: Leadership | null = null
  readonly #contradictions: Contradictions
  #hasHadPeers = false
  readonly #clockNotes = new ClockNotes()
  #stepping = false
  #state: { readonly kind: 'idle' | 'running' | 'stopped' } | { readonly kind: 'failed'; readonly error: Error } = {
    kind: 'idle'
  }

  constructor (options: RaftNodeOptions) {
    this.#options = options
    const { timing, clock, nodeId, configuration } = options
    this.#contradictions = new Contradictions(timing.heartbeatTicks)
    this.#core = new RaftCore(
      {
        id: nodeId,
        configuration,
        heartbeatTicks: timing.heartbeatTicks,
        electionTicksMin: timing.electionTicksMin,
        electionTicksMax: timing.electionTicksMax,
        leaseTicks: timing.leaseTicks,
        seed: options.seed,
        limits: options.limits ?? defaultCoreLimits
      },
      options.recovered
    )
    this.#lease = new LeadershipLease(clock, () => (this.#core.isSoleVoter ? Infinity : timing.leaseMs))
    this.#contact = new Contact(clock)
    this.#watch = new LeadershipWatch({ lease: this.#lease, monotonicMs: clock.monotonicMs, ...watchTiming(timing) })
    this.#log = new LogWriter(options.storage, {
      persisted: (writeId) => {
        this.#persisted(writeId)
      },
      failed: (error) => {
        this.#halt(error)
      }
    })
    this.restore = new StateRestore({
      snapshot: options.recovered.snapshot === null ? null : options.snapshots.latest(),
      nowMs: clock.monotonicMs,
      timers: options.timers ?? systemTimers,
      logger: options.logger
    })
    this.#applier = this.#createApplier()
    this.#snapshots = this.#createSnapshots()
    this.#ports = this.#createPorts()
    this.#ticker = new Ticker({
      timers: options.timers ?? systemTimers,
      tickMs: timing.tickMs,
      quietTicks: () => this.#core.quietTicks,
      maxTicksAtOnce: 2 * timing.heartbeatTicks,
      nowMs: clock.monotonicMs,
      drainFirst: () => this.#core.campaignIsDue,
      tick: () => this.#tick()
    })
  }

  get view (): LeadershipView {
    return this.#core.view
  }

  /** Whether this node leads, or has heard from a leader within the minimum election timeout. */
  get isInContact (): boolean {
    return this.#core.isInContact
  }

  get configuration (): Configuration {
    return this.#core.configuration
  }

  /** UUID of the cluster whose log this is; undefined until the entry that names it is known to be committed. */
  get clusterUuid (): string | undefined {
    return this.#core.clusterUuid
  }

  /** See `RaftControl.hasBelonged`. */
  get hasBelonged (): boolean {
    return this.#core.hasBelonged(this.#options.storage.incarnation)
  }

  /** What this node says about its cluster. */
  get clusterMark (): ClusterMark | undefined {
    return this.#core.clusterMark
  }

  /** UUID of the only cluster that this node listens to; undefined while it would become part of any. */
  get knownCluster (): string | undefined {
    return this.#core.knownCluster
  }

  get configurationIndex (): number {
    return this.#core.configurationIndex
  }

  get possibleConfigurations (): readonly Configuration[] {
    return this.#core.possibleConfigurations
  }

  get expectsPeers (): boolean {
    const { nodeId } = this.#options
    this.#hasHadPeers ||= this.configuration.members.length === 0 ||
      this.possibleConfigurations.some(({ members }) => members.some(({ id }) => id !== nodeId))
    return this.#hasHadPeers
  }

  get appliedIndex (): number {
    return this.#applier.appliedIndex
  }

  /** Index of the latest snapshot; 0 when there is none. */
  get snapshotIndex (): number {
    return this.#snapshots.latestIndex
  }

  /** That the last snapshots of this node's state failed, or null. */
  get snapshotFailure (): SnapshotFailure | null {
    return this.#snapshots.failure
  }

  get commitIndex (): number {
    return this.#core.commitIndex
  }

  get lastIndex (): number {
    return this.#core.lastIndex
  }

  get isRunning (): boolean {
    return this.#state.kind === 'running'
  }

  get failure (): Error | null {
    return this.#state.kind === 'failed' ? this.#state.error : null
  }

  /** See `Engine.lastContactMs`. */
  get lastContactMs (): number {
    if (this.#core.view.role !== 'leader') return this.#contact.sinceMs
    return this.#lease.remainingMs() > 0 ? 0 : this.#lease.elapsedMs()
  }

  get leaseRemainingMs (): number {
    return this.#core.leadershipIndex === null ? 0 : this.#lease.remainingMs()
  }

  /** The leadership of this node as the clocks say now; null as soon as the lease has lapsed. */
  leadership (): Leadership | null {
    const leading = this.#leading()
    if (leading === null || this.#lease.remainingMs() > 0) return leading
    this.#watch.lapseTold()
    return null
  }

  /** The leadership from its start to its end, also while its lease has lapsed. */
  get openLeadership (): Leadership | null { return this.#watch.leadership }

  /** The leadership as the core has it, whatever the lease says. */
  #leading (): Leadership | null {
    if (this.#state.kind !== 'running') return null
    const token = this.#core.leadershipIndex
    if (token === null || this.appliedIndex < token) return null
    // Every request asks for it, so one object serves a whole leadership.
    if (this.#held?.token !== token) this.#held = { token, term: this.#core.view.term }
    return this.#held
  }

  start (host: NodeHost): void {
    if (this.#state.kind !== 'idle') throw new StoppedError('it has been started before')
    this.#state = { kind: 'running' }
    this.#host = host
    this.#connectPeers(this.#core.configuration)
    this.#ticker.start()
    const { snapshot } = this.restore
    if (snapshot !== null) {
      this.restore.begin()
      this.#applier.restore(snapshot)
    }
    // A sole voter has no leader to wait for.
    if (this.#core.isSoleVoter) this.#step((core) => core.campaign())
  }

  /** Stops timers, traffic and the disk; writes that are not confirmed by now are never reported. */
  async stop (): Promise<void> {
    if (this.#state.kind === 'running' || this.#state.kind === 'idle') this.#state = { kind: 'stopped' }
    this.#shutDown(new StoppedError('it was stopped'))
    await this.#host?.transport.close()
    await this.#snapshots.stop()
    await this.#options.storage.close()
  }

  /**
   * Appends commands to the log if this node leads, all or nothing. While space is low they are refused unless all of
   * them may use the reserve; no-ops and changes of membership, which keep the cluster going, are always written.
   */
  propose (
    commands: readonly Uint8Array[]
  ): ProposeResult | { readonly kind: 'refused'; readonly reason: CommandRefusal } {
    if (this.#options.storage.lowSpace && this.#core.view.role === 'leader' && !commands.every(this.#usesReserve)) {
      return { kind: 'refused', reason: 'low-space' }
    }
    return this.#step((core, now) =>
      this.#clockNotes.append(commands, core.view.term, now, (all) => core.propose(all, now))) ?? notLeading
  }

  readonly #usesReserve = (command: Uint8Array): boolean => {
    const { storage, reserveUse } = this.#options
    const use = reserveUse?.(command) ?? null
    return use === 'frees' || (use === 'keeps' && !storage.criticalSpace)
  }

  /** Asks for a read index; the answer comes to `readDecided`. */
  read (context: number): void {
    this.#step((core) => core.read([context]))
  }

  /** Appends a change of membership; it is complete when a configuration that is not joint is committed. */
  configure (changes: readonly ConfigurationChange[], expectedIndex: number | null): ConfigureResult {
    return this.#step((core, now) => core.configure(changes, expectedIndex, now)) ?? notLeading
  }

  /** Starts to hand leadership over; the view shows later whether another node leads. */
  transfer (to: NodeId | null): TransferResult {
    return this.#step((core) => core.transfer(to)) ?? notLeading
  }

  /** Gives leadership up without handing it over. */
  stepDown (): void {
    this.#step((core) => core.stepDown())
  }

  /** Stops this node for good, for a reason that another part has found. */
  fail (reason: Error): void {
    this.#halt(reason)
  }

  /** See `RaftControl.expectCluster`. */
  expectCluster (uuid: string): void {
    this.#core.expectCluster(uuid)
  }

  /** Takes a snapshot now; see `Snapshotter.take`. */
  async takeSnapshot (): Promise<SnapshotInfo> {
    return await this.#snapshots.take()
  }

  async receiveSnapshot (from: NodeId, chunk: SnapshotChunk): Promise<SnapshotReply> {
    if (!this.isRunning) throw new StoppedError('it was stopped')
    return await this.#snapshots.receive(from, chunk)
  }

  acceptForwarded (from: NodeId, commands: readonly Uint8Array[]): ForwardAnswer {
    this.#transport.commitAwaitedBy(from)
    const result = this.propose(commands)
    return result.kind === 'appended' ? { kind: 'appended' } : result
  }

  receive (messages: readonly Message[]): Promise<readonly Message[]> {
    const [first] = messages
    if (first === undefined) return Promise.resolve([])
    return this.#answer(first.from, (collector) => {
      for (const message of messages) {
        const violation = this.#receiveOne(message, collector)
        if (violation !== null) return violation
      }
      return null
    })
  }

  answersReceived (_from: NodeId, messages: readonly Message[]): void {
    for (const message of messages) this.#receiveOne(message, null)
  }

  peerUnreachable (peer: NodeId): void {
    this.#step((core) => core.unreachable(peer))
  }

  connectionRefused (peer: NodeId): void {
    this.#ticker.messageHeard()
    this.#step((core) => core.connectionRefused(peer))
  }

  get #transport (): Transport { return this.#started.transport }

  get #listener (): NodeListener { return this.#started.listener }

  get #started (): NodeHost {
    if (this.#host === null) throw new StoppedError('it has not been started')
    return this.#host
  }

  /**
   * Gathers the core's answers to the input that `take` gives it; fails when the input breaks a rule of the protocol.
   */
  #answer (peer: NodeId, take: (collector: AnswerCollector) => Violation | null): Promise<readonly Message[]> {
    const collector = new AnswerCollector(peer)
    const violation = take(collector)
    if (violation !== null) collector.fail(violationError(violation))
    else if (this.isRunning) collector.complete()
    else collector.fail(new StoppedError('it was stopped'))
    return collector.answers
  }

  #install (installation: Installation<SnapshotInfo>): Promise<readonly Message[]> {
    this.#ticker.leaderHeard()
    return this.#answer(installation.from, (collector) => {
      const violation = this.#step((core, now) => core.install(installation, now), collector)
      if (violation !== null) {
        this.#options.logger.error(
          { peer: installation.from, term: installation.term, violation: violation.message },
          'refused a snapshot that violates the protocol'
        )
      }
      return violation
    })
  }

  #receiveOne (message: Message, collector: AnswerCollector | null): Violation | null {
    if (message.kind === 'heartbeat-request' || message.kind === 'append-request') this.#ticker.leaderHeard()
    else this.#ticker.messageHeard()
    // Another node hands leadership over. This one could lead for nobody yet; the other leads on, or they elect.
    if (message.kind === 'timeout-now' && !this.restore.isOver) return null
    if (message.kind === 'read-request') this.#transport.commitAwaitedBy(message.from)
    const violation = this.#step((core, now) => core.receive(message, now), collector)
    this.#contradictions.note(message, violation)
    if (violation === null) this.#contact.took(message, this.#core.view)
    if (violation !== null) {
      this.#options.logger.error(
        { peer: message.from, kind: message.kind, term: message.term, violation: violation.message },
        'refused a message that violates the protocol'
      )
    }
    return violation
  }

  /**
   * A leader whose disk hangs steps down: the others can go on without its disk. It hands over to a voter that keeps
   * up, if there is one, and cannot win again before its disk has stored its vote.
   */
  #leaveWhenDiskHangs (): void {
    const ticks = this.#log.tick()
    if (ticks < this.#options.timing.electionTicksMin || this.#core.leadershipIndex === null) return
    this.#options.logger.error(
      { stalledMs: ticks * this.#options.timing.tickMs },
      'the disk hangs: giving up leadership'
    )
    if (this.transfer(null).kind === 'refused') this.stepDown()
  }

  #tick (): void {
    this.#leaveWhenDiskHangs()
    const contradiction = this.#contradictions.tick()
    if (contradiction !== null) this.#halt(contradiction)
    this.#step((core, now) => core.tick(now, this.#standsBack()))
    this.#lookForLeader()
    this.#announceLeadership()
    if (this.#watch.takeWantsRound()) this.#step((core) => core.startRound())
    this.#snapshots.tick()
    this.restore.tick()
    this.#listener.ticked()
  }

  /** A leader that has missed a heartbeat may be gone: then connections to it are refused. Asks once an interval. */
  #lookForLeader (): void {
    const { role, leader } = this.#core.view
    const { heartbeatTicks } = this.#options.timing
    const silentTicks = this.#core.contactElapsed
    if (role !== 'follower' || leader === null || silentTicks < 2 * heartbeatTicks) return
    if (silentTicks % heartbeatTicks === 0) this.#transport.tryConnection(leader)
  }

  /** Whether this node leaves elections to others, because it has no state to lead with. */
  #standsBack (): boolean {
    if (this.restore.isOver) return false
    const { leader } = this.#core.view
    this.#ticksWithoutLeader = leader === null ? this.#ticksWithoutLeader + 1 : 0
    return this.#ticksWithoutLeader <= restoringPatience * this.#options.timing.electionTicksMax
  }

  /** Gives the core one event and carries out its output. Null when this node does not run. */
  #step<Result> (
    take: (core: RaftCore<SnapshotInfo>, now: Moment) => Result,
    collector: AnswerCollector | null = null
  ): Result | null {
    if (this.#state.kind !== 'running') return null
    if (this.#stepping) throw new Error('the core takes one input at a time')
    this.#stepping = true
    // Read before the step: a lease counts from before the round was sent.
    const now = { monotonicMs: this.#options.clock.monotonicMs(), wallMs: this.#options.clock.wallMs() }
    try {
      const result = take(this.#core, now)
      carryOut(this.#core.takeOutput(), this.#ports, now, collector)
      this.#announceLeadership()
      return result
    } catch (error) {
      this.#halt(error instanceof Error ? error : new Error(String(error)))
      return null
    } finally {
      this.#stepping = false
    }
  }

  #connectPeers (configuration: Configuration): void {
    const peers = configuration.members
      .filter(({ id }) => id !== this.#options.nodeId)
      .map(({ id, address }) => ({ id, url: address }))
    // Also for a leader that nobody has called yet, once it is alone.
    if (peers.length > 0) this.#hasHadPeers = true
    this.#transport.setPeers(peers)
  }

  #persisted (writeId: number): void {
    this.#step((core, now) => core.persisted(writeId, now))
    if (this.isRunning) sendDurable(writeId, this.#ports)
  }

  #createPorts (): DriverPorts<SnapshotInfo> {
    return {
      lease: this.#lease,
      log: this.#log,
      network: {
        configure: (configuration) => {
          this.#connectPeers(configuration)
          this.#snapshots.membersChanged(configuration.members.map(({ id }) => id))
        },
        send: (messages) => { this.#transport.send(messages) }
      },
      deferred: new DeferredMessages(),
      state: this.#applier,
      snapshots: this.#snapshots,
      listener: {
        configurationChanged: (configuration) => { this.#listener.configurationChanged(configuration) },
        viewChanged: (view) => { this.#listener.viewChanged(view) },
        readDecided: (result) => { this.#listener.readDecided(result) }
      }
    }
  }

  #createApplier (): Applier {
    const { snapshots } = this.#options
    return new Applier({
      appliedIndex: 0,
      apply: (entry) => { this.#listener.apply(entry) },
      restore: (info) => this.#listener.restore(this.restore.watch(info, snapshots.read(info))),
      applied: (entries) => {
        // Entries are applied to a state that is there: it was restored, here or by a snapshot that a leader sent.
        this.restore.ended()
        this.#listener.applied(this.appliedIndex)
        this.#snapshots.applied(entries)
        this.#announceLeadership()
      },
      failed: (error) => {
        this.#halt(error)
      }
    })
  }

  #createSnapshots (): Snapshots {
    const { snapshots: store, snapshotPolicy: policy, clock, timers = systemTimers, logger } = this.#options
    return new Snapshots({ store, policy, nowMs: clock.monotonicMs, timers, logger }, this.#createSnapshotHost())
  }

  #createSnapshotHost (): SnapshotHost {
    return {
      position: () => ({ term: this.#core.view.term, commitIndex: this.#core.commitIndex }),
      snapshotPoint: () =>
        this.#applier.isRestoring || this.appliedIndex === 0
          ? null
          : this.#core.snapshotPoint(asIndex(this.appliedIndex)),
      capture: () => this.#listener.snapshot(),
      snapshotTaken: (info) => { this.#listener.snapshotTaken(info) },
      compact: (covered, keepEntries, keepBytes) => {
        this.#step((core) => core.compact(covered, keepEntries, keepBytes))
      },
      installViolation: (offer) => this.#core.installViolation(offer),
      install: (installation) => this.#install(installation),
      sendChunk: (to, chunk, signal) => this.#transport.sendSnapshot(to, chunk, signal),
      transferEnded: (peer, index, answers) => {
        for (const message of answers) this.#receiveOne(message, null)
        this.#step((core) => index === null ? core.snapshotFailed(peer) : core.snapshotSent(peer, index))
      }
    }
  }

  #announceLeadership (): void {
    const loss = this.isRunning ? this.#core.leadershipLoss ?? 'deposed' : 'stopped'
    for (const news of this.#watch.look(this.#leading(), loss)) this.#listener.leadershipNews(news)
  }

  #halt (error: Error): void {
    if (this.#state.kind === 'failed') return
    const wasStopped = this.#state.kind === 'stopped'
    this.#state = { kind: 'failed', error }
    this.#options.logger.error({ err: error }, 'node has stopped for good')
    this.#shutDown(error)
    this.#host?.transport.close().catch((cause: unknown) => {
      this.#options.logger.error({ err: cause }, 'closing the connections to peers failed')
    })
    if (!wasStopped) this.#host?.listener.failed(error)
  }

  #shutDown (reason: Error): void {
    this.#ticker.stop()
    this.#applier.stop()
    this.restore.stop(reason instanceof StoppedError ? reason : new StoppedError(reason.message, { cause: reason }))
    this.#ports.deferred.abandon(new StoppedError('it was stopped', { cause: reason }))
    this.#announceLeadership()
  }
}
