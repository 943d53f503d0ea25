import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest, onRequestHookHandler, onSendHookHandler } from 'fastify'
import { hasArrived, http2StreamOf, RequestBody } from '../../gateway/internal.ts'
import { BusyError, RequestTimeoutError } from '../../raft/index.ts'
import { errorHeaders, errorText, Overdue, Shares } from '../../raft/internal.ts'
import { limits } from '../replicated/limits.ts'

/** What the routes under `v1` take from clients. */
export const clientLimits = {
  /** A value at its limit, written as wastefully as JSON allows within reason, and room for the rest of the body. */
  maxBodyBytes: 2 * limits.maxValueBytes + 16_384,
  /** Size of the body of a change of members or leadership. */
  maxAdminBodyBytes: 16_384,
  /** What the requests of one client take at once, until their answers are read: bodies, and answers that are large. */
  maxBytesOfClient: 67_108_864,
  /** Those of all clients. */
  maxBytesOfAll: 268_435_456,
  /** What a request counts at least, so that this is a bound on their number, too. */
  leastBytes: 16_384,
  /** How long a body may take to come, in milliseconds; up to twice as long before it is noticed. */
  bodyTimeoutMs: 30_000,
  /** How long a client may take to read its answer, likewise. */
  answerTimeoutMs: 60_000
} as const

/** Bounds of {@link ClientRequests}; {@link clientLimits} except in tests. */
export type ClientLimits = { readonly [Limit in keyof typeof clientLimits]: number }

/** One request of a client, from its first hook until its response is over. */
class OpenRequest {
  readonly raw: IncomingMessage
  readonly response: ServerResponse
  /** Kept, because a connection that is gone has no address. */
  readonly client: string
  /** What it has of the shares. */
  bytes = 0

  constructor (raw: IncomingMessage, response: ServerResponse) {
    this.raw = raw
    this.response = response
    this.client = raw.socket.remoteAddress ?? ''
  }
}

const openRequest = Symbol('fastify-raft: open request')

/** A reply whose request is watched. A field of its own: a look-up in a weak map costs more than all the rest here. */
type WatchedReply = FastifyReply & { [openRequest]?: OpenRequest }

/**
 * The requests of clients under `v1`, as hooks of their routes: none takes its time without end, and one client cannot
 * take all places that the others need.
 */
export class ClientRequests {
  readonly #limits: ClientLimits
  readonly #shares: Shares
  readonly #bodies: Overdue<OpenRequest>
  readonly #answers: Overdue<OpenRequest>

  constructor (bounds: ClientLimits = clientLimits) {
    this.#limits = bounds
    this.#shares = new Shares({ total: bounds.maxBytesOfAll, each: bounds.maxBytesOfClient })
    this.#bodies = new Overdue(bounds.bodyTimeoutMs, ({ raw, response }) => {
      if (!hasArrived(raw)) cutOff(raw, response)
    })
    this.#answers = new Overdue(bounds.answerTimeoutMs, ({ response }) => {
      if (!response.writableFinished) response.destroy()
    })
  }

  /** What the requests under way count, in bytes. */
  get bytes (): number { return this.#shares.taken }

  /** Cuts a request off whose body does not come in time. */
  readonly bounded: onRequestHookHandler = (request, reply, done) => {
    if (RequestBody.isPresent(request.raw)) this.#bodies.begin(this.#openRequest(request, reply))
    done()
  }

  /** Refuses a client that has too much under way with `RAFT_BUSY`, before its body is read. */
  readonly shared: onRequestHookHandler = (request, reply, done) => {
    const { leastBytes, maxBodyBytes } = this.#limits
    const { 'content-length': length, 'transfer-encoding': encoding } = request.headers
    const bodyBytes = encoding === undefined ? Number(length ?? 0) : maxBodyBytes
    if (this.#take(request, reply, Math.max(leastBytes, Math.min(bodyBytes, maxBodyBytes)))) done()
    else done(new BusyError('this client, or all clients together, have too many requests under way'))
  }

  /** Counts a large answer until the client has read it, and cuts the connection when that takes too long. */
  readonly answered: onSendHookHandler = (request, reply, payload, done) => {
    const bytes = typeof payload === 'string' ? payload.length : 0
    if (bytes > this.#limits.leastBytes && !this.#take(request, reply, bytes)) {
      done(new BusyError('this client, or all clients together, have too many answers to read'))
      return
    }
    this.#answers.begin(this.#openRequest(request, reply))
    done(null, payload)
  }

  #take (request: FastifyRequest, reply: FastifyReply, bytes: number): boolean {
    const open = this.#openRequest(request, reply)
    if (!this.#shares.take(open.client, bytes)) return false
    open.bytes += bytes
    return true
  }

  /** All that is kept of a request ends with one listener: with several, each write would pay for each of them. */
  #openRequest ({ raw }: FastifyRequest, reply: WatchedReply): OpenRequest {
    const known = reply[openRequest]
    if (known !== undefined) return known
    const open = new OpenRequest(raw, reply.raw)
    reply[openRequest] = open
    reply.raw.on('close', () => { this.#ended(open) })
    return open
  }

  #ended (open: OpenRequest): void {
    this.#bodies.done(open)
    this.#answers.done(open)
    if (open.bytes > 0) this.#shares.give(open.client, open.bytes)
    open.bytes = 0
  }
}

/** Ends a request that does not come, with an answer if there is none: Fastify still waits for its body. */
function cutOff (raw: IncomingMessage, response: ServerResponse): void {
  const error = new RequestTimeoutError()
  const stream = http2StreamOf(raw)
  if (stream === null && !response.headersSent) raw.socket.write(answerOf(error))
  raw.destroy(error)
}

/** As Node answers what takes too long, and with our body. */
function answerOf (error: InstanceType<typeof RequestTimeoutError>): string {
  const body = errorText(error)
  const fields = { ...errorHeaders(error), connection: 'close', 'content-length': Buffer.byteLength(body) }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 408 Request Timeout\r\n${lines.join('')}\r\n${body}`
}
