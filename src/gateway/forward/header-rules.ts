import { isIP } from 'node:net'
import { formatRequestId, notExecutedHeader, readTokenHeader, requestIdHeader } from './hop.ts'
import type { OwnFields } from './hop-sender.ts'
import { acceptsTrailers, declaredTrailers } from './trailers.ts'

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
type AppendedField = 'via' | 'x-forwarded-for' | 'x-forwarded-proto' | 'x-forwarded-host' | 'forwarded'
const appendedFields: ReadonlySet<string> = new Set<AppendedField>([
  'via', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded'
])

const internalPrefix = 'raft-'
const leaderField = 'raft-leader'
export const trailerField = 'trailer'

/**
 * Fields in which proxies say how a request came, by convention, beside those that they append to. Frameworks and
 * plugins believe one or the other: what a client has written into them must not stand there as the word of a proxy.
 */
const wordsOfProxies = new Set([
  'x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'true-client-ip', 'x-original-forwarded-for', 'x-original-host',
  'x-original-url', 'x-original-uri', 'x-rewrite-url', 'x-url-scheme', 'x-scheme', 'front-end-https'
])

function isWordOfProxy (lowerName: string): boolean {
  return lowerName.startsWith('x-forwarded-') || wordsOfProxies.has(lowerName)
}

/** Those that are replaced; the others are left out. */
const ownWords = {
  'x-real-ip': ({ remoteAddress }: RequestContext): string => plainAddress(remoteAddress),
  'x-forwarded-port': ({ localPort }: RequestContext): string => String(localPort ?? '')
} as const

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
  /** Port of this process that the client called; undefined when its socket is already gone. */
  readonly localPort?: number | undefined
  /**
   * Whether the client is a proxy whose word counts; left out where nobody has said. Fastify takes the last entry of
   * X-Forwarded-Proto and -Host, so that this hop must not add its own behind that word. The addresses make a chain,
   * and are always added to.
   */
  readonly trustsClient?: boolean | undefined
  /** The authority of an absolute-form target, which replaces Host (RFC 9112 section 3.2.2); null in origin form. */
  readonly authority: string | null
  /** The fields that this process adds. */
  readonly own: OwnFields
  /** Id of the request on this node, for the log of the receiver; sent beside a proof only. */
  readonly requestId?: string | undefined
}

/** All values of a field, in order. */
export function fieldValues (raw: RawHeaders, lowerName: string): string[] {
  const values: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (isNamed(raw[index], lowerName)) values.push(raw[index + 1] ?? '')
  }
  return values
}

/** How many lines of a field there are. */
export function fieldCount (raw: RawHeaders, lowerName: string): number {
  let count = 0
  for (let index = 0; index < raw.length; index += 2) if (isNamed(raw[index], lowerName)) count++
  return count
}

/** Field lines as undici gives them; Node's header fields are Latin-1 both ways. */
type AnswerHeaders = ReadonlyArray<string | Buffer>

/** The first value of a field of an answer. */
export function fieldValue (raw: AnswerHeaders, lowerName: string): string | undefined {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]
    if (name?.length === lowerName.length && text(name).toLowerCase() === lowerName) return text(raw[index + 1])
  }
  return undefined
}

function text (part: string | Buffer | undefined): string {
  return typeof part === 'string' ? part : part?.toString('latin1') ?? ''
}

/** Most names have another length: that tells them apart for less than their letters do. */
function isNamed (name: string | undefined, lowerName: string): boolean {
  return name?.length === lowerName.length && name.toLowerCase() === lowerName
}

const nothing: ReadonlySet<string> = new Set()

/** The names a Connection field nominates and may nominate. */
function nominated (raw: RawHeaders): ReadonlySet<string> {
  const values = fieldValues(raw, 'connection')
  const [only] = values
  // What nearly all of them say.
  if (only === undefined || (values.length === 1 && only.toLowerCase() === 'keep-alive')) return nothing
  const names = values.join(',').toLowerCase().split(',').map((name) => name.trim())
  return new Set(names.filter((name) => !endToEnd.has(name) && !name.startsWith(internalPrefix)))
}

/**
 * The field lines to send to the leader: hop-by-hop ones dropped, the client's `raft-*` ones dropped as forged, and
 * those of this hop added. Of `TE` it says only that trailers are passed on, when the client takes them.
 *
 * A proof tells the node where the request came from, and the fields that proxies append to stay as they came: the node
 * sees what it would see if the client had called it. Only Via names the hop all the same.
 */
