import { AsyncResource } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { Nonce, nonceField, RequestStart } from '../../raft/internal.ts'
import { endResponse, hasArrived } from './answer.ts'
import type { Deadline } from './deadline.ts'
import { fieldValues, responseHeaders } from './header-rules.ts'
import type { Attempt } from './hop.ts'
import { isNotExecuted, notExecutedHeader } from './hop.ts'
import type { PeerPool } from './peer-pools.ts'
import type { RequestBody } from './request-body.ts'
import { dispatchTraced } from './traced-dispatch.ts'

/** Bytes of an unwanted answer that are read, and for how long, to keep the connection; past them it is closed. */
const maxDiscardedBytes = 65_536
const maxDiscardMs = 1_000

/** Reason of an abort by the forwarder itself; every other one means that the client is gone. */
export const closingReason = Symbol('closing')

/** How one attempt to have a request answered ended. */
export type ExchangeOutcome =
  /** The answer went to the client: in full, or torn off with the client's connection when the leader died in it. */
  | { readonly kind: 'answered' }
  | { readonly kind: 'client-gone' }
  /** No byte of the request left this process. */
  | { readonly kind: 'not-sent', readonly cause: Error, readonly timedOut: boolean }
  /** The node refused it before any handler ran, by a name that only it knows. It may have told its nonce. */
  | { readonly kind: 'not-executed', readonly nonce: Nonce | null }
  /** It was sent, and no answer came. */
  | { readonly kind: 'lost', readonly cause: Error, readonly timedOut: boolean }
  /** It was sent, and what came back cannot be passed on. */
  | { readonly kind: 'unusable', readonly message: string }
  /** It can never be sent in this form. */
  | { readonly kind: 'unsendable', readonly message: string }

/** One attempt: what to send, to whom, and on whose behalf. */
interface ExchangeRequest {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly peer: PeerPool
  readonly path: string
  readonly headers: string[]
  readonly body: RequestBody | null
  /** Names the attempt, as its header fields do: a "not executed" answer repeats it. */
  readonly attempt: Attempt
  readonly deadline: Deadline
  /** How long a client may read nothing of an answer that waits for it, before the connection is cut. Milliseconds. */
  readonly stallTimeoutMs: number
  /** Aborts when the client is gone or the forwarder closes. */
  readonly signal: AbortSignal
}

/** Sends one request to one node and streams the answer to the client. Never rejects. */
export function exchange (request: ExchangeRequest): Promise<ExchangeOutcome> {
  return new Promise((resolve) => {
    new Exchange(request, resolve).start()
  })
}

type Phase = 'waiting' | 'relaying' | 'relayed' | 'settled'

