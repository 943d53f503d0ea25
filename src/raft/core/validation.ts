import type { AppendRequest, HeartbeatRequest, Message } from './message.ts'
import { foreignViolation } from './other-cluster.ts'
import type { Violation } from './output.ts'
import type { CoreState } from './state.ts'
import type { LogBase } from './types.ts'

/** A violation by a message that no correct member sends. */
export function violates (message: string): Violation {
  return { kind: 'protocol', message }
}

/** A violation which shows that this log and the sender's cannot both be right. */
function contradicts (message: string): Violation {
  return { kind: 'contradiction', message }
}

function appendViolation (state: CoreState, message: AppendRequest): Violation | null {
  let previous: LogBase = { index: message.prevIndex, term: message.prevTerm, timeMs: 0 }
  if (previous.term > message.term) return violates('an append whose previous term is newer than its own')
  for (const entry of message.entries) {
    if (entry.index !== previous.index + 1) return violates('an append with a gap between its entries')
    if (entry.term < previous.term || entry.term > message.term) {
      return violates('an append whose terms do not rise towards its own')
    }
    if (entry.timeMs < previous.timeMs) return violates('an append whose log time falls')
    previous = entry
  }
  if (message.term < state.term || !state.log.matches(message.prevIndex, message.prevTerm)) return null
  const conflict = state.log.findConflict(message.entries)
  return conflict !== null && conflict <= state.log.commitIndex
    ? contradicts('an append that would replace a committed entry')
    : null
}

function heartbeatViolation (state: CoreState, message: HeartbeatRequest): Violation | null {
  return message.term >= state.term && message.commit > state.log.lastIndex
    ? contradicts('a heartbeat that commits more than this log holds: this node has lost entries it confirmed')
    : null
}

/** A term has one leader at most (paper figure 3, election safety). */
function secondLeader (state: CoreState, { term, from }: Message): Violation | null {
  if (term !== state.term) return null
  if (state.role.kind === 'leader') return violates('a second leader in the term of this leader')
  return state.leader !== null && state.leader !== from ? violates('a second leader in one term') : null
}

/**
 * Most terms that a message may be ahead. No working node misses so many elections, and accepting a higher term would
 * use up the range of terms.
 */
export const maxTermsAhead = 2 ** 32

/**
 * Why a message cannot come from a correct member of this cluster, or null. Checked before anything is changed, so
 * that a broken or hostile peer is refused instead of halting this node.
 */
export function findViolation (state: CoreState, message: Message): Violation | null {
  if (message.to !== state.config.id) return violates('a message for another node')
  const foreign = foreignViolation(state, message)
  if (foreign !== null) return foreign
  if (message.term > state.term + maxTermsAhead) return violates('a term absurdly far ahead')
  const isCurrent = message.term === state.term
  switch (message.kind) {
    case 'append-request':
      return secondLeader(state, message) ?? appendViolation(state, message)
    case 'heartbeat-request':
      return secondLeader(state, message) ?? heartbeatViolation(state, message)
    case 'append-response':
      // A leader that restarted in its term has lost what its disk had not confirmed: others may hold more of it.
      if (!isCurrent || state.role.kind !== 'leader' || message.result.kind === 'rejected') return null
      return message.result.matchIndex > state.log.lastIndex
        ? violates('a confirmation of entries that do not exist')
        : null
    case 'heartbeat-response':
      if (!isCurrent || state.role.kind !== 'leader') return null
      return message.round > state.role.round ? violates('an answer to a heartbeat round that was not started') : null
    case 'pre-vote-request':
    case 'pre-vote-response':
    case 'vote-request':
    case 'vote-response':
    case 'read-request':
    case 'read-response':
    case 'timeout-now':
      return null
  }
}
