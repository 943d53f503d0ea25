import { AsyncResource } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import type { SentProof } from '../../raft/internal.ts'
import { Nonce, nonceField, RequestStart } from '../../raft/internal.ts'
import { endResponse, hasArrived } from './answer.ts'
import { fieldValue, responseHeaders, trailerField } from './header-rules.ts'
import type { Attempt } from './hop.ts'
import { judgeNotExecuted, notExecutedHeader } from './hop.ts'
import { passInformational } from './informational.ts'
import type { PeerPool } from './peer-pools.ts'
import type { RequestBody } from './request-body.ts'
import { dispatchTraced } from './traced-dispatch.ts'
import { acceptsTrailers, declaredTrailers, trailersAmong } from './trailers.ts'

/** Bytes of an unwanted answer that are read, and for how long, to keep the connection; past them it is closed. */
const maxDiscardedBytes = 65_536
const maxDiscardMs = 1_000

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

const noTrailers: readonly string[] = []
const answered: ExchangeOutcome = { kind: 'answered' }
const clientGone: ExchangeOutcome = { kind: 'client-gone' }

/** On whose behalf an attempt is made. */
interface ExchangeOwner {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly body: RequestBody | null
  /** URL of the leader that is asked; null when another node is. */
  readonly leaderUrl: string | null
  readonly passesInformational: boolean
  /** Told once how the attempt ended. */
  attemptEnded: (outcome: ExchangeOutcome) => void
}

type Phase = 'waiting' | 'relaying' | 'relayed' | 'settled'

/**
 * One attempt: sends one request to one node and streams the answer to the client. It is undici's handler itself, and
 * where nothing goes wrong all that an attempt needs: the owner tells it of the deadline and of the client's end.
 */
export class Exchange extends RequestStart implements Dispatcher.DispatchHandler {
  readonly #owner: ExchangeOwner
  readonly #attempt: Attempt
  readonly #proof: SentProof | null
  /** The async context of the request. undici calls back in that of the request which opened the connection. */
  readonly #context = new AsyncResource('fastify-raft-exchange')
  #phase: Phase = 'waiting'
  /** The first part of the answer's body, until it is known whether it is all: then head and body are one write. */
  #firstChunk: Buffer | null = null
  #isHeadSent = false
  /** Whether the client has yet to read what was written, and since which look at it; null before the first one. */
  #awaitsClient = false
  #awaitsSinceMs: number | null = null
  #discardedBytes = 0
  /** Lower-case names of the trailers that the client was told of. */
  #declaredTrailers: readonly string[] = noTrailers

  /**
   * `attempt` is named as in the header fields that are sent, and `proof` is the one among them: a "not executed"
   * answer repeats the one, and has to prove that its sender took the other.
   */
  constructor (owner: ExchangeOwner, attempt: Attempt, proof: SentProof | null) {
    super()
    this.#owner = owner
    this.#attempt = attempt
    this.#proof = proof
  }

  /** Whether the answer has not begun. */
  get isWaiting (): boolean {
    return this.#phase === 'waiting'
  }

  start ({ pool, servername }: PeerPool, path: string, headers: string[]): void {
    const { req, body } = this.#owner
    const options: Dispatcher.DispatchOptions & { readonly headers: readonly string[], servername?: string } = {
      path,
      method: req.method ?? 'GET',
      headers,
      body: body === null ? null : body.whole ?? body.open(),
      // The deadline covers the time before the answer; its body has no limit (server-sent events fall silent).
      headersTimeout: 0,
      bodyTimeout: 0
    }
    if (servername !== null) options.servername = servername
    dispatchTraced(pool, options, this)
  }

