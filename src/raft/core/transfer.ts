import type { TransferResult } from './output.ts'
import type { CoreState, LeaderState } from './state.ts'
import { becomeFollower } from './transitions.ts'
import type { NodeId } from './types.ts'

/**
 * Leadership transfer (dissertation section 3.10): the leader appends nothing more, the target catches up and is then
 * told to campaign at once. From that moment on the target may lead, so this node's lease is void for the rest of its
 * term.
 */

/** The replicating voter with the highest match index, or null. */
function mostCaughtUp (voters: readonly NodeId[], leader: LeaderState): NodeId | null {
  let best: { readonly peer: NodeId, readonly matchIndex: number } | null = null
  for (const [peer, { matchIndex, state }] of leader.progress) {
    if (state === 'replicate' && voters.includes(peer) && (best === null || matchIndex > best.matchIndex)) {
      best = { peer, matchIndex }
    }
  }
  return best?.peer ?? null
}

/** Starts a transfer to `wanted`, or to the most caught-up voter. The target must keep up with the log. */
export function startTransfer (state: CoreState, wanted: NodeId | null): TransferResult {
  const { role } = state
  if (role.kind !== 'leader') return { kind: 'refused', reason: 'not-leader' }
  if (role.transfer !== null) return { kind: 'refused', reason: 'pending' }
  const { voters } = state.configuration
  if (wanted !== null && !role.progress.has(wanted)) return { kind: 'refused', reason: 'unknown-member' }
  if (wanted !== null && !voters.includes(wanted)) return { kind: 'refused', reason: 'not-voter' }
  const to = wanted ?? mostCaughtUp(voters, role)
  if (to === null || role.progress.get(to)?.state !== 'replicate') return { kind: 'refused', reason: 'lagging' }
  role.transfer = { to, elapsed: 0, isHandedOver: false }
  handOverWhenCaughtUp(state, role)
  return { kind: 'started', to }
}

/** Tells the target to campaign as soon as it has the whole log. */
export function handOverWhenCaughtUp (state: CoreState, leader: LeaderState): void {
  const { transfer } = leader
  if (transfer === null || transfer.isHandedOver) return
  if (leader.progress.get(transfer.to)?.matchIndex !== state.log.lastIndex) return
  transfer.isHandedOver = true
  state.send({ kind: 'timeout-now', to: transfer.to })
}

/** Ends the leadership of a node that is no voter any more, and tells the most caught-up voter to campaign at once. */
export function leaveLeadership (state: CoreState, leader: LeaderState): void {
  // Two nodes that campaign at once would split the votes.
  const to = leader.transfer?.isHandedOver === true ? null : mostCaughtUp(state.configuration.voters, leader)
  if (to !== null) state.send({ kind: 'timeout-now', to })
  becomeFollower(state, state.term, null, leader.transfer?.isHandedOver === true ? 'transferred' : 'removed')
}

/**
 * Gives a transfer up after an election timeout. A target that was told to campaign may still do so at any later moment
 * of this term: in that case this node steps down. Returns whether it still leads.
 */
export function tickTransfer (state: CoreState, leader: LeaderState): boolean {
  const { transfer } = leader
  if (transfer === null || ++transfer.elapsed < state.config.electionTicksMin) return true
  leader.transfer = null
  if (!transfer.isHandedOver) return true
  becomeFollower(state, state.term, null, 'transferred')
  return false
}
