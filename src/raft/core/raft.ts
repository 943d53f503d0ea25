import type { CoreConfig } from './config.ts'
import type { Configuration } from './configuration.ts'
import {
  campaign,
  countOwnVote,
  handlePreVoteRequest,
  handlePreVoteResponse,
  handleTimeoutNow,
  handleVoteRequest,
  handleVoteResponse,
  isInContact,
  repeatQuestions
} from './election.ts'
import type { Input } from './input.ts'
import { install, installViolation } from './install.ts'
import type { Message } from './message.ts'
import type { LeadershipView, Output } from './output.ts'
import { quorumValue } from './quorum.ts'
import { handleReadRequest, handleReadResponse, readLocally, startRound } from './reads.ts'
import {
  changeConfiguration,
  countOwnDisk,
  handleAppendRequest,
  handleAppendResponse,
  handleHeartbeatRequest,
  handleHeartbeatResponse,
  propose,
  snapshotEnded
} from './replication.ts'
import type { Installation, SnapshotPoint } from './snapshot.ts'
import type { LeaderState, Recovered } from './state.ts'
import { CoreState } from './state.ts'
import { startTransfer, tickTransfer } from './transfer.ts'
import { becomeFollower } from './transitions.ts'
import type { Index, LogBase } from './types.ts'
import { asIndex } from './types.ts'
import { findViolation } from './validation.ts'

/**
 * The Raft protocol of one node as a pure state machine: inputs in, one {@link Output} out. It knows no clock, no
 * disk, no network and no randomness of its own, so that a simulator can run the very code that runs in production.
 *
 * "Paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended version);
 * "dissertation" is Ongaro, "Consensus: Bridging Theory and Practice".
 */
export class RaftCore {
  readonly #state: CoreState

  /** Takes up from what the storage recovered. */
  constructor (config: CoreConfig, recovered: Recovered) {
    this.#state = new CoreState(config, recovered)
  }

  /** Takes one input and says what the driver must do. Throws only when an invariant of this node is broken. */
  step (input: Input): Output {
    this.#take(input)
    return this.#state.takeOutput()
  }

