import type { PreVoteRequest, PreVoteResponse, TimeoutNow, VoteRequest, VoteResponse } from './message.ts'
import { voteResult } from './quorum.ts'
import { lead } from './replication.ts'
import type { CoreState } from './state.ts'
import { goBeforeOthers, hasOutlivedLease } from './suspicion.ts'
import { becomeCandidate, becomeFollower, becomePreCandidate, restartElectionTimer } from './transitions.ts'
import { asTerm } from './types.ts'

/**
 * Whether this node leads, has heard from a leader within the minimum election timeout, or restarted so recently that
 * it may have (dissertation section 4.2.3).
 */
export function isInContact (state: CoreState): boolean {
  return state.role.kind === 'leader' || state.contactElapsed < state.config.electionTicksMin
}

/**
 * Whether this node must keep quiet about elections: it is in contact with a leader that it does not suspect, or a
 * lease may still hold. Leases rest on this.
 */
export function refusesVotes (state: CoreState): boolean {
  const inContact = isInContact(state)
  return inContact && (state.role.kind === 'leader' || state.suspicion === null || !hasOutlivedLease(state))
}

function askPreVotes (state: CoreState, votes: ReadonlyMap<string, boolean>): void {
  for (const peer of state.peers) {
    if (votes.get(peer) === true) continue
    state.send({
      kind: 'pre-vote-request',
      to: peer,
      term: asTerm(state.term + 1),
      lastIndex: state.log.lastIndex,
      lastTerm: state.log.lastTerm
    })
  }
}

/**
 * Asks for votes, once this candidate's own vote is on its disk. A candidate that crashed and lost this term could ask
 * again with another log, and collect the answers to both questions.
 */
function askVotes (state: CoreState, votes: ReadonlyMap<string, boolean>, isTransfer: boolean): void {
  for (const peer of state.peers) {
    if (votes.has(peer)) continue
    state.sendDurably({
      kind: 'vote-request',
      to: peer,
      lastIndex: state.log.lastIndex,
      lastTerm: state.log.lastTerm,
      isTransfer
    })
  }
}

function startElection (state: CoreState, isTransfer: boolean): void {
  becomeCandidate(state, isTransfer)
  askVotes(state, new Map(), isTransfer)
}

/** The leader hands over: this node starts an election at once, without a pre-vote (dissertation section 3.10). */
export function handleTimeoutNow (state: CoreState, message: TimeoutNow): void {
  if (state.role.kind !== 'follower' || state.role.leader !== message.from || !state.mayCampaign) return
  startElection(state, true)
}

/**
 * The election timeout passed (paper section 5.2). A node that cannot be needed as leader does not campaign. A sole
 * voter skips the pre-vote: no other node could answer it.
 */
export function campaign (state: CoreState): void {
  if (!state.mayCampaign) {
    restartElectionTimer(state)
    return
  }
  if (state.isSoleVoter) {
    startElection(state, false)
    return
  }
  becomePreCandidate(state)
  askPreVotes(state, new Map())
}

/**
 * The election timeout passed, and this node leaves the election to others. It follows nobody from now on; its vote and
 * its promise to the last leader are what they would be otherwise.
 */
export function standBack (state: CoreState): void {
  becomeFollower(state, state.term, null)
  restartElectionTimer(state)
}

/**
 * Repeats unanswered questions every heartbeat interval, so that one lost message does not cost an election timeout; at
 * first every tick when the leader is suspected.
 */
export function repeatQuestions (state: CoreState): void {
  const { electionElapsed, suspicion, config: { heartbeatTicks } } = state
  // The promises of those that suspect the same leader end a tick or two apart.
  const isSoon = suspicion !== null && electionElapsed < heartbeatTicks
  if (!isSoon && electionElapsed % heartbeatTicks !== 0) return
  if (state.role.kind === 'pre-candidate') askPreVotes(state, state.role.votes)
  else if (state.role.kind === 'candidate') askVotes(state, state.role.votes, state.role.isTransfer)
}

/** A grant says only that an election could be won now. It changes nothing on this node, not even a timer. */
export function handlePreVoteRequest (state: CoreState, message: PreVoteRequest): void {
  const isUpToDate = state.log.isUpToDate(message.lastIndex, message.lastTerm)
  if (!isUpToDate) goBeforeOthers(state)
  const granted = !refusesVotes(state) && message.term > state.term && isUpToDate
  state.send({ kind: 'pre-vote-response', to: message.from, term: granted ? message.term : state.term, granted })
}

export function handlePreVoteResponse (state: CoreState, message: PreVoteResponse): void {
  if (state.role.kind !== 'pre-candidate') return
  if (message.granted && message.term !== state.term + 1) return
  state.role.votes.set(message.from, message.granted)
  // A refusal may turn into a grant as soon as the voter misses the leader as well: keep asking until the timeout.
  if (voteResult(state.quorum, state.role.votes) === 'won') startElection(state, false)
}

/** RequestVote, receiver side (paper figure 2 and section 5.4.1); the answer waits for the disk. */
export function handleVoteRequest (state: CoreState, message: VoteRequest): void {
  if (refusesVotes(state) && !message.isTransfer) return
  const mayVote = state.vote === message.from || (state.vote === null && state.leader === null)
  if (!mayVote || !state.log.isUpToDate(message.lastIndex, message.lastTerm)) {
    state.send({ kind: 'vote-response', to: message.from, granted: false })
    return
  }
  if (state.vote === null) {
    if (state.role.kind !== 'follower') becomeFollower(state, state.term, null)
    state.vote = message.from
  }
  restartElectionTimer(state)
  state.sendDurably({ kind: 'vote-response', to: message.from, granted: true })
}

function countVotes (state: CoreState): void {
  if (state.role.kind !== 'candidate') return
  switch (voteResult(state.quorum, state.role.votes)) {
    case 'won':
      // The grants of others can arrive before this node's own vote is durable.
      if (state.role.votes.has(state.config.id)) lead(state)
      return
    case 'lost':
      becomeFollower(state, state.term, null)
      break
    case 'pending':
  }
}

export function handleVoteResponse (state: CoreState, message: VoteResponse): void {
  if (state.role.kind !== 'candidate') return
  // A refusal after a grant answers a question of an earlier term: the grant stands.
  if (state.role.votes.get(message.from) !== true) state.role.votes.set(message.from, message.granted)
  countVotes(state)
}

/** The disk has this candidate's vote for itself: it counts from now on. */
export function countOwnVote (state: CoreState): void {
  if (state.role.kind !== 'candidate' || state.role.votes.has(state.config.id)) return
  if (state.durable.term !== state.term || state.durable.vote !== state.config.id) return
  state.role.votes.set(state.config.id, true)
  countVotes(state)
}
