import { isIP } from 'node:net'
import { formatRequestId, notExecutedHeader, requestIdHeader } from './hop.ts'
import type { OwnFields } from './hop-sender.ts'

/** Field lines as Node gives and takes them: names at even places, values at odd ones, case and repetition kept. */
type RawHeaders = readonly string[]

/** Fields that concern one connection only (RFC 9110 section 7.6.1, and RFC 9113 section 8.2.2 for the legacy ones). */
const hopByHop = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authentication-info',
  'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade'
])

/**
 * Fields that a Connection field cannot take away. RFC 9110 section 7.6.1 forbids senders to name fields meant for all
 * recipients; obeying such a message would let a client remove its own credentials, the framing, or what proxies added.
 */
const endToEnd = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'authorization',
  'cookie',
  'set-cookie',
  'cache-control',
  'idempotency-key',
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'retry-after'
])

/** Fields that a proxy appends its own word to. */
const appendedFields = ['via', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded']

const internalPrefix = 'raft-'

/**
 * Fields of the client's own message, and those that change the form of the answer. A call that this process makes in
 * the client's name has a message of its own.
 */
const ofClientMessage = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'accept-encoding',
  'range',
  'via',
  'origin'
])

/** Whether a field tells of the client's way here, and no more: a call from here has a way of its own. */
function isOfWay (lowerName: string): boolean {
  return lowerName === 'forwarded' || lowerName === 'x-real-ip' || lowerName.startsWith('x-forwarded-')
}

/** The properties of a request that its forwarded header depends on. */
interface RequestContext {
  /** Name of this node in Via, a token. */
  readonly viaName: string
  /** HTTP version of the client's request, for Via. */
  readonly httpVersion: string
  /** Address of the client's socket; undefined when it is already gone. */
  readonly remoteAddress: string | undefined
  readonly protocol: 'http' | 'https'
  /**
   * Whether the client is a proxy whose word counts. Fastify takes the last entry of X-Forwarded-Proto and -Host, so
   * that this hop must not add its own behind that word. The addresses make a chain, and are always added to.
   */
  readonly trustsClient?: boolean
  /** The authority of an absolute-form target, which replaces Host (RFC 9112 section 3.2.2); null in origin form. */
  readonly authority: string | null
  /** The fields that this process adds. */
  readonly own: OwnFields
  /** Id of the request on this node, for the log of the receiver; sent beside a proof only. */
  readonly requestId?: string | undefined
}

/** Calls back for every field line, with the name in lower case too. */
function eachField (raw: RawHeaders, visit: (lowerName: string, name: string, value: string) => void): void {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    visit(name.toLowerCase(), name, raw[index + 1] ?? '')
  }
}

/** All values of a field, in order. */
export function fieldValues (raw: RawHeaders, lowerName: string): string[] {
  const values: string[] = []
  eachField(raw, (name, _, value) => { if (name === lowerName) values.push(value) })
  return values
}

/** The names a Connection field nominates and may nominate. */
function nominated (raw: RawHeaders): Set<string> {
  const names = fieldValues(raw, 'connection').join(',').toLowerCase().split(',').map((name) => name.trim())
  return new Set(names.filter((name) => !endToEnd.has(name) && !name.startsWith(internalPrefix)))
}

/**
 * The field lines to send to the leader: hop-by-hop ones dropped, the client's `raft-*` ones dropped as forged, and
 * those of this hop added. Trailers are not passed on, so neither are `TE` and `Trailer`.
 *
 * A proof tells the node where the request came from, and the fields that proxies append to stay as they came: the node
 * sees what it would see if the client had called it. Only Via names the hop all the same.
 */