  /** The time for the answer to begin is over. */
  giveUp (): void {
    if (this.#phase === 'waiting') this.#fail(this.#failure(new Error('the deadline has passed'), true))
  }

  /** Cuts a client off that has read nothing for so long: it keeps its place from others, and the answer in memory. */
  checkClient (nowMs: number, stallTimeoutMs: number): void {
    if (!this.#awaitsClient) return
    this.#awaitsSinceMs ??= nowMs
    if (nowMs - this.#awaitsSinceMs >= stallTimeoutMs) this.#owner.res.destroy()
  }

  /** The forwarder closes: what has no answer ends as if the connection were lost, a begun answer is cut. */
  close (): void {
    if (this.#phase === 'waiting') this.#fail(this.#failure(new Error('the forwarder is closing'), false))
    else this.responseClosed()
  }

  /** The client's response has closed: it is finished, or the client is gone. */
  responseClosed (): void {
    const { res } = this.#owner
    if (this.#phase === 'relayed' && res.writableFinished) {
      this.#settle(answered)
    } else {
      res.destroy()
      this.#fail(clientGone)
    }
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.begin(controller)
  }

  onResponseStart (
    controller: Dispatcher.DispatchController,
    statusCode: number,
    _headers: unknown,
    statusMessage?: string
  ): void {
    if (this.#phase !== 'waiting') return
    const raw = Array.isArray(controller.rawHeaders) ? controller.rawHeaders : []
    if (statusCode < 200) {
      const { req, res, passesInformational } = this.#owner
      if (passesInformational) passInformational(req, res, statusCode, raw)
      return
    }
    const refusal = judgeNotExecuted(statusCode, fieldValue(raw, notExecutedHeader), this.#attempt, this.#proof)
    if (refusal === 'not-executed') {
      this.#discard(controller, Nonce.parse(fieldValue(raw, nonceField)))
    } else if (refusal === 'unproven') {
      this.#fail({ kind: 'lost', cause: new Error('a refusal that is not proven'), timedOut: false })
    } else if (statusCode > 599) {
      this.#fail({ kind: 'unusable', message: `The node answered with status ${statusCode}` })
    } else {
      this.#relay(statusCode, statusMessage ?? '', raw)
    }
  }

  onResponseData (controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#phase !== 'relaying') {
      this.#discardedBytes += chunk.length
      if (this.#discardedBytes > maxDiscardedBytes) controller.abort(new Error('the answer is not wanted'))
    } else if (this.#isHeadSent) {
      this.#write(chunk)
    } else if (this.#firstChunk === null) {
      this.#firstChunk = chunk
    } else {
      this.sendHead()
      this.#write(chunk)
    }
  }

  onResponseEnd (controller: Dispatcher.DispatchController): void {
    if (this.#phase !== 'relaying') return
    if (this.#declaredTrailers.length > 0) this.#addTrailers(controller.rawTrailers)
    this.#endAnswer()
  }

  onResponseError (_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    const { req, res } = this.#owner
    if (this.#phase === 'relaying') {
      // Cut short, and the client must be able to tell: no end of body, no second answer.
      this.#settle(answered)
      res.destroy()
    } else if (this.#phase === 'waiting') {
      if (req.destroyed && !hasArrived(req)) this.#settle(clientGone)
      else this.#settle(this.#failure(error, false))
    }
  }

  /** Reads the rest of a refusal off, unless the connection is spoilt by half a request. */
  #discard (controller: Dispatcher.DispatchController, nonce: Nonce | null): void {
    const { body } = this.#owner
    const isSpoilt = body !== null && !body.ended
    this.#settle({ kind: 'not-executed', nonce })
    if (isSpoilt) controller.abort(new Error('refused'))
    else {
      setTimeout(() => {
        controller.abort(new Error('the answer is not wanted'))
      }, maxDiscardMs).unref()
    }
  }

  #relay (statusCode: number, statusMessage: string, raw: ReadonlyArray<string | Buffer>): void {
    const { req, res, leaderUrl } = this.#owner
    const takesTrailers = req.headers.te !== undefined && canTakeTrailers(req, statusCode)
    const headers = responseHeaders(raw, statusCode, leaderUrl, takesTrailers)
    if (takesTrailers) this.#declaredTrailers = declaredTrailers(fieldValue(headers, trailerField))
    try {
      writeHead(res, statusCode, req.httpVersionMajor === 2 ? null : statusMessage, headers)
    } catch {
      this.#fail({ kind: 'unusable', message: 'The node answered with header fields that cannot be passed on' })
      return
    }
    this.#phase = 'relaying'
    // Have no body, and a content-length speaks of another answer or is wrong (RFC 9110 section 8.6). undici would miss
    // the bytes and call the answer cut short.
    if (statusCode === 304 || statusCode === 204) this.#endAnswer()
    // Most answers bring their body along, and then one write carries both; those that keep silent must still begin.
    else process.nextTick(beginAnswer, this)
  }

  /** Sends the head, and what has come of the body, unless that was done. */
  sendHead (): void {
    if (this.#phase !== 'relaying' || this.#isHeadSent) return
    this.#isHeadSent = true
    const { res } = this.#owner
    const chunk = this.#firstChunk
    this.#firstChunk = null
    if (chunk !== null) this.#write(chunk)
    else if (!res.destroyed) res.flushHeaders()
  }

  #write (chunk: Buffer): void {
    const { res } = this.#owner
    if (res.write(chunk)) return
    this.pause()
    this.#awaitsClient = true
    res.once('drain', () => {
      this.#awaitsClient = false
      this.#awaitsSinceMs = null
      this.resume()
    })
  }

  #endAnswer (): void {
    const { req, res, body } = this.#owner
    this.#phase = 'relayed'
    body?.detach()
    this.#context.runInAsyncScope(endResponse, null, req, res, this.#firstChunk)
    this.#awaitsClient = true
  }

  #addTrailers (raw: unknown): void {
    const { req, res } = this.#owner
    const lines = Array.isArray(raw) ? trailersAmong(raw as Array<string | Buffer>, this.#declaredTrailers) : []
    if (lines.length === 0 || res.destroyed) return
    // Over HTTP/2, Node knows the form of an object alone.
    res.addTrailers(req.httpVersionMajor === 2 ? Object.fromEntries(lines) : lines)
  }

  #failure (cause: Error, timedOut: boolean): ExchangeOutcome {
    if ('code' in cause && (cause.code === 'UND_ERR_INVALID_ARG' || cause.code === 'UND_ERR_NOT_SUPPORTED')) {
      return { kind: 'unsendable', message: cause.message }
    }
    return { kind: this.isSent ? 'lost' : 'not-sent', cause, timedOut }
  }

  #fail (outcome: ExchangeOutcome): void {
    if (this.#phase === 'settled') return
    this.#settle(outcome)
    this.cancel(new Error('the attempt is over'))
  }

  #settle (outcome: ExchangeOutcome): void {
    if (this.#phase === 'settled') return
    this.#phase = 'settled'
    this.#owner.body?.detach()
    this.#owner.attemptEnded(outcome)
  }
}

/** Whether a client that has sent TE can get trailers behind an answer of this status. */
function canTakeTrailers ({ headers, method, httpVersion }: IncomingMessage, statusCode: number): boolean {
  const hasBody = method !== 'HEAD' && statusCode !== 204 && statusCode !== 304
  return hasBody && httpVersion !== '1.0' && acceptsTrailers(String(headers.te))
}

function beginAnswer (exchange: Exchange): void {
  exchange.sendHead()
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
