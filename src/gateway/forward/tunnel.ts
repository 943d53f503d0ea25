import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Refusal } from '../../raft/internal.ts'
import { answerRefusal } from './answer.ts'
import { Deadline } from './deadline.ts'
import { requestHeaders, responseHeaders } from './header-rules.ts'
import { createAttempt, isTlsSocket, ownFields } from './hop-sender.ts'
import { judge } from './judgement.ts'
import { expectedPeer } from './peer-pools.ts'
import { refusals } from './refusals.ts'
import type { RelayContext } from './relayed-request.ts'
import type { SendableTarget } from './request-target.ts'
import type { ForwardRequest } from './types.ts'
import type { UpgradeOutcome } from './upgrade-call.ts'
import { callUpgrade } from './upgrade-call.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/** How often an open tunnel is looked at for an end that reads nothing. */
const lookMs = 1_000

/** A request to switch protocols, and where it may go. */
export interface TunnelParts {
  readonly req: IncomingMessage
  /** Has the client's socket; for an answer in HTTP. */
  readonly res: ServerResponse
  /** What the client has sent behind its request. */
  readonly head: Buffer
  readonly upstreams: Upstreams
  readonly target: SendableTarget
  readonly policy: ForwardRequest
}

/**
 * Has a node switch protocols, and then carries bytes both ways until one end closes. Before that it is a request like
 * others: fenced, sent again by the same rules, and answered in HTTP when it is refused.
 */
export class Tunnel {
  readonly #context: RelayContext
  readonly #parts: TunnelParts
  readonly #deadline: Deadline
  readonly #client: Duplex
  readonly #onEnd: (tunnel: Tunnel) => void
  /** Aborts when the client is gone, or the relay closes. */
  readonly #gone = new AbortController()
  #upstream: Upstream
  #node: Duplex | null = null
  /** What the node answers in HTTP instead of switching, while it comes in. */
  #nodeAnswer: IncomingMessage | null = null
  #looker: NodeJS.Timeout | null = null
  #stalledSinceMs: number | null = null
  #passedBytes = 0

  constructor (context: RelayContext, parts: TunnelParts, client: Duplex, onEnd: (tunnel: Tunnel) => void) {
    const timeoutMs = parts.policy.timeoutMs ?? context.timeoutMs
    this.#context = context
    this.#parts = parts
    this.#client = client
    this.#onEnd = onEnd
    this.#deadline = new Deadline(context.clock, timeoutMs, context.headersTimeoutMs ?? timeoutMs)
    this.#upstream = parts.upstreams.first
  }