  get configuration (): Configuration { return this.#state.configuration }
  /** Index of the entry that holds the configuration in force; 0 for the initial one. */
  get configurationIndex (): number { return this.#state.configurationIndex }
  get isSoleVoter (): boolean { return this.#state.isSoleVoter }
  get view (): LeadershipView { return this.#state.view() }
  get lastIndex (): Index { return this.#state.log.lastIndex }
  get commitIndex (): Index { return this.#state.log.commitIndex }
  get stableIndex (): Index { return this.#state.log.stableIndex }
  /** The last entry that the log has forgotten. */
  get base (): LogBase { return this.#state.log.base }

  /** What a snapshot stands for that is taken after the entry at `index` was applied and before any other was. */
  snapshotPoint (index: Index): SnapshotPoint { return this.#state.snapshotPoint(index) }

  /**
   * Why a snapshot that is about to be sent to this node would be refused, or null: asked before any of its data is
   * taken.
   */
  installViolation (installation: Installation): string | null { return installViolation(this.#state, installation) }

  /**
   * Index of this term's no-op while this node leads, else null: the fencing token of the leadership. Null, too, from
   * the moment another node was told to take over.
   */
  get leadershipIndex (): number | null {
    const { role } = this.#state
    return role.kind === 'leader' && role.transfer?.isHandedOver !== true ? role.noopIndex : null
  }

  /** Whether the next tick would start an election: the driver first takes in what has already arrived. */
  get campaignIsDue (): boolean {
    const { role, electionElapsed, electionTimeout } = this.#state
    return role.kind !== 'leader' && electionElapsed + 1 >= electionTimeout
  }

  #take (input: Input): void {
    const state = this.#state
    switch (input.kind) {
      case 'tick':
        state.wallMs = input.wallMs
        tick(state)
        return
      case 'receive':
        state.wallMs = input.wallMs
        receive(state, input.message)
        return
      case 'propose':
        state.wallMs = input.wallMs
        state.proposed = propose(state, input.proposals)
        return
      case 'read':
        readLocally(state, input.contexts)
        return
      case 'persisted':
        state.wallMs = input.wallMs
        state.completeWrite(input.writeId)
        if (state.role.kind === 'leader') countOwnDisk(state, state.role)
        else countOwnVote(state)
        return
      case 'unreachable':
        if (state.role.kind === 'leader') state.role.progress.get(input.peer)?.unreachable()
        return
      case 'campaign':
        // Others count on this node's silence as on anybody's: its own vote would break a lease that it has confirmed.
        if (state.role.kind === 'follower' && (state.standsAlone || !isInContact(state))) campaign(state)
        return
      case 'configure':
        state.wallMs = input.wallMs
        state.configured = changeConfiguration(state, input.changes, input.expectedIndex)
        return
      case 'transfer':
        state.transfer = startTransfer(state, input.to)
        return
      case 'step-down':
        if (state.role.kind === 'leader') becomeFollower(state, state.term, null)
        return
      case 'compact':
        state.compact(input.covered, input.keepEntries, input.keepBytes)
        return
      case 'install':
        install(state, input)
        return
      case 'snapshot-sent':
        if (state.role.kind === 'leader') snapshotEnded(state, state.role, input.peer, input.index)
        return
      case 'snapshot-failed':
        if (state.role.kind === 'leader') snapshotEnded(state, state.role, input.peer, asIndex(0))
    }
  }
}

function tick (state: CoreState): void {
  state.contactElapsed++
  if (state.role.kind === 'leader') {
    tickLeader(state, state.role)
    return
  }
  state.electionElapsed++
  if (state.electionElapsed >= state.electionTimeout) campaign(state)
  else repeatQuestions(state)
}

function tickLeader (state: CoreState, leader: LeaderState): void {
  leader.heartbeatElapsed++
  leader.quorumElapsed++
  if (leader.quorumElapsed >= state.config.electionTicksMin) {
    leader.quorumElapsed = 0
    if (!takeQuorumIsActive(state, leader)) {
      becomeFollower(state, state.term, null)
      return
    }
  }
  if (!tickTransfer(state, leader)) return
  if (leader.heartbeatElapsed >= state.config.heartbeatTicks) startRound(state, leader)
}

/** Check-quorum (dissertation section 6.2): a leader that hears from no majority for an election timeout steps down. */
function takeQuorumIsActive (state: CoreState, leader: LeaderState): boolean {
  const heard = quorumValue(state.quorum, (id) =>
    id === state.config.id || leader.progress.get(id)?.recentlyActive === true ? 1 : 0)
  for (const progress of leader.progress.values()) progress.recentlyActive = false
  return heard === 1
}

function receive (state: CoreState, message: Message): void {
  state.violation = findViolation(state, message)
  if (state.violation !== null) return
  if (message.term < state.term) {
    answerStale(state, message)
    return
  }
  if (message.term > state.term && !followTerm(state, message)) return
  handle(state, message)
}

/** Takes up a higher term (paper section 5.1). Returns false when the message must be ignored altogether. */
function followTerm (state: CoreState, message: Message): boolean {
  switch (message.kind) {
    case 'pre-vote-request':
      return true
    case 'pre-vote-response':
      if (!message.granted) becomeFollower(state, message.term, null)
      return true
    case 'vote-request':
      // A node that was away must not depose a leader that the others hear from.
      if (isInContact(state) && !message.isTransfer) return false
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

/** A message of an earlier term changes nothing; whoever waits for an answer learns of the newer term. */
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
      // Round 0 confirms nothing. The sender may lead again by now, in this very term: the number of a round of its
      // earlier term would confirm a round that this node was never asked about.
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