export function requestHeaders (raw: RawHeaders, context: RequestContext): string[] {
  const dropped = nominated(raw)
  const kept: string[] = []
  const isProven = context.own.proof !== null
  const appended = new Map((isProven ? ['via'] : appendedFields).map((name): [string, string[]] => [name, []]))
  let host: string | null = context.authority
  let cookieAt = -1
  eachField(raw, (lowerName, name, value) => {
    // Replaces Host (RFC 9113 section 8.3.1).
    if (lowerName === ':authority') host = value
    if (endsHere(lowerName, dropped)) return
    const earlier = appended.get(lowerName)
    if (earlier !== undefined) {
      if (value !== '') earlier.push(value)
    } else if (lowerName === 'host') {
      host ??= value
    } else if (lowerName === 'cookie' && cookieAt !== -1) {
      // HTTP/2 splits the field for compression; HTTP/1.1 has one line of it (RFC 9113 section 8.2.3).
      kept[cookieAt] += `; ${value}`
    } else {
      kept.push(name, value)
      if (lowerName === 'cookie') cookieAt = kept.length - 1
    }
  })
  if (host !== null) kept.push('host', host)
  const append = (name: string, value: string): void => {
    kept.push(name, [...appended.get(name) ?? [], value].join(', '))
  }
  append('via', `${context.httpVersion} ${context.viaName}`)
  if (!isProven) {
    const address = plainAddress(context.remoteAddress)
    append('x-forwarded-for', address)
    const appendOrKeep = (name: string, value: string): void => {
      const word = context.trustsClient === true ? appended.get(name) ?? [] : []
      if (word.length > 0) kept.push(name, word.join(', '))
      else append(name, value)
    }
    appendOrKeep('x-forwarded-proto', context.protocol)
    if (host !== null) appendOrKeep('x-forwarded-host', host)
    append('forwarded', forwardedElement(address, host, context.protocol))
  }
  kept.push(...context.own.lines)
  const requestId = isProven && context.requestId !== undefined ? formatRequestId(context.requestId) : null
  if (requestId !== null) kept.push(requestIdHeader, requestId)
  return kept
}

/**
 * The field lines of a call that this process makes in a client's name: by the same rules, and without those that
 * describe the client's own message and, unless a proof tells of it, its way here.
 */
export function callHeaders (raw: RawHeaders, own: OwnFields): string[] {
  const dropped = nominated(raw)
  const kept: string[] = []
  eachField(raw, (lowerName, name, value) => {
    if (endsHere(lowerName, dropped) || ofClientMessage.has(lowerName)) return
    if (own.proof === null && isOfWay(lowerName)) return
    kept.push(name, value)
  })
  kept.push(...own.lines)
  return kept
}

/**
 * Whether a request field is not passed on: it concerns this connection alone, or a client has forged it. Node has
 * answered `Expect: 100-continue` already. HTTP/2 has the request line among the fields, with names that HTTP/1.1 does
 * not allow.
 */
function endsHere (lowerName: string, dropped: ReadonlySet<string>): boolean {
  return (
    hopByHop.has(lowerName) ||
    dropped.has(lowerName) ||
    lowerName === 'expect' ||
    lowerName.startsWith(':') ||
    lowerName.startsWith(internalPrefix)
  )
}

/** The field lines to give to the client: hop-by-hop ones and our marker dropped, every other line kept as it is. */
export function responseHeaders (raw: RawHeaders, statusCode: number): string[] {
  const dropped = nominated(raw)
  // RFC 9112 section 6.2: with Transfer-Encoding no Content-Length. RFC 9110 section 8.6: none with 204 either.
  const withoutLength = statusCode === 204 || fieldValues(raw, 'transfer-encoding').length > 0
  const kept: string[] = []
  eachField(raw, (lowerName, name, value) => {
    if (hopByHop.has(lowerName) || dropped.has(lowerName) || lowerName === notExecutedHeader) return
    if (lowerName === 'content-length' && withoutLength) return
    kept.push(name, value)
  })
  return kept
}

/** Whether a Via field names this node already: the request went in a circle (RFC 9110 section 7.6.3). */
export function passedThrough (raw: RawHeaders, viaName: string): boolean {
  const own = viaName.toLowerCase()
  return fieldValues(raw, 'via').join(',').split(',')
    .some((element) => element.trim().split(/[ \t]+/)[1]?.toLowerCase() === own)
}

/** The address without the IPv4-in-IPv6 wrapping of dual-stack sockets; `unknown` as RFC 7239 section 6.2 has it. */
function plainAddress (address: string | undefined): string {
  if (address === undefined) return 'unknown'
  const withoutZone = address.split('%', 1)[0] ?? address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(withoutZone)
  return mapped?.[1] ?? withoutZone
}

/** One element of Forwarded (RFC 7239 section 4): IPv6 in brackets, and quoted like everything that is not a token. */
function forwardedElement (address: string, host: string | null, protocol: string): string {
  const node = isIP(address) === 6 ? `[${address}]` : address
  const parts = [`for=${tokenOrQuoted(node)}`]
  if (host !== null) parts.push(`host=${tokenOrQuoted(host)}`)
  parts.push(`proto=${protocol}`)
  return parts.join(';')
}

function tokenOrQuoted (value: string): string {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
}
