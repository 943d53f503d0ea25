import { decodeConfiguration } from './configuration.ts'
import type { AppendRequest, Message } from './message.ts'
import type { CoreState } from './state.ts'

const lostEntries = 'a heartbeat that commits more than this log holds: this node has lost entries it confirmed'
const replacesCommitted = 'an append that would replace a committed entry'

/**
 * Whether a violation says that this log and the leader's cannot both be right: entries that this node has confirmed or
 * knows to be committed are gone here, or are others there. Said of one message, it may be forged or late.
 */
export function isContradiction (violation: string): boolean {
  return violation === lostEntries || violation === replacesCommitted
}

function appendViolation (state: CoreState, message: AppendRequest): string | null {
  let previous = { index: message.prevIndex, term: message.prevTerm, timeMs: 0 }
  if (previous.term > message.term) return 'an append whose previous term is newer than its own'
  for (const entry of message.entries) {
    if (entry.index !== previous.index + 1) return 'an append with a gap between its entries'
    if (entry.term < previous.term || entry.term > message.term) {
      return 'an append whose terms do not rise towards its own'
    }
    if (entry.timeMs < previous.timeMs) return 'an append whose log time falls'
    if (entry.kind === 'configuration' && decodeConfiguration(entry.data) === null) {
      return 'an append with a configuration that makes no sense'
    }
    previous = entry
  }
  if (message.term < state.term || !state.log.matches(message.prevIndex, message.prevTerm)) return null
  const conflict = state.log.findConflict(message.entries)
  return conflict !== null && conflict <= state.log.commitIndex ? replacesCommitted : null
}

/** No node that works lags behind by this many elections; a term beyond would use up the numbers terms are made of. */
export const maxTermsAhead = 2 ** 32

/**
 * Why a message cannot come from a correct member of this cluster, or null. Checked before anything is changed, so
 * that a broken or hostile peer is refused instead of halting this node.
 */
export function findViolation (state: CoreState, message: Message): string | null {
  if (message.to !== state.config.id) return 'a message for another node'
  if (message.term > state.term + maxTermsAhead) return 'a term absurdly far ahead'
  const isCurrent = message.term === state.term
  switch (message.kind) {
    case 'append-request':
      if (isCurrent && state.role.kind === 'leader') return 'a second leader in the term of this leader'
      if (isCurrent && state.leader !== null && state.leader !== message.from) return 'a second leader in one term'
      return appendViolation(state, message)
    case 'heartbeat-request':
      if (isCurrent && state.role.kind === 'leader') return 'a second leader in the term of this leader'
      if (isCurrent && state.leader !== null && state.leader !== message.from) return 'a second leader in one term'
      if (message.term >= state.term && message.commit > state.log.lastIndex) {
        return lostEntries
      }
      return null
    case 'append-response':
      // A leader that restarted in its term has lost what its disk had not confirmed: others may hold more of it.
      if (!isCurrent || state.role.kind !== 'leader' || message.result.kind === 'rejected') return null
      return message.result.matchIndex > state.log.lastIndex ? 'a confirmation of entries that do not exist' : null
    case 'heartbeat-response':
      if (!isCurrent || state.role.kind !== 'leader') return null
      return message.round > state.role.round ? 'an answer to a heartbeat round that was not started' : null
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
