import type { CoreConfig } from './config.ts'
import type { ConfigurationChange } from './configuration.ts'
import {
  campaign,
  countOwnVote,
  handlePreVoteRequest,
  handlePreVoteResponse,
  handleTimeoutNow,
  handleVoteRequest,
  handleVoteResponse,
  isInContact,
  refusesVotes,
  repeatQuestions,
  standBack
} from './election.ts'
import { handleHeartbeatRequest, startRound, takeQuorumIsActive } from './heartbeat.ts'
import { install, installViolation } from './install.ts'
import type { Moment } from './log-time.ts'
import type { ClusterMark, Message } from './message.ts'
import type { ConfigureResult, LeadershipView, Output, ProposeResult, TransferResult, Violation } from './output.ts'
import { handleReadRequest, handleReadResponse, readLocally, serveReads } from './reads.ts'
import {
  changeConfiguration,
  countOwnDisk,
  handleAppendRequest,
  handleAppendResponse,
  handleHeartbeatResponse,
  propose,
  snapshotEnded
} from './replication.ts'
import type { Installation, SnapshotOffer, SnapshotPoint } from './snapshot.ts'
import type { LeaderState, Recovered } from './state.ts'
import { CoreState } from './state.ts'
import { isSuspicionDue, suspect } from './suspicion.ts'
import { startTransfer, tickTransfer } from './transfer.ts'
import { becomeFollower } from './transitions.ts'
import type { Configuration, Index, LeadershipLoss, LogBase, NodeId } from './types.ts'
import { asIndex } from './types.ts'
import { findViolation } from './validation.ts'

/**
 * The Raft protocol of one node as a pure state machine. Each method reports one event to the core and returns its
 * result at once; then `takeOutput` says what to persist, send and apply. The core takes one event at a time and never
 * waits. It throws only when an invariant of this node is broken.
 *
 * It knows no clock, no disk, no network and no randomness of its own, so that a simulator can run the very code that
 * runs in production. `Handle` is the type by which the driver identifies an installed snapshot.
 *
 * "Paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version);
 * "dissertation" is Ongaro, "Consensus: Bridging Theory and Practice".
 */
export class RaftCore<Handle = unknown> {
  readonly #state: CoreState

  /** Starts from the recovered log and hard state. */
  constructor (config: CoreConfig, recovered: Recovered) {
    this.#state = new CoreState(config, recovered)
  }

