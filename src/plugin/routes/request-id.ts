import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { RequestNotes } from './request-notes.ts'

const idsOfHops = new RequestNotes<string>('id')

/** A proven hop has told by which id the copy that the client called knows this request. */
export function noteRequestId (req: IncomingMessage, id: string): void {
  idsOfHops.set(req, id)
}

/** Fastify has the property beside `setGenReqId`, and its types leave it out. */
type WithRequestIds = FastifyInstance & { readonly genReqId: (req: IncomingMessage) => string }

/**
 * Gives a forwarded request the id that it has on the copy that the client called, so that the lines of both logs can
 * be found together. `requestIdHeader` of the application still comes first, and other requests get their ids as ever.
 */
export function shareRequestIds (app: FastifyInstance): void {
  const { genReqId } = app as WithRequestIds
  app.setGenReqId((req: IncomingMessage) => idsOfHops.of(req) ?? genReqId(req))
}

/**
 * The id of a request as other copies are told it. Fastify counts by default, on each copy from 1: such an id is told
 * with the name of its copy, or the leader would have two requests by it.
 */
export function requestIdForOthers (id: string, nodeId: string): string {
  return /^req-[0-9a-z]+$/.test(id) ? `${nodeId}:${id}` : id
}
