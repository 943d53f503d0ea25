import type { CoreConfig } from './config.ts'
import { isJoint, participants } from './configuration.ts'
import { ConfigurationHistory } from './configuration-history.ts'
import { invariant } from './invariant.ts'
import { RaftLog } from './log.ts'
import type { Moment } from './log-time.ts'
import { LogTime } from './log-time.ts'
import type { ClusterMark, Message } from './message.ts'
import type { LeadershipView, Output, ReadResult, Write } from './output.ts'
import { Progress } from './progress.ts'
import type { QuorumConfig } from './quorum.ts'
import { Random } from './random.ts'
import type { Installation, SnapshotPoint } from './snapshot.ts'
import type { Configuration, Entry, HardState, Index, LeadershipLoss, LogBase, NodeId, Term } from './types.ts'
import { asIndex, wholeLog } from './types.ts'

/** What a node has recovered from its disk when it starts. */
export interface Recovered {
  /** The last entry before the log's first one; left out for a whole log. */
  readonly base?: LogBase
  readonly hardState: HardState
  /** All entries behind the base. */
  readonly entries: readonly Entry[]
  /** The snapshot that the state was restored from: at or above the base, and the log holds its last entry. */
  readonly snapshot?: SnapshotPoint | null
}

/** A read that waits for its round to be answered by a quorum. */
export interface PendingRead {
  /** The follower that asked, or this node. */
  readonly from: NodeId
  readonly context: number
}

/** A transfer of leadership, counted in ticks since it was asked for. */
interface LeadershipTransfer {
  readonly to: NodeId
  elapsed: number
  /** Whether the target was told to campaign: from then on it may lead at any moment. */
  isHandedOver: boolean
}

/** State of a leader; dropped when the leadership ends. */
export interface LeaderState {
  readonly kind: 'leader'
  /** Replication progress of every other participant, learners included. */
  readonly progress: Map<NodeId, Progress>
  /** Index of this term's no-op; reads wait until it is committed (paper section 8). */
  readonly noopIndex: number
  /** Number of the last heartbeat round started in this term; rounds count up from 1 and are never reused. */
  round: number
  /** Highest round that a quorum has answered: this node still led when that round started. */
  confirmedRound: number
  /** Ticks since the last round was started. */
  heartbeatElapsed: number
  /** Ticks since the last quorum check: once an election timeout a leader that hears from no quorum steps down. */
  quorumElapsed: number
  /** Size of the entries behind the commit index, those of earlier leaders included; bounds what is proposed. */
  uncommittedBytes: number
  /** A transfer of leadership under way; nothing is appended meanwhile. */
  transfer: LeadershipTransfer | null
  /** Reads that share the round in flight, and the index each of them may be served from. */
  readsInRound: { readonly round: number, readonly index: number, readonly reads: readonly PendingRead[] } | null
  /** Reads that came while a round was in flight or before the no-op was committed; they share the next round. */
  waitingReads: PendingRead[]
}

/** The role and what belongs to it. */
type RoleState =
  | { readonly kind: 'follower', readonly leader: NodeId | null }
  | { readonly kind: 'pre-candidate', readonly votes: Map<NodeId, boolean> }
  | { readonly kind: 'candidate', readonly votes: Map<NodeId, boolean>, readonly isTransfer: boolean }
  | LeaderState

/** UUID of the cluster as a committed configuration names it, and the index of the first one held that does. */
interface Foundation {
  readonly clusterUuid: string
  readonly index: number
}

/** `Omit` that keeps a union a union. */
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

const nothing: readonly never[] = []
/** Gives the list to the caller; all empty lists are one, to avoid an allocation. */
function handOut <T> (list: readonly T[]): readonly T[] {
  return list.length === 0 ? nothing : list
}

/** A message without the fields that are the same for all messages of a node. */
type Outgoing = DistributiveOmit<Message, 'from' | 'term' | 'cluster'> & { readonly term?: Term }

/**
 * The mutable state of one core and the output being gathered for the current input. Only the modules of this folder
 * touch it.
 */
