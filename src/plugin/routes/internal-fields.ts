import type { IncomingMessage } from 'node:http'
import type { Attempt, Hop } from '../../gateway/internal.ts'
import {
  attemptHeader,
  clusterHeader,
  hopHeader,
  parseAttempt,
  parseHop,
  parseRequestId,
  readTokenHeader,
  requestIdHeader
} from '../../gateway/internal.ts'
import { proofField } from '../../raft/internal.ts'

const smallR = 114
const dash = 45
const prefix = 'raft-'

const knownFields: ReadonlySet<string> = new Set([
  hopHeader, attemptHeader, clusterHeader, requestIdHeader, proofField, readTokenHeader
])

/** The internal fields of a request, as they came. */
export interface InternalFields {
  /** The field that says that it was forwarded, as it came; undefined when there is none. */
  readonly hopValue: string | undefined
  /** The hop; null when there is none, or when it is malformed. */
  readonly hop: Hop | null
  /** The field that names an attempt, as it came; undefined when there is none. */
  readonly attemptValue: string | undefined
  readonly attempt: Attempt | null
  /** The UUID of the cluster that a call of an admin route is meant for; undefined when it names none. */
  readonly meantCluster: string | undefined
  /** A field that no node and no gateway sends; null when there is none. */
  readonly unknownField: string | null
  /** What is to prove who sent the request, as it came; undefined when there is nothing. */
  readonly proofValue: string | undefined
  /** The id of the request on the node that forwarded it; null when there is none, or it is malformed. */
  readonly requestId: string | null
  /** What the client has seen, as it came; undefined when it does not say. */
  readonly readToken: string | undefined
}

/**
 * Takes every `raft-*` field off a request, and returns what they say; null when there is none. They are for this
 * package alone: a handler that passes a request on with its fields, to another cluster perhaps, must not pass on a hop
 * that was meant for this node.
 *
 * Works on the request of the server, before Fastify makes its own of it, so that nobody behind sees the fields.
 */
export function takeInternalFields (req: IncomingMessage): InternalFields | null {
  const { rawHeaders } = req
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]
    if (name !== undefined && isInternal(name)) return take(req)
  }
  return null
}

/** Asked about every field of every request: the first letter already tells nearly all of them apart. */
function isInternal (name: string): boolean {
  return (name.charCodeAt(0) | 32) === smallR && name.charCodeAt(4) === dash &&
    name.slice(0, prefix.length).toLowerCase() === prefix
}

function take (req: IncomingMessage): InternalFields {
  // Node makes the object of all fields from the raw ones, by their first number, when it is first asked for.
  const { headers, rawHeaders } = req
  const taken = new Map<string, string>()
  let kept = 0
  let unknownField: string | null = null
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index], rawHeaders[index + 1]]
    if (isInternal(name)) {
      const lowerName = name.toLowerCase()
      const earlier = taken.get(lowerName)
      if (!knownFields.has(lowerName)) unknownField = lowerName
      // A repeated one is none of ours.
      taken.set(lowerName, earlier === undefined ? value : `${earlier}, ${value}`)
    } else {
      rawHeaders[kept++] = name
      rawHeaders[kept++] = value
    }
  }
  rawHeaders.length = kept
  // The last one first: nodes send theirs last, and what was added last is taken off an object for the least.
  for (const name of [...taken.keys()].reverse()) Reflect.deleteProperty(headers, name)
  if ('headersDistinct' in req) Object.defineProperty(req, 'headersDistinct', distinctHeaders)
  const hopValue = taken.get(hopHeader)
  const attemptValue = taken.get(attemptHeader)
  return {
    hopValue,
    hop: parseHop(hopValue),
    attemptValue,
    attempt: parseAttempt(attemptValue),
    meantCluster: taken.get(clusterHeader),
    proofValue: taken.get(proofField),
    unknownField,
    requestId: parseRequestId(taken.get(requestIdHeader)),
    readToken: taken.get(readTokenHeader)
  }
}

/** In place of Node's: that one reads as many raw fields as there were at first. */
const distinctHeaders: PropertyDescriptor & ThisType<IncomingMessage> = {
  configurable: true,
  enumerable: true,
  get () {
    const distinct = Object.create(null) as Record<string, string[]>
    for (let index = 0; index < this.rawHeaders.length; index += 2) {
      const [name = '', value = ''] = [this.rawHeaders[index]?.toLowerCase(), this.rawHeaders[index + 1]]
      const values = distinct[name]
      if (values === undefined) distinct[name] = [value]
      else values.push(value)
    }
    return distinct
  }
}
