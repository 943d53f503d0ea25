import type { FastifyReply } from 'fastify'
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