  start (): void {
    this.#client.on('error', () => { this.#client.destroy() })
    this.#client.once('close', () => { this.#clientClosed() })
    this.#open().catch((error: unknown) => {
      this.#context.logger?.error({ err: error }, 'forwarding an upgrade failed unexpectedly')
      this.#refuse(refusals.outcomeUnknown(502, this.#deadline.elapsedMs))
    })
  }

  /** Ends both sides: at once, since nobody here knows where a message of the other protocol ends. */
  close (): void {
    if (!this.#parts.res.headersSent || this.#node !== null || this.#nodeAnswer !== null) this.#client.destroy()
    this.#node?.destroy()
    this.#clientClosed()
  }

  #clientClosed (): void {
    this.#gone.abort()
    if (this.#looker !== null) clearInterval(this.#looker)
    if (this.#node !== null) endSoon(this.#node, this.#context.stallTimeoutMs)
    // Its connection carries nothing else, and nobody else would close it.
    this.#nodeAnswer?.destroy()
    this.#onEnd(this)
  }

  async #open (): Promise<void> {
    for (let count = 1, lostAttempts = 0; ; count++) {
      const outcome = await this.#attempt()
      if (this.#gone.signal.aborted) {
        if (outcome.kind === 'switched') outcome.socket.destroy()
        if (outcome.kind === 'answered') outcome.answer.destroy()
        return
      }
      if (outcome.kind === 'switched') {
        this.#join(outcome)
        return
      }
      if (outcome.kind === 'answered') {
        this.#answer(outcome.answer)
        return
      }
      if (outcome.kind === 'lost') lostAttempts++
      const next = await this.#next(outcome, count, lostAttempts)
      if (next === null || 'statusCode' in next) {
        if (next !== null) this.#refuse(next)
        return
      }
      this.#upstream = next
    }
  }

  async #attempt (): Promise<UpgradeOutcome> {
    const { pools, nameRules } = this.#context
    const { req, target: { path, authority } } = this.#parts
    const upstream = this.#upstream
    const leftMs = this.#deadline.beginAttempt()
    const attempt = createAttempt(this.#context, upstream.url)
    const own = ownFields(this.#context, upstream, attempt, { method: 'GET', target: path, client: req, leftMs })
    const lines = requestHeaders(req.rawHeaders, {
      viaName: this.#context.viaName,
      httpVersion: req.httpVersion,
      remoteAddress: req.socket.remoteAddress,
      localPort: req.socket.localPort,
      trustsClient: this.#context.trustsClient?.(req.socket.remoteAddress),
      protocol: isTlsSocket(req.socket) ? 'https' : 'http',
      authority,
      requestId: this.#parts.policy.requestId,
      own
    })
    const signal = AbortSignal.any([this.#gone.signal, AbortSignal.timeout(Math.ceil(leftMs))])
    return await callUpgrade({
      path,
      headers: [...lines, 'connection', 'upgrade', 'upgrade', req.headers.upgrade ?? ''],
      attempt,
      proof: own.proof,
      connect: (done) => { pools.connect(upstream.url, expectedPeer(upstream.leader?.id, nameRules), done) }
    }, signal)
  }

  /** Where to try again, or what to answer; null when the client is gone. */
  async #next (
    outcome: Exclude<UpgradeOutcome, { readonly kind: 'switched' | 'answered' }>,
    count: number,
    lostAttempts: number
  ): Promise<Upstream | Refusal | null> {
    const { nonces, budget } = this.#context
    const { upstreams, policy: { repeatable } } = this.#parts
    const upstream = this.#upstream
    if (outcome.kind === 'not-executed' && outcome.nonce !== null) nonces.learn(upstream, outcome.nonce)
    const { remainingMs, elapsedMs } = this.#deadline
    const verdict = judge({
      outcome,
      method: 'GET',
      repeatable,
      isKeyed: false,
      isBodyAtHand: true,
      lostAttempts,
      remainingMs,
      elapsedMs,
      hasBudget: budget.isLeft
    })
    if (verdict.failure !== null) upstreams.reportFailure(upstream, verdict.failure)
    if (verdict.kind === 'refuse') return verdict.refusal
    if (verdict.failure === 'lost') budget.take()
    const { failure } = verdict
    return await upstreams.next({ upstream, failure, count, deadline: this.#deadline, signal: this.#gone.signal })
  }

  /** Tells the client that the protocol is another one from here on, and joins both connections. */
  #join ({ answer, socket: node, head }: Extract<UpgradeOutcome, { readonly kind: 'switched' }>): void {
    const { req, res, head: ofClient } = this.#parts
    const client = this.#client
    this.#node = node
    res.detachSocket(req.socket)
    const lines = responseHeaders(answer.rawHeaders, 101, this.#upstream.leader?.url ?? null)
    const fields = [...lines, 'connection', 'upgrade', 'upgrade', answer.headers.upgrade ?? '']
    let text = `HTTP/1.1 101 ${answer.statusMessage ?? ''}\r\n`
    for (let index = 0; index < fields.length; index += 2) text += `${fields[index]}: ${fields[index + 1]}\r\n`
    client.write(`${text}\r\n`, 'latin1')
    if (head.length > 0) client.write(head)
    if (ofClient.length > 0) node.write(ofClient)
    node.on('error', () => { node.destroy() })
    node.once('close', () => { endSoon(client, this.#context.stallTimeoutMs) })
    client.pipe(node)
    node.pipe(client)
    this.#looker = setInterval(() => { this.#look() }, lookMs).unref()
  }

  /** Ends a tunnel whose one end reads nothing of what waits for it, or has ended and the other does not follow. */
  #look (): void {
    const node = this.#node
    const client = this.#client
    if (node === null) return
    const passedBytes = bytesOf(client) + bytesOf(node)
    const isWaiting = [client, node].some((end) => end.writableNeedDrain || end.readableEnded)
    const nowMs = this.#context.clock.monotonicMs()
    if (!isWaiting || passedBytes !== this.#passedBytes) this.#stalledSinceMs = null
    else this.#stalledSinceMs ??= nowMs
    this.#passedBytes = passedBytes
    if (this.#stalledSinceMs !== null && nowMs - this.#stalledSinceMs >= this.#context.stallTimeoutMs) this.close()
  }

  #answer (answer: IncomingMessage): void {
    const { res } = this.#parts
    this.#closeAfterAnswer()
    const headers = responseHeaders(answer.rawHeaders, answer.statusCode ?? 502, this.#upstream.leader?.url ?? null)
    try {
      res.writeHead(answer.statusCode ?? 502, headers)
    } catch {
      answer.destroy()
      this.#refuse(refusals.badGateway('The node answered with header fields that cannot be passed on'))
      return
    }
    this.#nodeAnswer = answer
    answer.once('close', () => {
      this.#nodeAnswer = null
      if (!answer.complete) this.#client.destroy()
    })
    answer.pipe(res)
    // Nobody reads a connection that was given away, and the end of one that is not read goes unnoticed.
    this.#client.once('end', () => { this.#client.destroy() }).resume()
  }

  #refuse (refusal: Refusal): void {
    const { req, res, upstreams, policy } = this.#parts
    this.#closeAfterAnswer()
    answerRefusal(req, res, refusal, upstreams.knownLeader(), policy.ownHeaders)
  }

  #closeAfterAnswer (): void {
    endAfterAnswer(this.#parts.res, this.#client)
  }
}

/** A connection that was given away for an upgrade carries no further request. */
export function endAfterAnswer (res: ServerResponse, client: Duplex): void {
  res.shouldKeepAlive = false
  res.once('finish', () => { client.end() })
}

/** Ends one side behind the other one: what it was sent before still reaches it, if it reads. */
function endSoon (end: Duplex, stallTimeoutMs: number): void {
  if (end.destroyed) return
  // Nobody takes what it sends any more, and unread bytes would turn the end into a reset.
  end.resume()
  end.end()
  const cut = (): void => { end.destroy() }
  if (end.writableFinished) setTimeout(cut, lookMs).unref()
  else end.once('finish', () => { setTimeout(cut, lookMs).unref() })
  setTimeout(cut, stallTimeoutMs).unref()
}

function bytesOf (end: Duplex & { readonly bytesWritten?: number }): number {
  return end.bytesWritten ?? 0
}
