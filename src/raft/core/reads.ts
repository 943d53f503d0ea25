import type { HeartbeatResponse, ReadRequest, ReadResponse } from './message.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import type { CoreState, LeaderState, PendingRead } from './state.ts'
import { asIndex } from './types.ts'

/**
 * ReadIndex (dissertation section 6.4): a read may be served at the commit index noted when a heartbeat round started
 * after the read arrived, once a quorum has answered that round. Rounds are numbered and never reused, so that an
 * answer to an earlier round confirms nothing later.
 */

/** Starts a numbered heartbeat round. */
export function startRound (state: CoreState, leader: LeaderState): void {
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
  confirmRounds(state, leader)
}

/** Starts the round that the waiting reads share, unless one is under way or the term's no-op is not committed. */
export function startWaitingReads (state: CoreState, leader: LeaderState): void {
  if (leader.waitingReads.length === 0 || leader.readsInRound !== null) return
  if (state.log.commitIndex < leader.noopIndex) return
  leader.readsInRound = { round: leader.round + 1, index: state.log.commitIndex, reads: leader.waitingReads }
  leader.waitingReads = []
  startRound(state, leader)
}

function confirmRounds (state: CoreState, leader: LeaderState): void {
  const confirmed = quorumValue(state.quorum, (id) =>
    id === state.config.id ? leader.round : leader.progress.get(id)?.ackedRound ?? 0)
  if (confirmed <= leader.confirmedRound) return
  leader.confirmedRound = confirmed
  state.roundConfirmed = confirmed
  const served = leader.readsInRound
  if (served === null || confirmed < served.round) return
  leader.readsInRound = null
  for (const read of served.reads) serveRead(state, read, served.index)
  startWaitingReads(state, leader)
}

function serveRead (state: CoreState, read: PendingRead, index: number): void {
  if (read.from === state.config.id) {
    state.answerRead({ kind: 'confirmed', context: read.context, index: asIndex(index) })
  } else {
    state.send({ kind: 'read-response', to: read.from, context: read.context, index: asIndex(index) })
  }
}

/** A peer answered a heartbeat of this term. */
export function countRound (
  state: CoreState,
  leader: LeaderState,
  progress: Progress,
  message: HeartbeatResponse
): void {
  if (message.round <= progress.ackedRound) return
  progress.ackedRound = message.round
  confirmRounds(state, leader)
}

function enqueueRead (state: CoreState, leader: LeaderState, read: PendingRead): boolean {
  const open = leader.waitingReads.length + (leader.readsInRound?.reads.length ?? 0)
  if (open >= state.config.limits.maxPendingReads) return false
  leader.waitingReads.push(read)
  return true
}

/** Reads asked on this node. */
export function readLocally (state: CoreState, contexts: readonly number[]): void {
  const { role, leader } = state
  for (const context of contexts) {
    if (role.kind === 'leader') {
      if (!enqueueRead(state, role, { from: state.config.id, context })) {
        state.answerRead({ kind: 'refused', context, reason: 'busy' })
      }
    } else if (leader !== null) {
      state.send({ kind: 'read-request', to: leader, context })
    } else {
      state.answerRead({ kind: 'refused', context, reason: 'no-leader' })
    }
  }
  if (role.kind === 'leader') startWaitingReads(state, role)
}

/** A follower asks. A node that does not lead stays silent: the follower learns of the next leader and asks again. */
export function handleReadRequest (state: CoreState, message: ReadRequest): void {
  if (state.role.kind !== 'leader') return
  if (enqueueRead(state, state.role, { from: message.from, context: message.context })) {
    startWaitingReads(state, state.role)
  }
}

export function handleReadResponse (state: CoreState, message: ReadResponse): void {
  state.answerRead({ kind: 'confirmed', context: message.context, index: message.index })
}