export class CoreState {
  readonly config: CoreConfig
  readonly #configurations: ConfigurationHistory
  /** The configuration in force, by whose majorities this node counts. */
  quorum: QuorumConfig
  /** All other voters, outgoing voters and learners. */
  peers: readonly NodeId[]
  /** Whether this node is the only voter. Kept, not derived: the lease asks for it with every request. */
  isSoleVoter: boolean
  readonly log: RaftLog
  readonly random: Random
  /** The current term; never falls (paper section 5.1). */
  term: Term
  /** The node that this node has voted for in the current term, or null. */
  vote: NodeId | null
  role: RoleState = { kind: 'follower', leader: null }
  /** Why the latest leadership of this node ended; null before it has led. */
  leadershipLoss: LeadershipLoss | null = null
  /** Ticks since a leader of this term was heard from, a vote was granted or this node's own election began. */
  electionElapsed = 0
  /** Ticks after which this node campaigns; drawn anew for every wait, so that nodes seldom campaign together. */
  electionTimeout: number
  /** Ticks since a leader was heard from, or since the start of a node that has run before. */
  contactElapsed: number
  /**
   * Ticks since this node answered a heartbeat, or put a configuration in force: another node may have a lease since
   * before either of them. Else as `contactElapsed`.
   */
  leaseElapsed: number
  /** The leader that was heard from last, in this term or an earlier one; null since the start. */
  lastLeader: NodeId | null = null
  /** That the process of that leader may have ended, and how long this node lets others campaign before it. */
  suspicion: { readonly leader: NodeId, yieldTicks: number } | null = null
  /** Term and vote that are on this node's disk. */
  durable: Pick<HardState, 'term' | 'vote'>
  /** Log time; see {@link LogTime}. */
  readonly logTime: LogTime
  #now: Moment = { monotonicMs: 0, wallMs: 0 }

  #writtenHardState: HardState
  readonly #pendingHardStates: Array<{ readonly id: number, readonly hardState: HardState }> = []
  #lastWriteId = 0
  #handedOut: number
  #lastView: LeadershipView
  #founded: Foundation | null = null
  #mark: ClusterMark | undefined = undefined
  /** UUID of the cluster that this node is to be part of, while its log does not say. */
  expectedCluster: string | undefined = undefined
  /** A reset of the log that no write carries yet. */
  #unwrittenReset: LogBase | null = null

  #messages: Message[] = []
  #deferred: Message[] = []
  #reads: ReadResult[] = []
  #newConfiguration: Configuration | null = null
  #installed: Installation<unknown> | null = null
  #compactThrough: Index | null = null
  readonly #snapshotsWanted = new Set<NodeId>()
  /** See {@link Output.roundStarted}. */
  roundStarted: number | null = null
  /** See {@link Output.roundConfirmed}. */
  roundConfirmed: number | null = null

