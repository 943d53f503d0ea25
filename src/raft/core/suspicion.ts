import type { CoreState } from './state.ts'
import type { NodeId } from './types.ts'

/**
 * What follows from the hint that the leader's process has ended. The hint may be wrong: something between the nodes
 * can refuse connections for a leader that lives. So it shortens waits, and proves nothing.
 *
 * - Without it a node campaigns after an election timeout, and refuses votes for the shortest one after contact
 *   (dissertation section 4.2.3).
 * - With it both end with the lease that this node's answers may have given (section 6.4.1). What comes next is a
 *   pre-vote as ever (section 9.6), which nodes refuse that hear from the leader.
 *
 * Any message of a leader ends the suspicion.
 */

/** Ticks from one voter to the next: the first to campaign has asked for the votes by then, so they seldom split. */
const yieldStepTicks = 2

/** New connections to this peer are refused: this node suspects it, if it is the leader that it last heard from. */
export function suspect (state: CoreState, peer: NodeId): void {
  if (state.lastLeader !== peer || state.suspicion !== null) return
  const rank = state.configuration.voters.filter((id) => id !== peer).indexOf(state.config.id)
  state.suspicion = { leader: peer, yieldTicks: Math.max(0, rank) * yieldStepTicks }
}

/** A node that campaigns before this one lacks entries that this log has: this node waits for it no longer. */
export function goBeforeOthers (state: CoreState): void {
  if (state.suspicion !== null) state.suspicion.yieldTicks = 0
}

/** Whether no lease can hold any more that this node's silence protects. */
export function hasOutlivedLease (state: CoreState): boolean {
  return state.leaseElapsed >= state.config.leaseTicks
}

/** Whether the node that is followed is suspected, and it is this node's turn to campaign in so many ticks. */
export function isSuspicionDue (state: CoreState, inTicks: number): boolean {
  const { role, suspicion, leaseElapsed, config } = state
  return role.kind === 'follower' && suspicion !== null && role.leader === suspicion.leader &&
    leaseElapsed + inTicks >= config.leaseTicks + suspicion.yieldTicks
}
