import { createHopId, formatHop, hopHeader, isNotExecuted, notExecutedHeader } from '../gateway/index.ts'
import type { Hop, LeaderTarget } from '../gateway/index.ts'
import { AdminCallError } from './admin-client.ts'
import type { AdminAnswer, AdminCall, AdminClient } from './admin-client.ts'

/** What became of a call of the leader. */
export type LeaderCallOutcome =
  | { readonly kind: 'answered', readonly answer: AdminAnswer }
  /** It surely did nothing and may be sent again. */
  | { readonly kind: 'not-executed' }
  /** It may have been executed. */
  | { readonly kind: 'lost', readonly timedOut: boolean }

/**
 * Sends a call of an admin route on to the leader, one hop, fenced as every forwarded request is: it names the node and the
 * term it means. The forwarder itself refuses everything under the cluster's prefix, since there the path is the client's;
 * here it is put together by the route.
 */
export async function callLeader (client: AdminClient, selfId: string, leader: LeaderTarget, call: AdminCall, timeoutMs: number): Promise<LeaderCallOutcome> {
  const hop: Hop = { from: selfId, to: leader.id, term: leader.term, id: createHopId() }
  try {
    const answer = await client.call(leader.url, call, { [hopHeader]: formatHop(hop) }, timeoutMs)
    const marker = answer.headers[notExecutedHeader]
    return isNotExecuted(answer.statusCode, typeof marker === 'string' ? marker : undefined, hop) ? { kind: 'not-executed' } : { kind: 'answered', answer }
  } catch (error) {
    if (!(error instanceof AdminCallError)) throw error
    return error.failure === 'not-sent' ? { kind: 'not-executed' } : { kind: 'lost', timedOut: error.failure === 'timed-out' }
  }
}
