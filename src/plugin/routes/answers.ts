import type { FastifyReply } from 'fastify'
import { bodyFields, refusals } from '../../gateway/internal.ts'
import type { Refusal } from '../../raft/internal.ts'
import { errorHeaders, errorText } from '../../raft/internal.ts'
import type { Cluster } from '../cluster/cluster.ts'

export type { ErrorBody } from '../../raft/internal.ts'

/** Says who answers, who leads, and in which term. */
export function setClusterHeaders (reply: FastifyReply, cluster: Cluster): void {
  reply.header('raft-node', cluster.nodeId)
  const { leader } = cluster
  reply.header('raft-term', leader?.term ?? cluster.term)
  if (leader !== null && leader.url !== '') reply.header('raft-leader', leader.url)
}

/** Answers with an error: an `ErrorBody`, the cluster headers, and `retry-after` with every 503. */
export function sendRefusal (reply: FastifyReply, cluster: Cluster, refusal: Refusal): FastifyReply {
  setClusterHeaders(reply, cluster)
  const retryAfter = reply.getHeader('retry-after')
  // As text: a response schema or serializer of the application's route must not reshape it.
  reply.code(refusal.statusCode).headers(errorHeaders(refusal))
  // Whoever refused the request, a hook of the application perhaps, knows better.
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  return reply.send(errorText(refusal, cluster))
}

/**
 * In an onSend hook, in place of an answer whose handler ran: what the client would have been told, had the leader
 * died. What came of it is not known. Never 503, by which clients and proxies understand that they may send the request
 * again.
 */
export function withhold (
  reply: FastifyReply,
  cluster: Cluster,
  payload: unknown,
  otherFields: readonly string[] = []
): string {
  discard(payload)
  const refusal = refusals.outcomeUnknown(502, reply.elapsedTime)
  for (const name of [...bodyFields, ...otherFields]) reply.removeHeader(name)
  reply.code(refusal.statusCode).headers(errorHeaders(refusal))
  return errorText(refusal, cluster)
}

/** Ends a body that is not sent. */
function discard (payload: unknown): void {
  if (payload instanceof ReadableStream) {
    payload.cancel().catch(() => {
      // Nobody reads it any more, whatever it says.
    })
  } else if (typeof payload === 'object' && payload !== null && 'destroy' in payload) {
    (payload as { readonly destroy: () => void }).destroy()
  }
}
