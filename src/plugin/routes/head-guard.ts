import type { ServerResponse } from 'node:http'
import { isRefusalStatus, notExecutedHeader } from '../../gateway/internal.ts'

const nodeHeader = 'raft-node'

type WriteHead = (this: ServerResponse, statusCode: number, ...rest: unknown[]) => ServerResponse

/** Refusals of this node: they keep their marker. */
const ownRefusals = new WeakSet<ServerResponse>()

/** Lets this response carry the marker of a refusal. */
export function markRefusal (res: ServerResponse): void {
  ownRefusals.add(res)
}

/**
 * Guards the heads of answers to forwarded requests: they name this node, and the application cannot send the marker of
 * a refusal itself, over Fastify or over the raw response: a sender that believed it would repeat what was executed.
 *
 * And an early answer (413, before the body was read) must not close the connection: closed over unread bytes it is
 * reset, and the sender, which is still writing, loses the answer and has to call the outcome unknown (RFC 9112 section
 * 9.6). The sender closes the connection itself when it has such an answer.
 */
export class HeadGuard {
  readonly #nodeId: string
  readonly #closing: () => boolean
  /** One for all responses: each forwarded request gets it. */
  readonly #guarded: { readonly writeHead: WriteHead }

  constructor (nodeId: string, closing: () => boolean) {
    this.#nodeId = nodeId
    this.#closing = closing
    const writeHeadOf = (res: ServerResponse): WriteHead =>
      (Object.getPrototypeOf(res) as { readonly writeHead: WriteHead }).writeHead
    this.#guarded = { writeHead: this.#over(writeHeadOf) }
  }

  guard (res: ServerResponse): void {
    const { writeHead } = res as unknown as { readonly writeHead: WriteHead }
    const before = Object.hasOwn(res, 'writeHead') ? writeHead : null
    // Assigned, not defined: every forwarded request gets it.
    Object.assign(res, before === null ? this.#guarded : { writeHead: this.#over(() => before) })
  }

  #over (innerOf: (res: ServerResponse) => WriteHead): WriteHead {
    const permitted = (res: ServerResponse, statusCode: number, rest: unknown[]): unknown[] =>
      this.#permitted(res, statusCode, rest)
    return function (statusCode, ...rest) {
      return innerOf(this).call(this, statusCode, ...permitted(this, statusCode, rest))
    }
  }

  /** What of the arguments behind the status may be sent. */
  #permitted (res: ServerResponse, statusCode: number, rest: unknown[]): unknown[] {
    const named = this.#named(res, rest)
    const { req } = res
    const isIncomplete = !req.complete
    // What is left of a refused upload is read off, or the connection would stay blocked behind it.
    if (isIncomplete) res.once('finish', () => { if (!req.complete) req.resume() })
    const isEarly = isIncomplete && !this.#closing()
    // With any other status nobody believes the marker.
    if (!isEarly && !isRefusalStatus(statusCode)) return named
    if (ownRefusals.has(res)) return named
    const forbidden = new Set(isEarly ? [notExecutedHeader, 'connection'] : [notExecutedHeader])
    for (const name of forbidden) res.removeHeader(name)
    return named.map((headers) => without(forbidden, headers))
  }

  /** The same arguments, after which the answer names this node. */
  #named (res: ServerResponse, rest: unknown[]): unknown[] {
    // Most answers name the node already: the guard of a marked route has put it among the fields of Fastify.
    if (rest.some(namesNode)) return rest
    if (!rest.some((headers) => Array.isArray(headers))) {
      res.setHeader(nodeHeader, this.#nodeId)
      return rest
    }
    // Among the lines themselves: beside a field that is set, Node keeps only the last of repeated ones.
    return rest.map((headers) => Array.isArray(headers) ? this.#withNode(headers) : headers)
  }

  #withNode (lines: readonly unknown[]): unknown[] {
    const others = without(new Set([nodeHeader]), lines) as unknown[]
    const arePairs = lines.some((line) => Array.isArray(line))
    return arePairs ? [...others, [nodeHeader, this.#nodeId]] : [...others, nodeHeader, this.#nodeId]
  }
}

function namesNode (headers: unknown): boolean {
  return typeof headers === 'object' && headers !== null && Object.hasOwn(headers, nodeHeader)
}

/** The headers given to `writeHead` in any of its forms: an object, pairs, or names and values in turn. */
function without (forbidden: ReadonlySet<string>, headers: unknown): unknown {
  const isForbidden = (name: unknown): boolean => forbidden.has(String(name).toLowerCase())
  if (typeof headers !== 'object' || headers === null) return headers
  if (!Array.isArray(headers)) return Object.fromEntries(Object.entries(headers).filter(([name]) => !isForbidden(name)))
  const items = headers as readonly unknown[]
  if (items.some((item) => Array.isArray(item))) {
    return items.filter((pair) => !isForbidden((pair as readonly unknown[])[0]))
  }
  return items.filter((_, index) => !isForbidden(items[index - (index % 2)]))
}