  /**
   * One tick of the driver's clock went by; the driver decides how long a tick is. Each `now` is the moment of the
   * event on this machine's clocks: log time is counted by it. With `standsBack` this node does not campaign when its
   * election timeout passes, and leaves that to the others.
   */
  tick (now: Moment, standsBack = false): void {
    this.#state.now = now
    tick(this.#state, standsBack)
  }

  /** A message from a peer arrived. Returns the rule of the protocol that it breaks, or null. */
  receive (message: Message, now: Moment): Violation | null {
    const state = this.#state
    const violation = findViolation(state, message)
    if (violation !== null) return violation
    state.now = now
    receive(state, message)
    return null
  }

  /** Appends commands, opaque bytes for the state machine, to the log; only a leader does. */
  propose (commands: readonly Uint8Array[], now: Moment): ProposeResult {
    this.#state.now = now
    return propose(this.#state, commands)
  }

  /**
   * Requests read indexes (dissertation section 6.4): the answers come with {@link Output.reads}, now or later. Each
   * context identifies a read for the caller and is unique on this node.
   */
  read (contexts: readonly number[]): void {
    readLocally(this.#state, contexts)
  }

  /** The write with this id, and all earlier ones, survive a power cut. */
  persisted (writeId: number, now: Moment): void {
    const state = this.#state
    state.now = now
    state.completeWrite(writeId)
    if (state.role.kind === 'leader') countOwnDisk(state, state.role)
    else countOwnVote(state)
  }

  /** This node is to be part of the cluster with this UUID: while its log does not say so, it listens to no other. */
  expectCluster (uuid: string): void {
    this.#state.expectedCluster = uuid
  }

  /** Messages to this peer were lost. */
  unreachable (peer: NodeId): void {
    const { role } = this.#state
    if (role.kind === 'leader') role.progress.get(peer)?.unreachable()
  }

  /**
   * New connections to this peer are refused. That is a hint that its process has ended, which may be wrong: where this
   * peer was the leader, an election takes less silence of it, and is asked for and answered as ever.
   */
  connectionRefused (peer: NodeId): void {
    suspect(this.#state, peer)
  }

  /**
   * Starts an election now, without waiting for the timeout. Only a follower does so, and only if it has heard from no
   * leader for the minimum election timeout, or if no other node can lead.
   */
  campaign (): void {
    const state = this.#state
    // A leader counts on the silence of its followers: this node's vote for itself would break a lease that it
    // confirmed.
    if (state.role.kind === 'follower' && (state.isOnlyPossibleLeader || !isInContact(state))) campaign(state)
  }

  /**
   * Starts a heartbeat round ahead of its time, if this node leads: one that could not run asks whether it still does.
   */
  startRound (): void {
    const state = this.#state
    if (state.role.kind === 'leader' && startRound(state, state.role)) serveReads(state, state.role)
  }

  /**
   * Changes the configuration (paper section 6). Refused as `conflict` when the index of the configuration in force is
   * not `expectedIndex`, unless that is null.
   */
  configure (changes: readonly ConfigurationChange[], expectedIndex: number | null, now: Moment): ConfigureResult {
    this.#state.now = now
    return changeConfiguration(this.#state, changes, expectedIndex)
  }

  /** Hands leadership over to this peer, or to the most caught-up one (dissertation section 3.10). */
  transfer (to: NodeId | null): TransferResult {
    return startTransfer(this.#state, to)
  }

  /** Whether a committed configuration, as far as the log holds them, has this node with this incarnation. */
  hasBelonged (incarnation: string): boolean {
    return this.#state.hasBelonged(incarnation)
  }

  /** Stops leading in this term. */
  stepDown (): void {
    const state = this.#state
    if (state.role.kind === 'leader') becomeFollower(state, state.term, null, 'stepped-down')
  }

  /**
   * A durable snapshot of this node covers all entries through `covered`: compacts the log up to there, except for the
   * last entries, at most `keepEntries` with at most `keepBytes`.
   */
  compact (covered: Index, keepEntries: number, keepBytes: number): void {
    this.#state.compact(covered, keepEntries, keepBytes)
  }

  /**
   * A snapshot that a leader sent is complete and durable on this node (paper figure 13). Returns the rule of the
   * protocol that it breaks, or null. If the state has to be restored from the snapshot, {@link Output.installed} is
   * this same object.
   */
  install (installation: Installation<Handle>, now: Moment): Violation | null {
    this.#state.now = now
    return install(this.#state, installation)
  }

  /** The peer has all of a snapshot through `index`. */
  snapshotSent (peer: NodeId, index: Index): void {
    const state = this.#state
    if (state.role.kind === 'leader') snapshotEnded(state, state.role, peer, index)
  }

  /** The peer was not sent the snapshot that {@link Output.snapshotsWanted} asked for. */
  snapshotFailed (peer: NodeId): void {
    const state = this.#state
    if (state.role.kind === 'leader') snapshotEnded(state, state.role, peer, asIndex(0))
  }

  /**
   * Returns what the driver must do because of the calls since the last `takeOutput`; to be done before the next call.
   */
  takeOutput (): Output<Handle> {
    // Every handle in it was given to install().
    return this.#state.takeOutput() as Output<Handle>
  }

  /** The configuration in force: the latest one in the log, committed or not. */
  get configuration (): Configuration { return this.#state.configuration }
  /** Index of the entry that holds the configuration in force; 0 for the initial one. */
  get configurationIndex (): number { return this.#state.configurationIndex }
  /** UUID of the cluster whose log this is; undefined until the entry that names it is known to be committed. */
  get clusterUuid (): string | undefined { return this.#state.clusterUuid }
  /** The latest configuration known to be committed and all later ones: each of them may be in force on some node. */
  get possibleConfigurations (): readonly Configuration[] { return this.#state.possibleConfigurations }
  /** What messages of this node say about its cluster. */
  get clusterMark (): ClusterMark | undefined { return this.#state.clusterMark }
  /** UUID of the only cluster that this node listens to; undefined while it would become part of any. */
  get knownCluster (): string | undefined { return this.#state.knownCluster }
  /** Whether this node is the only voter of the configuration in force. */
  get isSoleVoter (): boolean { return this.#state.isSoleVoter }
  /** Role, term and leader; the same object as long as nothing in it changes. */
  get view (): LeadershipView { return this.#state.view() }
  /** Ticks since this node heard from a leader. */
  get contactElapsed (): number { return this.#state.contactElapsed }
  /** Whether it leads, or has heard from a leader within the minimum election timeout. */
  get isInContact (): boolean { return isInContact(this.#state) }
  /** Index of the last entry in the log. */
  get lastIndex (): Index { return this.#state.log.lastIndex }
  /** Index of the last entry known to be committed. */
  get commitIndex (): Index { return this.#state.log.commitIndex }
  /** Index of the last entry known to be on this node's disk. */
  get stableIndex (): Index { return this.#state.log.stableIndex }
  /** The last compacted entry; index 0 for a whole log. */
  get base (): LogBase { return this.#state.log.base }

  /** The snapshot point of a snapshot of the state after the entry at `index`. */
  snapshotPoint (index: Index): SnapshotPoint { return this.#state.snapshotPoint(index) }

  /**
   * The rule of the protocol that an offered snapshot breaks, or null. The receiver asks before it accepts any data.
   */
  installViolation (offer: SnapshotOffer): Violation | null { return installViolation(this.#state, offer) }

  /**
   * Index of this term's no-op while this node leads, else null: the fencing token of the leadership. Also null from
   * the moment another node was told to take over.
   */
  get leadershipIndex (): number | null {
    const { role } = this.#state
    return role.kind === 'leader' && role.transfer?.isHandedOver !== true ? role.noopIndex : null
  }

  /** Why this node gave its latest leadership up; null while it leads, and when it never led since its start. */
  get leadershipLoss (): LeadershipLoss | null {
    const { role, leadershipLoss } = this.#state
    if (role.kind !== 'leader') return leadershipLoss
    return role.transfer?.isHandedOver === true ? 'transferred' : null
  }

  /**
   * After how many ticks something may happen that no message causes: a round of heartbeats, a question that is
   * repeated, an election. The ticks before that may come together. At most a heartbeat interval.
   */
  get quietTicks (): number {
    const { role, contactElapsed, electionElapsed, electionTimeout, suspicion, config } = this.#state
    const { heartbeatTicks, electionTicksMin } = config
    switch (role.kind) {
      case 'leader': {
        const transferTicks = role.transfer === null ? Infinity : electionTicksMin - role.transfer.elapsed
        const checkTicks = electionTicksMin - role.quorumElapsed
        return Math.max(1, Math.min(heartbeatTicks - role.heartbeatElapsed, checkTicks, transferTicks))
      }
      case 'follower': {
        // Of a leader that is late by two ticks, each tick of silence counts.
        const lateTicks = suspicion === null ? heartbeatTicks + 2 - contactElapsed : 1
        return Math.max(1, Math.min(heartbeatTicks, electionTimeout - electionElapsed, lateTicks))
      }
      default: return 1
    }
  }

  /** Whether the next tick would start an election: the driver first handles the messages that have already arrived. */
  get campaignIsDue (): boolean {
    const { role, electionElapsed, electionTimeout } = this.#state
    return role.kind !== 'leader' && (electionElapsed + 1 >= electionTimeout || isSuspicionDue(this.#state, 1))
  }
}

function tick (state: CoreState, standsBack: boolean): void {
  state.contactElapsed++
  state.leaseElapsed++
  if (state.role.kind === 'leader') {
    tickLeader(state, state.role)
    return
  }
  state.electionElapsed++
  if (state.electionElapsed < state.electionTimeout && !isSuspicionDue(state, 0)) repeatQuestions(state)
  else if (standsBack) standBack(state)
  else campaign(state)
}

function tickLeader (state: CoreState, leader: LeaderState): void {
  leader.heartbeatElapsed++
  leader.quorumElapsed++
  if (leader.quorumElapsed >= state.config.electionTicksMin) {
    leader.quorumElapsed = 0
    if (!takeQuorumIsActive(state, leader)) {
      becomeFollower(state, state.term, null, 'quorum-lost')
      return
    }
  }
  if (!tickTransfer(state, leader)) return
  if (leader.heartbeatElapsed < state.config.heartbeatTicks) return
  if (startRound(state, leader)) serveReads(state, leader)
}

function receive (state: CoreState, message: Message): void {
  if (message.term < state.term) {
    answerStale(state, message)
    return
  }
  if (message.term > state.term && !followTerm(state, message)) return
  handle(state, message)
}

/** Adopts a higher term (paper section 5.1). Returns false when the message must be ignored altogether. */
function followTerm (state: CoreState, message: Message): boolean {
  switch (message.kind) {
    case 'pre-vote-request':
      return true
    case 'pre-vote-response':
      if (!message.granted) becomeFollower(state, message.term, null)
      return true
    case 'vote-request':
      // A returning node must not depose a leader that this node hears from.
      if (refusesVotes(state) && !message.isTransfer) return false
      becomeFollower(state, message.term, null)
      return true
    case 'append-request':
    case 'heartbeat-request':
      becomeFollower(state, message.term, message.from)
      return true
    case 'vote-response':
    case 'append-response':
    case 'heartbeat-response':
    case 'read-request':
    case 'read-response':
    case 'timeout-now':
      becomeFollower(state, message.term, null)
      return true
  }
}

/** A message of an earlier term changes nothing; the answer to a request tells the sender the newer term. */
function answerStale (state: CoreState, message: Message): void {
  switch (message.kind) {
    case 'pre-vote-request':
      state.send({ kind: 'pre-vote-response', to: message.from, granted: false })
      break
    case 'vote-request':
      state.send({ kind: 'vote-response', to: message.from, granted: false })
      break
    case 'append-request':
    case 'heartbeat-request':
      // Round 0 confirms nothing. The sender may lead again by now, in this term: the number of a round of its earlier
      // term would confirm a round of this term that this node was never asked about.
      state.send({ kind: 'heartbeat-response', to: message.from, round: 0 })
      break
    case 'pre-vote-response':
    case 'vote-response':
    case 'append-response':
    case 'heartbeat-response':
    case 'read-request':
    case 'read-response':
    case 'timeout-now':
  }
}

function handle (state: CoreState, message: Message): void {
  switch (message.kind) {
    case 'pre-vote-request': return handlePreVoteRequest(state, message)
    case 'pre-vote-response': return handlePreVoteResponse(state, message)
    case 'vote-request': return handleVoteRequest(state, message)
    case 'vote-response': return handleVoteResponse(state, message)
    case 'append-request': return handleAppendRequest(state, message)
    case 'heartbeat-request': return handleHeartbeatRequest(state, message)
    case 'append-response':
      if (state.role.kind === 'leader') handleAppendResponse(state, state.role, message)
      return
    case 'heartbeat-response':
      if (state.role.kind === 'leader') handleHeartbeatResponse(state, state.role, message)
      return
    case 'read-request': return handleReadRequest(state, message)
    case 'read-response': return handleReadResponse(state, message)
    case 'timeout-now': return handleTimeoutNow(state, message)
  }
}
