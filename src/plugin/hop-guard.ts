import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, onRequestHookHandler } from 'fastify'
import { checkHop, formatNotExecuted, hopHeader, notExecutedHeader, parseHop } from '../gateway/index.ts'
import type { Hop } from '../gateway/index.ts'
import { MisdirectedError, NotLeaderError } from '../raft/index.ts'
import type { Engine } from '../raft/index.ts'
import { sendFailure } from './answers.ts'
import type { Cluster } from './cluster.ts'

/** What the guards of a node work with. */
export interface GuardContext {
  readonly engine: Engine
  readonly cluster: Cluster
  /** Whether the node is closing: it serves what it has begun, and nothing new that was forwarded to it. */
  readonly closing: () => boolean
}

/** Answers that we ourselves refused: those keep their marker. */
const ownRefusals = new WeakSet<ServerResponse>()

/** Whether the request was forwarded to us by another node or a gateway, or claims so. */
export function cameByHop (req: IncomingMessage): boolean {
  return req.headers[hopHeader] !== undefined
}

/**
 * Serves a forwarded request only if it was meant for this node and this node leads in the very term the sender meant.
 * Everything else is answered "not executed", before any handler: the sender may send it again, whatever its method.
 */
export function guardHops (context: GuardContext): onRequestHookHandler {
  return (request, reply, done) => {
    const value = request.raw.headers[hopHeader]
    if (value === undefined) {
      done()
      return
    }
    const hop = parseHop(value)
    const leadership = context.closing() ? null : context.engine.leadership()
    if (checkHop(hop, { nodeId: context.cluster.nodeId, leadership }) === 'not-executed') {
      refuseHop(context, hop, reply)
      return
    }
    forbidMarker(reply.raw)
    reply.header('raft-node', context.cluster.nodeId)
    done()
  }
}

/** Answers that the forwarded request was not executed. Only true while no handler has run. */
export function refuseHop ({ cluster }: GuardContext, hop: Hop | null, reply: FastifyReply): void {
  ownRefusals.add(reply.raw)
  const misdirected = hop === null || hop.to !== cluster.nodeId
  reply.header(notExecutedHeader, formatNotExecuted(hop, cluster.term))
  sendFailure(reply, cluster, misdirected
    ? new MisdirectedError(hop === null ? 'the hop is malformed' : `the request was forwarded to ${hop.to}, and this is ${cluster.nodeId}`)
    : new NotLeaderError('the request was forwarded to it in a term it does not lead'))
}

/**
 * Marks the answers that Fastify gives by itself to forwarded requests while it closes, before any hook: those were not
 * executed either, and the sender should go on to the next leader.
 */
export function markRefusalsWhileClosing (context: GuardContext): (req: IncomingMessage, res: ServerResponse) => void {
  return (req, res) => {
    if (!context.closing() || !cameByHop(req)) return
    res.setHeader(notExecutedHeader, formatNotExecuted(parseHop(req.headers[hopHeader]), context.cluster.term))
  }
}

/**
 * Keeps the application from sending the marker itself, over Fastify or over the raw response: a sender that believed
 * it would repeat what was executed.
 */
function forbidMarker (res: ServerResponse): void {
  const writeHead = res.writeHead.bind(res) as (statusCode: number, ...rest: unknown[]) => ServerResponse
  const guarded = (statusCode: number, ...rest: unknown[]): ServerResponse => {
    if (ownRefusals.has(res)) return writeHead(statusCode, ...rest)
    res.removeHeader(notExecutedHeader)
    return writeHead(statusCode, ...rest.map(withoutMarker))
  }
  Object.defineProperty(res, 'writeHead', { value: guarded, configurable: true, writable: true })
}

const isMarker = (name: unknown): boolean => String(name).toLowerCase() === notExecutedHeader

/** The headers given to `writeHead` in any of its forms: an object, pairs, or names and values in turn. */
function withoutMarker (headers: unknown): unknown {
  if (typeof headers !== 'object' || headers === null) return headers
  if (!Array.isArray(headers)) return Object.fromEntries(Object.entries(headers).filter(([name]) => !isMarker(name)))
  const items = headers as readonly unknown[]
  if (items.some((item) => Array.isArray(item))) return items.filter((pair) => !isMarker((pair as readonly unknown[])[0]))
  return items.filter((_, index) => !isMarker(items[index - (index % 2)]))
}
