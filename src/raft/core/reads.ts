import { startRound } from './heartbeat.ts'
import type { ReadRequest, ReadResponse } from './message.ts'
import type { CoreState, LeaderState, PendingRead } from './state.ts'
import { asIndex } from './types.ts'

/**
 * ReadIndex (dissertation section 6.4): a read may be served at the commit index noted when a heartbeat round started
 * after the read arrived, once a quorum has answered that round.
 */

/** Starts the round that the waiting reads share, unless one is under way or the term's no-op is not committed. */
export function startWaitingReads (state: CoreState, leader: LeaderState): void {
  if (leader.waitingReads.length === 0 || leader.readsInRound !== null) return
  if (state.log.commitIndex < leader.noopIndex) return
  leader.readsInRound = { round: leader.round + 1, index: state.log.commitIndex, reads: leader.waitingReads }
  leader.waitingReads = []
  if (startRound(state, leader)) serveReads(state, leader)
}

/** A round was confirmed: serves the reads that waited for it, and starts the next round if others wait. */
export function serveReads (state: CoreState, leader: LeaderState): void {
  const served = leader.readsInRound
  if (served === null || leader.confirmedRound < served.round) return
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

function enqueueRead (state: CoreState, leader: LeaderState, read: PendingRead): boolean {
  const open = leader.waitingReads.length + (leader.readsInRound?.reads.length ?? 0)
  if (open >= state.config.limits.maxPendingReads) return false
  leader.waitingReads.push(read)
  return true
}

/** Reads that were requested on this node. */
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