class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: ExchangeRequest
  readonly #resolve: (outcome: ExchangeOutcome) => void
  readonly #start = new RequestStart()
  /** The async context of the request. undici calls back in that of the request which opened the connection. */
  readonly #context = new AsyncResource('fastify-raft-exchange')
  #phase: Phase = 'waiting'
  #discardedBytes = 0
  #bodyStarted = false
  #stall: NodeJS.Timeout | null = null

  constructor (request: ExchangeRequest, resolve: (outcome: ExchangeOutcome) => void) {
    this.#request = request
    this.#resolve = resolve
  }

  start (): void {
    const { req, peer, path, headers, body, deadline, signal } = this.#request
    if (signal.aborted) {
      this.#onAborted()
      return
    }
    signal.addEventListener('abort', this.#onAborted, { once: true })
    deadline.arm(this.#onDeadline)
    const options: Dispatcher.DispatchOptions & { readonly headers: readonly string[], servername?: string } = {
      path,
      method: req.method ?? 'GET',
      headers,
      body: body?.open() ?? null,
      // `Deadline` covers the time before the answer; its body has no limit (server-sent events fall silent).
      headersTimeout: 0,
      bodyTimeout: 0
    }
    if (peer.servername !== null) options.servername = peer.servername
    dispatchTraced(peer.pool, options, this)
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#start.begin(controller)
  }

  onResponseStart (
    controller: Dispatcher.DispatchController,
    statusCode: number,
    _headers: unknown,
    statusMessage?: string
  ): void {
    // Informational answers end here: the client asked this node for them, not the leader.
    if (this.#phase !== 'waiting' || statusCode < 200) return
    const { attempt, body } = this.#request
    const raw = rawFields(controller.rawHeaders)
    if (isNotExecuted(statusCode, fieldValues(raw, notExecutedHeader)[0], attempt)) {
      this.#settle({ kind: 'not-executed', nonce: Nonce.parse(fieldValues(raw, nonceField)[0]) })
      // The rest of the answer is read off, unless the connection is spoilt by half a request.
      if (body !== null && !body.ended) controller.abort(new Error('refused'))
      else {
        setTimeout(() => {
          controller.abort(new Error('the answer is not wanted'))
        }, maxDiscardMs).unref()
      }
      return
    }
    if (statusCode > 599) {
      this.#fail({ kind: 'unusable', message: `The node answered with status ${statusCode}` })
      return
    }
    this.#relay(statusCode, statusMessage ?? '', raw)
  }

  onResponseData (controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#phase !== 'relaying') {
      this.#discardedBytes += chunk.length
      if (this.#discardedBytes > maxDiscardedBytes) controller.abort(new Error('the answer is not wanted'))
      return
    }
    this.#bodyStarted = true
    if (!this.#request.res.write(chunk)) {
      controller.pause()
      this.#watchClient()
    }
  }

  onResponseEnd (): void {
    if (this.#phase === 'relaying') this.#endAnswer()
  }

  #endAnswer (): void {
    const { req, res, body } = this.#request
    this.#phase = 'relayed'
    body?.detach()
    this.#context.runInAsyncScope(endResponse, null, req, res)
    if (!res.writableFinished) this.#watchClient()
  }

  /** A client that does not read keeps its place from others, and the answer in memory. */
  #watchClient (): void {
    const { res, stallTimeoutMs } = this.#request
    this.#stall ??= setTimeout(() => { res.destroy() }, stallTimeoutMs)
  }

  #clientReads (): void {
    if (this.#stall !== null) clearTimeout(this.#stall)
    this.#stall = null
  }

  onResponseError (_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    const { req, res } = this.#request
    if (this.#phase === 'relaying') {
      // Cut short, and the client must be able to tell: no end of body, no second answer.
      res.destroy()
      this.#settle({ kind: 'answered' })
    } else if (this.#phase === 'waiting') {
      if (req.destroyed && !hasArrived(req)) this.#settle({ kind: 'client-gone' })
      else this.#settle(this.#failure(error, false))
    }
  }

  #relay (statusCode: number, statusMessage: string, raw: readonly string[]): void {
    const { req, res } = this.#request
    const headers = responseHeaders(raw, statusCode)
    try {
      writeHead(res, statusCode, req.httpVersionMajor === 2 ? null : statusMessage, headers)
    } catch {
      this.#fail({ kind: 'unusable', message: 'The node answered with header fields that cannot be passed on' })
      return
    }
    this.#phase = 'relaying'
    this.#request.deadline.disarm()
    // Has no body, and its content-length is that of the answer to a GET (RFC 9110 section 8.6). undici would miss the
    // bytes and call the answer cut short.
    if (statusCode === 304) {
      this.#endAnswer()
      return
    }
    res.on('drain', this.#onDrain)
    // Most answers bring their body along, and then one write carries both; those that keep silent must still begin.
    setImmediate(() => {
      if (this.#phase === 'relaying' && !this.#bodyStarted && !res.destroyed) res.flushHeaders()
    })
  }

  readonly #onDrain = (): void => {
    this.#clientReads()
    this.#start.resume()
  }

  readonly #onDeadline = (): void => {
    this.#fail(this.#failure(new Error('the deadline has passed'), true))
  }

  readonly #onAborted = (): void => {
    const { res, signal } = this.#request
    if (this.#phase === 'relayed' && res.writableFinished) {
      this.#settle({ kind: 'answered' })
    } else if (this.#phase === 'waiting' && signal.reason === closingReason) {
      this.#fail(this.#failure(new Error('the forwarder is closing'), false))
    } else {
      res.destroy()
      this.#fail({ kind: 'client-gone' })
    }
  }

  #failure (cause: Error, timedOut: boolean): ExchangeOutcome {
    if ('code' in cause && (cause.code === 'UND_ERR_INVALID_ARG' || cause.code === 'UND_ERR_NOT_SUPPORTED')) {
      return { kind: 'unsendable', message: cause.message }
    }
    return { kind: this.#start.isSent ? 'lost' : 'not-sent', cause, timedOut }
  }

  #fail (outcome: ExchangeOutcome): void {
    if (this.#phase === 'settled') return
    this.#settle(outcome)
    this.#start.cancel(new Error('the attempt is over'))
  }

  #settle (outcome: ExchangeOutcome): void {
    if (this.#phase === 'settled') return
    this.#phase = 'settled'
    const { res, body, deadline, signal } = this.#request
    deadline.disarm()
    this.#clientReads()
    signal.removeEventListener('abort', this.#onAborted)
    res.off('drain', this.#onDrain)
    body?.detach()
    this.#resolve(outcome)
  }
}

/**
 * Writes the head with every field line as given. Where the response carries fields set before, the lines replace those
 * of the same name; `writeHead` would then keep only the last of repeated lines, and in HTTP/2 it always does before
 * Node 22. `statusMessage` is null in HTTP/2, which has none.
 */
function writeHead (res: ServerResponse, statusCode: number, statusMessage: string | null, headers: string[]): void {
  const lines = statusMessage !== null && res.getHeaderNames().length === 0 ? headers : []
  if (lines !== headers) {
    for (let index = 0; index < headers.length; index += 2) res.removeHeader(headers[index] ?? '')
    for (let index = 0; index < headers.length; index += 2) {
      res.appendHeader(headers[index] ?? '', headers[index + 1] ?? '')
    }
  }
  if (statusMessage !== null && /^[\t\x20-\x7e]+$/.test(statusMessage)) {
    res.writeHead(statusCode, statusMessage, lines)
  } else {
    res.writeHead(statusCode, lines)
  }
}

/** undici gives the field lines as buffers, one per name and value; Node's headers are Latin-1 both ways. */
function rawFields (raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return []
  return raw.map((part: string | Buffer) => typeof part === 'string' ? part : part.toString('latin1'))
}
