import type { ClusterMark, Message } from './message.ts'
import type { Violation } from './output.ts'
import { isRequest } from './requests.ts'
import type { CoreState } from './state.ts'

/**
 * Two clusters of one name must not mix: a node that knows which cluster it belongs to listens to that one alone. The
 * paper has one cluster, and takes this for granted. The rules:
 *
 * - Each message names the cluster whose log its sender keeps, and whether that is known to be committed there.
 * - A node that does not know its cluster listens to all: it learns it from the log that it receives.
 * - A node that knows it takes from others nothing that names another one for certain, and no request that does not
 *   name its own. So nobody without an identity asks it for a vote, raises its term or deposes it.
 * - Answers of those who name none, or one that is not committed, count: a leader needs them to bring such a member in.
 *   Only members are asked, and asking is what they answer.
 */

/** Whether a sender with this mark surely belongs to another cluster than `own`, which is undefined until known. */
export function isOfOtherCluster (own: string | undefined, mark: ClusterMark | undefined): boolean {
  return own !== undefined && mark !== undefined && mark.isCommitted && mark.uuid !== own
}

/** Whether a node of the cluster `own`, which is undefined until known, must not listen to this message. */
export function isForeign (own: string | undefined, message: Message): boolean {
  if (own === undefined || message.cluster?.uuid === own) return false
  return isRequest(message) || isOfOtherCluster(own, message.cluster)
}

/** The refusal of a message that this node must not listen to, or null. */
export function foreignViolation (state: CoreState, message: Message): Violation | null {
  return isForeign(state.knownCluster, message)
    ? { kind: 'foreign', message: `a ${message.kind} of a node that does not name this cluster` }
    : null
}