  constructor (config: CoreConfig, { base = wholeLog, hardState, entries, snapshot = null }: Recovered) {
    invariant(config.electionTicksMax >= config.electionTicksMin, 'election timeouts form a range')
    invariant(config.electionTicksMin > config.heartbeatTicks, 'an election timeout is longer than a heartbeat')
    invariant(config.leaseTicks > 0 && config.leaseTicks <= config.electionTicksMin, 'a lease ends before a timeout')
    this.config = config
    invariant((snapshot?.index ?? 0) >= base.index, 'a snapshot covers all compacted entries')
    this.#configurations = new ConfigurationHistory(
      snapshot?.held ?? { index: 0, configuration: config.configuration },
      entries
    )
    this.quorum = this.configuration
    this.peers = participants(this.configuration).filter((id) => id !== config.id)
    this.isSoleVoter = this.#computeIsSoleVoter()
    const restoredIndex = snapshot?.index ?? asIndex(0)
    this.log = new RaftLog(base, entries, asIndex(Math.max(hardState.commit, restoredIndex)))
    invariant(snapshot === null || this.log.termAt(restoredIndex) === snapshot.term, 'the log agrees with the snapshot')
    invariant(hardState.term >= this.log.lastTerm, 'no entry is newer than the recovered term')
    this.logTime = new LogTime(this.log.lastTimeMs)
    this.random = new Random(config.seed)
    this.term = hardState.term
    this.vote = hardState.vote
    this.durable = hardState
    this.#writtenHardState = hardState
    this.#handedOut = restoredIndex
    this.electionTimeout = this.drawElectionTimeout()
    // A node that ran before may have answered a heartbeat just before it stopped: it still owes that leader its
    // silence.
    this.contactElapsed = hardState.term > 0 ? 0 : config.electionTicksMin
    this.leaseElapsed = this.contactElapsed
    this.#lastView = { role: this.role.kind, term: this.term, leader: this.leader }
  }

  /** The moment of the current input. */
  get now (): Moment { return this.#now }
  set now (now: Moment) {
    this.#now = now
    this.logTime.inputAt(now)
  }

  get configuration (): Configuration { return this.#configurations.current.configuration }
  /** Index of the entry that holds the configuration in force; 0 for the initial one. */
  get configurationIndex (): number { return this.#configurations.current.index }

  get isVoter (): boolean {
    const { voters, outgoing } = this.configuration
    return voters.includes(this.config.id) || outgoing.includes(this.config.id)
  }

  #computeIsSoleVoter (): boolean {
    return this.isVoter && this.configuration.voters.length === 1 && !isJoint(this.configuration)
  }

  /**
   * Whether this node may be needed as leader: it votes in the configuration in force, or that one is not known to be
   * committed and it votes in an earlier one. A leader that has appended its own removal and was deposed may hold the
   * only log that can win (dissertation section 4.2.2).
   */
  get mayCampaign (): boolean {
    const { id } = this.config
    return this.possibleConfigurations.some(({ voters, outgoing }) => voters.includes(id) || outgoing.includes(id))
  }

  /** Whether no other node can lead: this node is the only voter of every configuration that may be in force. */
  get isOnlyPossibleLeader (): boolean {
    const { id } = this.config
    return this.possibleConfigurations.every((configuration) =>
      configuration.voters.length === 1 && configuration.voters[0] === id && !isJoint(configuration))
  }

  /** The latest configuration known to be committed and all later ones: each of them may be in force on some node. */
  get possibleConfigurations (): readonly Configuration[] { return this.#configurations.since(this.log.commitIndex) }

  /**
   * UUID of the cluster whose log this is; undefined until a configuration that names it is known to be committed. From
   * then on it never changes: what is committed stays.
   */
  get clusterUuid (): string | undefined { return this.#foundation()?.clusterUuid }

  /** Whether a committed configuration, as far as the log holds them, has this node with this incarnation. */
  hasBelonged (incarnation: string): boolean {
    return this.#configurations.hadMember(this.config.id, incarnation, this.log.commitIndex)
  }

  /** UUID of the only cluster that this node listens to; undefined while it would become part of any. */
  get knownCluster (): string | undefined { return this.clusterUuid ?? this.expectedCluster }

  /** What messages of this node say about its cluster; the same object as long as nothing in it changes. */
  get clusterMark (): ClusterMark | undefined {
    const committed = this.clusterUuid
    const uuid = committed ?? this.configuration.clusterUuid
    if (uuid === undefined) return undefined
    const isCommitted = committed !== undefined
    if (this.#mark?.uuid !== uuid || this.#mark.isCommitted !== isCommitted) this.#mark = { uuid, isCommitted }
    return this.#mark
  }

  #foundation (): Foundation | null {
    if (this.#founded !== null) return this.#founded
    const held = this.#configurations.foundedBy(this.log.commitIndex)
    const clusterUuid = held?.configuration.clusterUuid
    if (held !== null && clusterUuid !== undefined) this.#founded = { clusterUuid, index: held.index }
    return this.#founded
  }

  /** The snapshot point of a snapshot of the state after the entry at `index`. */
  snapshotPoint (index: Index): SnapshotPoint {
    return { ...this.log.pointAt(index), held: this.#configurations.at(index) }
  }

  /** Compacts the log as far as a snapshot of this node and the trailing entries allow. */
  compact (covered: Index, keepEntries: number, keepBytes: number): void {
    const through = this.log.compactableThrough(asIndex(Math.min(covered, this.#handedOut)), keepEntries, keepBytes)
    if (through <= this.log.base.index) return
    this.log.compact(through)
    this.#configurations.compact(through)
    this.#compactThrough = through
  }

  /** Replaces the whole log by a snapshot. */
  restartFrom (installation: Installation<unknown>): void {
    const { snapshot } = installation
    const base = { index: snapshot.index, term: snapshot.term, timeMs: snapshot.timeMs }
    this.log.restart(base)
    this.logTime.received(base.timeMs, this.now)
    this.#configurations.restart(snapshot.held)
    this.#configurationChanged()
    this.#unwrittenReset = base
    this.#installed = installation
    this.#handedOut = base.index
  }

  /** A peer needs entries that this leader has compacted: asks the driver to send it a snapshot. */
  wantSnapshot (peer: NodeId, progress: Progress): void {
    progress.needSnapshot(this.log.base.index)
    this.#snapshotsWanted.add(peer)
  }

  /** Puts the configurations among appended entries in force. */
  takeConfigurations (entries: readonly Entry[]): void {
    if (this.#configurations.take(entries)) this.#configurationChanged()
  }

  /** The entries from this index on are about to be replaced: an earlier configuration may be in force again. */
  rollBackConfigurations (index: number): void {
    if (this.#configurations.truncateFrom(index)) this.#configurationChanged()
  }

  #configurationChanged (): void {
    // Its majorities need not overlap with those by which a leader has counted its lease until now.
    this.leaseElapsed = 0
    this.#newConfiguration = this.configuration
    this.quorum = this.configuration
    this.peers = participants(this.configuration).filter((id) => id !== this.config.id)
    this.isSoleVoter = this.#computeIsSoleVoter()
    if (this.role.kind !== 'leader') return
    const { progress } = this.role
    for (const peer of [...progress.keys()]) if (!this.peers.includes(peer)) progress.delete(peer)
    for (const peer of this.peers) {
      if (!progress.has(peer)) progress.set(peer, new Progress(asIndex(this.log.lastIndex + 1)))
    }
  }

  get leader (): NodeId | null {
    switch (this.role.kind) {
      case 'leader': return this.config.id
      case 'follower': return this.role.leader
      case 'pre-candidate':
      case 'candidate': return null
    }
  }

  /** The same object as long as nothing in it changes. */
  view (): LeadershipView {
    const { role: { kind }, term, leader } = this
    const last = this.#lastView
    return last.role === kind && last.term === term && last.leader === leader ? last : { role: kind, term, leader }
  }

  drawElectionTimeout (): number {
    return this.random.between(this.config.electionTicksMin, this.config.electionTicksMax)
  }

  /** Sends at once: the message promises nothing about this node's disk. */
  send (message: Outgoing): void {
    this.#messages.push(this.#complete(message))
  }

  /** Sends when everything decided so far is on this node's disk. */
  sendDurably (message: Outgoing): void {
    this.#deferred.push(this.#complete(message))
  }

  answerRead (result: ReadResult): void {
    this.#reads.push(result)
  }

  /** The disk confirmed this write and all earlier ones. */
  completeWrite (writeId: number): void {
    invariant(writeId <= this.#lastWriteId, 'only issued writes complete')
    this.log.completeWrite(writeId)
    for (
      let next = this.#pendingHardStates[0];
      next !== undefined && next.id <= writeId;
      next = this.#pendingHardStates[0]
    ) {
      this.durable = next.hardState
      this.#pendingHardStates.shift()
    }
  }

  /** Returns everything that has to be written, sent, applied and answered since the last call. */
  takeOutput (): Output {
    const write = this.#takeWrite()
    const committed =
      this.log.commitIndex === this.#handedOut
        ? nothing
        : this.log.range(asIndex(this.#handedOut), this.log.commitIndex)
    this.#handedOut = this.log.commitIndex
    const view = this.view()
    const output: Output = {
      write,
      compactThrough: this.#compactThrough,
      messages: handOut(this.#messages),
      deferred: handOut(this.#deferred),
      deferredUntil: this.#lastWriteId,
      installed: this.#installed,
      committed,
      snapshotsWanted: this.#snapshotsWanted.size === 0 ? nothing : [...this.#snapshotsWanted],
      reads: handOut(this.#reads),
      configuration: this.#newConfiguration,
      view: view === this.#lastView ? null : view,
      roundStarted: this.roundStarted,
      roundConfirmed: this.roundConfirmed
    }
    this.#lastView = view
    if (this.#messages.length > 0) this.#messages = []
    if (this.#deferred.length > 0) this.#deferred = []
    if (this.#reads.length > 0) this.#reads = []
    this.#newConfiguration = null
    this.#installed = null
    this.#compactThrough = null
    if (this.#snapshotsWanted.size > 0) this.#snapshotsWanted.clear()
    this.roundStarted = null
    this.roundConfirmed = null
    return output
  }

  #complete (message: Outgoing): Message {
    invariant(message.to !== this.config.id, 'a node sends itself no message')
    // In place: each message is made for this one call, and copying it would cost as much as all else about it.
    const complete: Outgoing & { from?: NodeId, term?: Term, cluster?: ClusterMark } = message
    const { clusterMark } = this
    complete.from = this.config.id
    if (clusterMark !== undefined) complete.cluster = clusterMark
    complete.term ??= this.term
    return complete as Message
  }

  /**
   * Whether this commit hint is the first that tells after a restart which cluster this is: it is written at once, so
   * that a restart does not forget it.
   */
  #isFoundedBetween (written: Index, commit: Index): boolean {
    const foundation = commit === written ? null : this.#foundation()
    return foundation !== null && written < foundation.index && foundation.index <= commit
  }

  #takeWrite (): Write | null {
    const written = this.#writtenHardState
    invariant(this.term >= written.term, 'the term never falls')
    const promiseChanged = this.term !== written.term || this.vote !== written.vote
    const reset = this.#unwrittenReset
    this.#unwrittenReset = null
    // The commit hint never runs ahead of this disk, so that a recovered log always reaches it.
    const commit = asIndex(Math.max(written.commit, Math.min(this.log.commitIndex, this.log.stableIndex)))
    const isFounded = this.#isFoundedBetween(written.commit, commit)
    if (!promiseChanged && !this.log.hasUnwritten && reset === null && !isFounded) return null
    const id = ++this.#lastWriteId
    const changed = promiseChanged || commit !== written.commit || reset !== null
    const hardState: HardState = { term: this.term, vote: this.vote, commit }
    if (changed) {
      this.#writtenHardState = hardState
      this.#pendingHardStates.push({ id, hardState })
    }
    const entries = this.log.startWrite(id)
    if (reset === null) return { kind: 'append', id, hardState: changed ? hardState : null, entries }
    invariant(entries.length === 0, 'nothing is appended in the step that restarts the log')
    return { kind: 'restart', id, base: reset, hardState }
  }
}
