import type { HeartbeatRequest, HeartbeatResponse } from './message.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import type { CoreState, LeaderState } from './state.ts'
import { acknowledgeLeader } from './transitions.ts'
import { asIndex } from './types.ts'

/**
 * Heartbeats keep followers quiet, carry the commit index, and prove leadership: rounds are numbered within a term and
 * never reused, so that an answer to an earlier round confirms nothing later (dissertation section 6.4). What an answer
 * means for the log of the peer is in replication.ts, what a confirmed round means for reads in reads.ts.
 */

/** Starts a numbered heartbeat round. Returns whether it was confirmed at once: a sole voter needs no answer. */
export function startRound (state: CoreState, leader: LeaderState): boolean {
  leader.round++
  leader.heartbeatElapsed = 0
  state.roundStarted = leader.round
  for (const peer of state.peers) {
    const matchIndex = leader.progress.get(peer)?.matchIndex ?? 0
    state.send({
      kind: 'heartbeat-request',
      to: peer,
      commit: asIndex(Math.min(matchIndex, state.log.commitIndex)),
      round: leader.round
    })
  }
  return confirmRounds(state, leader)
}

/** Finds the highest round that a quorum has answered. Returns whether the confirmed round rose. */
function confirmRounds (state: CoreState, leader: LeaderState): boolean {
  const confirmed = quorumValue(state.quorum, (id) =>
    id === state.config.id ? leader.round : leader.progress.get(id)?.ackedRound ?? 0)
  if (confirmed <= leader.confirmedRound) return false
  leader.confirmedRound = confirmed
  state.roundConfirmed = confirmed
  return true
}

/** A peer answered a heartbeat of this term. Returns whether that confirmed a round. */
export function countRound (
  state: CoreState,
  leader: LeaderState,
  progress: Progress,
  message: HeartbeatResponse
): boolean {
  if (message.round <= progress.ackedRound) return false
  progress.ackedRound = message.round
  return confirmRounds(state, leader)
}

/** Heartbeat, receiver side: the commit index never lies past what this log is known to share with the leader's. */
export function handleHeartbeatRequest (state: CoreState, message: HeartbeatRequest): void {
  acknowledgeLeader(state, message.from)
  state.leaseElapsed = 0
  state.log.commitTo(message.commit)
  const answer = { kind: 'heartbeat-response', to: message.from, round: message.round } as const
  // The answer promises to grant no vote for a while, also after a restart. A node remembers that by the term on its
  // disk, so the first term has to be durable first.
  if (state.durable.term > 0) state.send(answer)
  else state.sendDurably(answer)
}

/**
 * Check-quorum (dissertation section 6.2): whether a quorum was heard from since the last check. A leader that hears
 * from no quorum for an election timeout steps down.
 */
export function takeQuorumIsActive (state: CoreState, leader: LeaderState): boolean {
  const heard = quorumValue(state.quorum, (id) =>
    id === state.config.id || leader.progress.get(id)?.recentlyActive === true ? 1 : 0)
  for (const progress of leader.progress.values()) progress.recentlyActive = false
  return heard === 1
}
