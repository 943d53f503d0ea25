import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RouteOptions } from 'fastify'
import { isSafeMethod, refusals } from '../../gateway/internal.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { sendRefusal } from './answers.ts'

/** Requests that a node or gateway sends again because of their key, while they are under way. */
const repeats = new Set<IncomingMessage>()

/**
 * Notes a request whose first attempt may have been executed. Its sender knows no more of the route than that the
 * request has a key: whether that counts for anything, the route says here.
 */
export function noteRepeat (req: IncomingMessage, res: ServerResponse): void {
  repeats.add(req)
  res.once('close', () => { repeats.delete(req) })
}

/**
 * Keeps such requests from the handler of a route that does not know requests by their keys: their outcome stays
 * unknown. Other requests pay one look at a number.
 */
export function refuseRepeats ({ cluster }: { readonly cluster: Cluster }, route: RouteOptions): void {
  if ([route.method].flat().every(isSafeMethod)) return
  const { handler } = route
  route.handler = function (request, reply) {
    if (repeats.size === 0 || !repeats.has(request.raw)) return handler.call(this, request, reply)
    sendRefusal(reply, cluster, refusals.outcomeUnknown(502, reply.elapsedTime))
    return undefined
  }
}
