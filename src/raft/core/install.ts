import type { Violation } from './output.ts'
import type { Installation, SnapshotOffer, SnapshotPoint } from './snapshot.ts'
import type { CoreState } from './state.ts'
import { acknowledgeLeader, becomeFollower } from './transitions.ts'
import { maxTermsAhead, violates } from './validation.ts'

/**
 * A snapshot of another cluster never replaces this log. One that names none is older than what this node knows, unless
 * the cluster had no UUID then.
 */
function otherCluster (state: CoreState, { index, held }: SnapshotPoint): Violation | null {
  const { knownCluster, clusterUuid, log } = state
  const named = held.configuration.clusterUuid
  const isOther = named === undefined
    ? clusterUuid !== undefined && index > log.commitIndex
    : knownCluster !== undefined && named !== knownCluster
  return isOther ? { kind: 'foreign', message: 'a snapshot of another cluster' } : null
}

/** The rule that a snapshot breaks when it cannot come from a correct leader, or null. */
export function installViolation (state: CoreState, { from, term, snapshot }: SnapshotOffer): Violation | null {
  const { log } = state
  const { index, held } = snapshot
  const foreign = otherCluster(state, snapshot)
  if (foreign !== null) return foreign
  if (term > state.term + maxTermsAhead) return violates('a term absurdly far ahead')
  if (index < 1 || snapshot.term < 1 || snapshot.term > term) {
    return violates('a snapshot whose last entry is newer than its leader, or that covers no entry')
  }
  if (held.index > index) return violates('a snapshot whose configuration is newer than its last entry')
  if (term < state.term) return null
  if (term === state.term && (state.role.kind === 'leader' || (state.leader !== null && state.leader !== from))) {
    return violates('a second leader in one term')
  }
  const heldTerm = log.termAt(index)
  return index <= log.commitIndex && heldTerm !== undefined && heldTerm !== snapshot.term
    ? violates('a snapshot that would replace a committed entry')
    : null
}

/** InstallSnapshot, receiver side (paper figure 13), once the whole snapshot has arrived. */
export function install (state: CoreState, installation: Installation<unknown>): Violation | null {
  const violation = installViolation(state, installation)
  if (violation !== null) return violation
  const { from, term, snapshot } = installation
  if (term < state.term) {
    // Same answer as to any request of an earlier term: the sender learns of the newer one.
    state.send({ kind: 'heartbeat-response', to: from, round: 0 })
    return null
  }
  if (term > state.term) becomeFollower(state, term, from)
  acknowledgeLeader(state, from)
  const { log } = state
  if (snapshot.index > log.commitIndex) {
    if (log.termAt(snapshot.index) === snapshot.term) log.commitTo(snapshot.index)
    else state.restartFrom(installation)
  }
  state.sendDurably({
    kind: 'append-response',
    to: from,
    prevIndex: snapshot.index,
    result: { kind: 'accepted', matchIndex: log.commitIndex }
  })
  return null
}
