import { totalBytes } from './entry-size.ts'
import { invariant } from './invariant.ts'
import { Progress } from './progress.ts'
import type { CoreState, LeaderState } from './state.ts'
import type { Configuration, ConfigurationEntry, Index, LeadershipLoss, NodeId, Term } from './types.ts'
import { asIndex, asTerm } from './types.ts'

/** Starts a new wait for an election, with a new random length (paper section 5.2). */
export function restartElectionTimer (state: CoreState): void {
  state.electionElapsed = 0
  state.electionTimeout = state.drawElectionTimeout()
}

function refuseLeaderReads (state: CoreState, leader: LeaderState): void {
  const open = [...(leader.readsInRound?.reads ?? []), ...leader.waitingReads]
  for (const read of open) {
    // A follower whose read waits here asks the next leader again; it gets no answer from this node.
    if (read.from !== state.config.id) continue
    state.answerRead({ kind: 'refused', context: read.context, reason: 'leadership-lost' })
  }
}

/**
 * Becomes follower in this term; a higher term also clears the vote (paper section 5.1). `loss` says why, in case this
 * node leads.
 */
export function becomeFollower (
  state: CoreState,
  term: Term,
  leader: NodeId | null,
  loss: LeadershipLoss = 'deposed'
): void {
  invariant(term >= state.term, 'the term never falls')
  if (state.role.kind === 'leader') {
    invariant(term > state.term || leader === null, 'one leader in a term')
    refuseLeaderReads(state, state.role)
    state.leadershipLoss = loss
  }
  if (term > state.term) {
    state.term = term
    state.vote = null
  }
  if (state.role.kind !== 'follower') restartElectionTimer(state)
  state.role = { kind: 'follower', leader }
}

/** This node heard from the leader of its term: follows it and restarts the election timer. */
export function acknowledgeLeader (state: CoreState, leader: NodeId): void {
  if (state.role.kind !== 'follower' || state.role.leader !== leader) becomeFollower(state, state.term, leader)
  state.contactElapsed = 0
  state.lastLeader = leader
  state.suspicion = null
  restartElectionTimer(state)
}

/** Asks whether an election could be won, without raising the term (dissertation section 9.6). */
export function becomePreCandidate (state: CoreState): void {
  restartElectionTimer(state)
  state.role = { kind: 'pre-candidate', votes: new Map([[state.config.id, true]]) }
}

/**
 * Starts an election (paper section 5.2). This node's own vote does not count yet: it counts once it is durable.
 */
export function becomeCandidate (state: CoreState, isTransfer: boolean): void {
  restartElectionTimer(state)
  state.term = asTerm(state.term + 1)
  state.vote = state.config.id
  state.role = { kind: 'candidate', votes: new Map(), isTransfer }
}

/** Appends a command to the leader's own log. */
export function appendCommand (state: CoreState, data: Uint8Array): void {
  state.log.append({ index: nextIndex(state), term: state.term, kind: 'command', timeMs: logTimeMs(state), data })
}

/** Appends a configuration to the leader's own log. */
export function appendConfiguration (state: CoreState, configuration: Configuration): ConfigurationEntry {
  const entry: ConfigurationEntry = {
    index: nextIndex(state),
    term: state.term,
    kind: 'configuration',
    timeMs: logTimeMs(state),
    configuration
  }
  state.log.append(entry)
  return entry
}

function nextIndex ({ log }: CoreState): Index {
  return asIndex(log.lastIndex + 1)
}

/** Log time of the next entry: it never falls, and no wall clock moves it. */
function logTimeMs ({ now, log, logTime }: CoreState): number {
  return Math.max(logTime.stamp(now), log.lastTimeMs)
}

/** Becomes leader of the current term and appends a no-op (paper sections 5.2 and 8). */
export function becomeLeader (state: CoreState): LeaderState {
  invariant(state.role.kind === 'candidate', 'only a candidate becomes leader')
  invariant(
    state.durable.term === state.term && state.durable.vote === state.config.id,
    'a leader has its own vote on disk'
  )
  const noopIndex = nextIndex(state)
  const leader: LeaderState = {
    kind: 'leader',
    progress: new Map(state.peers.map((peer) => [peer, new Progress(noopIndex)])),
    noopIndex,
    round: 0,
    confirmedRound: 0,
    heartbeatElapsed: 0,
    quorumElapsed: 0,
    // Uncommitted entries of earlier leaders count as well: they are subtracted when this leader commits them.
    uncommittedBytes: totalBytes(state.log.range(state.log.commitIndex, state.log.lastIndex)),
    transfer: null,
    readsInRound: null,
    waitingReads: []
  }
  state.role = leader
  state.log.append({ index: noopIndex, term: state.term, kind: 'noop', timeMs: logTimeMs(state) })
  return leader
}