export function requestHeaders (raw: RawHeaders, context: RequestContext): string[] {
  const dropped = nominated(raw)
  const kept: string[] = []
  const isProven = context.own.proof !== null
  const earlier: EarlierProxies = {}
  let host: string | null = context.authority
  let cookieAt = -1
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const value = raw[index + 1] ?? ''
    const lowerName = name.toLowerCase()
    // Replaces Host (RFC 9113 section 8.3.1).
    if (lowerName === ':authority') host = value
    if (endsHere(lowerName, dropped)) {
      if (lowerName === 'te' && acceptsTrailers(value)) kept.push('te', 'trailers')
      continue
    }
    if (lowerName === 'host') {
      host ??= value
    } else if (lowerName === 'via' || (!isProven && isAppended(lowerName))) {
      if (value !== '') (earlier[lowerName] ??= []).push(value)
    } else if (!isProven && context.trustsClient === false && isWordOfProxy(lowerName)) {
      if (lowerName in ownWords) kept.push(lowerName, ownWords[lowerName as keyof typeof ownWords](context))
    } else if (lowerName === 'cookie' && cookieAt !== -1) {
      // HTTP/2 splits the field for compression; HTTP/1.1 has one line of it (RFC 9113 section 8.2.3).
      kept[cookieAt] += `; ${value}`
    } else {
      kept.push(name, value)
      if (lowerName === 'cookie') cookieAt = kept.length - 1
    }
  }
  if (host !== null) kept.push('host', host)
  kept.push('via', appendTo(earlier.via, `${context.httpVersion} ${context.viaName}`))
  if (!isProven) addWay(kept, earlier, host, context)
  kept.push(...context.own.lines)
  const requestId = isProven && context.requestId !== undefined ? formatRequestId(context.requestId) : null
  if (requestId !== null) kept.push(requestIdHeader, requestId)
  return kept
}

/** What proxies on the way here have said, by field. */
type EarlierProxies = Partial<Record<AppendedField, string[]>>

function isAppended (lowerName: string): lowerName is AppendedField {
  return appendedFields.has(lowerName)
}

function appendTo (earlier: readonly string[] | undefined, value: string): string {
  return earlier === undefined ? value : `${earlier.join(', ')}, ${value}`
}

/** Tells the receiver where the request came from, as proxies do. */
function addWay (kept: string[], earlier: EarlierProxies, host: string | null, context: RequestContext): void {
  const address = plainAddress(context.remoteAddress)
  kept.push('x-forwarded-for', appendTo(earlier['x-forwarded-for'], address))
  const appendOrKeep = (name: 'x-forwarded-proto' | 'x-forwarded-host', value: string): void => {
    const word = context.trustsClient === true ? earlier[name] : undefined
    kept.push(name, word === undefined ? appendTo(earlier[name], value) : word.join(', '))
  }
  appendOrKeep('x-forwarded-proto', context.protocol)
  if (host !== null) appendOrKeep('x-forwarded-host', host)
  kept.push('forwarded', appendTo(earlier.forwarded, forwardedElement(address, host, context.protocol)))
}

/**
 * The field lines of a call that this process makes in a client's name: by the same rules, and without those that
 * describe the client's own message and, unless a proof tells of it, its way here.
 */
export function callHeaders (raw: RawHeaders, own: OwnFields): string[] {
  const dropped = nominated(raw)
  const kept: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const lowerName = name.toLowerCase()
    if (endsHere(lowerName, dropped) || ofClientMessage.has(lowerName)) continue
    if (own.proof === null && isOfWay(lowerName)) continue
    kept.push(name, raw[index + 1] ?? '')
  }
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
    (lowerName.startsWith(internalPrefix) && lowerName !== readTokenHeader)
  )
}

/**
 * The field lines to give to the client: hop-by-hop ones and our marker dropped, every other line kept as it is, and
 * the leader named. `leaderUrl`: of the leader that gave the answer, null when another node did. `takesTrailers`:
 * whether the client takes trailers, and can get them behind this answer.
 */
export function responseHeaders (
  raw: AnswerHeaders,
  statusCode: number,
  leaderUrl: string | null = null,
  takesTrailers = false
): string[] {
  const kept: string[] = []
  const connection: string[] = []
  // RFC 9112 section 6.2: with Transfer-Encoding no Content-Length. RFC 9110 section 8.6: none with 204 either.
  let withoutLength = statusCode === 204
  let namesLeader = leaderUrl === null
  let trailer: string | undefined
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = text(raw[index])
    const lowerName = name.toLowerCase()
    if (lowerName === 'connection') connection.push('connection', text(raw[index + 1]))
    else if (lowerName === 'transfer-encoding') withoutLength = true
    else if (lowerName === 'trailer') trailer = (trailer === undefined ? '' : `${trailer},`) + text(raw[index + 1])
    else if (!hopByHop.has(lowerName) && lowerName !== notExecutedHeader) {
      kept.push(name, text(raw[index + 1]))
      if (lowerName === leaderField) namesLeader = true
    }
  }
  if (!namesLeader && leaderUrl !== null) kept.push(leaderField, leaderUrl)
  if (trailer !== undefined && takesTrailers && withoutLength) addTrailerField(kept, trailer)
  const dropped = nominated(connection)
  return dropped.size === 0 && !withoutLength ? kept : withoutFields(kept, dropped, withoutLength)
}

/** Says which trailers follow: those that may be passed on. */
function addTrailerField (kept: string[], value: string): void {
  const names = declaredTrailers(value)
  if (names.length > 0) kept.push(trailerField, names.join(', '))
}

function withoutFields (lines: RawHeaders, dropped: ReadonlySet<string>, withoutLength: boolean): string[] {
  return lines.filter((_, index) => {
    const lowerName = (lines[index - (index % 2)] ?? '').toLowerCase()
    return !dropped.has(lowerName) && !(withoutLength && lowerName === 'content-length')
  })
}

/** Whether a Via field names this node already: the request went in a circle (RFC 9110 section 7.6.3). */
export function passedThrough (raw: RawHeaders, viaName: string): boolean {
  const values = fieldValues(raw, 'via')
  if (values.length === 0) return false
  const own = viaName.toLowerCase()
  return values.join(',').split(',')
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
