import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { bodyFields, endResponse, hasArrived, refusals } from '../../gateway/internal.ts'
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

/** The header fields that hooks have set. */
export function definedHeaders (reply: FastifyReply): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(reply.getHeaders()).filter(([, value]) => value !== undefined))
}

/**
 * Reads the rest of a body off, for a moment, before an answer to it is ended: where the connection closes with the
 * answer, a client or proxy that still sends would lose it (RFC 9112 section 9.6).
 */
export function lingerOverBody (req: IncomingMessage, res: ServerResponse): void {
  const end = res.end.bind(res) as (...content: unknown[]) => ServerResponse
  const lingering = (...content: unknown[]): ServerResponse => {
    Object.defineProperty(res, 'end', { value: end, configurable: true, writable: true })
    const [body] = content
    if (hasArrived(req) || typeof body !== 'string') return end(...content)
    endResponse(req, res, Buffer.from(body))
    return res
  }
  Object.defineProperty(res, 'end', { value: lingering, configurable: true, writable: true })
}

/** Answers with an error: an `ErrorBody`, the cluster headers, and `retry-after` with every 503. */
export function sendRefusal (reply: FastifyReply, cluster: Cluster, refusal: Refusal): FastifyReply {
  setClusterHeaders(reply, cluster)
  const retryAfter = reply.getHeader('retry-after')
  const { request: { raw } } = reply
  // Requests made by `inject` do not say whether they are complete, and have no connection.
  if ('complete' in raw && !hasArrived(raw)) lingerOverBody(raw, reply.raw)
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
