import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock, Logger } from '../../raft/index.ts'
import type { NameRules, Refusal } from '../../raft/internal.ts'
import { answerRefusal } from './answer.ts'
import { Deadline } from './deadline.ts'
import type { ExchangeOutcome } from './exchange.ts'
import { Exchange } from './exchange.ts'
import { requestHeaders } from './header-rules.ts'
import type { HopSender, NamedAttempt, OwnFields } from './hop-sender.ts'
import { createAttempt, isTlsSocket, ownFields } from './hop-sender.ts'
import type { FailedOutcome } from './judgement.ts'
import { isHarmless, judge } from './judgement.ts'
import type { PeerPools } from './peer-pools.ts'
import { expectedPeer } from './peer-pools.ts'
import { refusals } from './refusals.ts'
import { RequestBody } from './request-body.ts'
import type { SendableTarget } from './request-target.ts'
import type { RetryBudget } from './retry-budget.ts'
import type { ForwardRequest } from './types.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/** What all requests of a relay share. */
export interface RelayContext extends HopSender {
  readonly viaName: string
  readonly timeoutMs: number
  readonly headersTimeoutMs?: number
  readonly replayBytes: number
  readonly nameRules: NameRules | null
  readonly stallTimeoutMs: number
  readonly trustsClient?: (address: string | undefined) => boolean
  /** Whether informational answers are passed on to clients. */
  readonly informational: boolean
  readonly clock: Clock
  readonly logger?: Logger
  readonly pools: PeerPools
  readonly budget: RetryBudget
  readonly isClosed: () => boolean
  /** Told once that the request takes no more place. */
  readonly ended: (request: RelayedRequest) => void
}

/** A request, and where it may go. */
interface RelayedRequestParts {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly upstreams: Upstreams
  readonly target: SendableTarget
  readonly policy: ForwardRequest
}

/**
 * One request on its way: attempts until one is answered, or there is a refusal to give. The first attempt needs no
 * promise and no signal; only when it fails does the slow path begin.
 */
export class RelayedRequest {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly body: RequestBody | null
  readonly #context: RelayContext
  readonly #parts: RelayedRequestParts
  readonly #deadline: Deadline
  #upstream: Upstream
  #exchange: Exchange | null = null
  #unwatch: ((isAnswered: boolean) => void) | null = null
  #count = 0
  #lostAttempts = 0
  /** An attempt may have been executed, and the key of the request is all that makes another one safe. */
  #isKeyedRepeat = false
  /** Aborts when the client is gone or the relay closes. Made for the slow path alone. */
  #gone: AbortController | null = null
  #isOver = false

  constructor (context: RelayContext, parts: RelayedRequestParts) {
    const { req, res, upstreams, policy } = parts
    const timeoutMs = policy.timeoutMs ?? context.timeoutMs
    this.req = req
    this.res = res
    this.#context = context
    this.#parts = parts
    this.#deadline = new Deadline(context.clock, timeoutMs, context.headersTimeoutMs ?? timeoutMs)
    this.#upstream = upstreams.first
    this.body = RequestBody.isPresent(req) ? new RequestBody(req, context.replayBytes, this.#deadline.progress) : null
  }

  /** URL of the leader that the attempt under way goes to; null when it goes to any node. */
  get leaderUrl (): string | null {
    return this.#upstream.leader?.url ?? null
  }

  get passesInformational (): boolean {
    return this.#context.informational
  }

  start (): void {
    this.res.on('close', () => { this.#responseClosed() })
    if (this.body === null) this.#attempt()
    else this.body.gather(() => { this.#attempt() })
  }

  /** Gives up what has taken too long at this moment: the node to answer, or the client to read. */
  checkTime (nowMs: number): void {
    const exchange = this.#exchange
    if (exchange === null) return
    if (!exchange.isWaiting) exchange.checkClient(nowMs, this.#context.stallTimeoutMs)
    else if (this.#deadline.hasPassed(nowMs)) exchange.giveUp()
  }

  /** Cuts what is under way. */
  close (): void {
    this.#gone?.abort()
    this.#exchange?.close()
  }

  attemptEnded (outcome: ExchangeOutcome): void {
    this.#exchange = null
    this.#unwatch?.(outcome.kind === 'answered')
    this.#unwatch = null
    if (outcome.kind === 'answered' || outcome.kind === 'client-gone') this.#end(null)
    else this.#goOn(outcome).catch((error: unknown) => { this.#failUnexpectedly(error) })
  }

  #attempt (): void {
    if (this.#isOver) return
    const { pools, nameRules, isClosed } = this.#context
    if (isClosed()) {
      this.#end(refusals.closing())
      return
    }
    try {
      const { target, upstreams } = this.#parts
      const upstream = this.#upstream
      const leftMs = this.#deadline.beginAttempt()
      const attempt = createAttempt(this.#context, upstream.url)
      const own = this.#ownFields(attempt, leftMs)
      const peer = pools.of(upstream.url, expectedPeer(upstream.leader?.id, nameRules))
      this.#count++
      const exchange = new Exchange(this, attempt, own.proof)
      this.#exchange = exchange
      this.#unwatch = upstreams.watch?.(upstream, () => { exchange.giveUp() }) ?? null
      exchange.start(peer, target.path, this.#headers(own))
    } catch (error) {
      this.#failUnexpectedly(error)
    }
  }

  #ownFields (attempt: NamedAttempt, leftMs: number): OwnFields {
    const { req, body } = this
    const { path } = this.#parts.target
    return ownFields(this.#context, this.#upstream, attempt, {
      method: req.method ?? 'GET',
      target: path,
      client: req,
      isKeyedRepeat: this.#isKeyedRepeat,
      // Each piece of an upload extends its time.
      leftMs: body === null || body.isWhole ? leftMs : Infinity
    })
  }

  #headers (own: OwnFields): string[] {
    const { req } = this
    const context = this.#context
    const { authority } = this.#parts.target
    return requestHeaders(req.rawHeaders, {
      viaName: context.viaName,
      httpVersion: req.httpVersion,
      remoteAddress: req.socket.remoteAddress,
      localPort: req.socket.localPort,
      trustsClient: context.trustsClient?.(req.socket.remoteAddress),
      protocol: isTlsSocket(req.socket) ? 'https' : 'http',
      authority,
      requestId: this.#parts.policy.requestId,
      own
    })
  }

  /** After an attempt without an answer: another one, or a refusal. */
  async #goOn (outcome: FailedOutcome): Promise<void> {
    const { logger, isClosed, nonces } = this.#context
    const { upstreams } = this.#parts
    const upstream = this.#upstream
    const count = this.#count
    if (outcome.kind === 'not-executed' && outcome.nonce !== null) nonces.learn(upstream, outcome.nonce)
    const verdict = this.#judge(outcome)
    if (verdict.failure !== null) {
      logger?.debug({ url: upstream.url, outcome: outcome.kind, count }, 'attempt to forward failed')
      upstreams.reportFailure(upstream, verdict.failure)
    }
    if (verdict.kind === 'refuse') {
      this.#end(verdict.refusal)
      return
    }
    if (isClosed()) {
      this.#end(refusals.closing())
      return
    }
    const gone = this.#gone ??= new AbortController()
    const failed = { upstream, failure: verdict.failure, count, deadline: this.#deadline, signal: gone.signal }
    const next = await upstreams.next(failed)
    if (next === null || 'statusCode' in next) {
      this.#end(next)
    } else {
      this.#upstream = next
      this.#attempt()
    }
  }

  #judge (outcome: FailedOutcome): ReturnType<typeof judge> {
    const { budget } = this.#context
    const { repeatable, idempotent } = this.#parts.policy
    if (outcome.kind === 'lost') this.#lostAttempts++
    const verdict = judge({
      outcome,
      method: this.req.method ?? 'GET',
      repeatable,
      isKeyed: idempotent === true && this.req.headers['idempotency-key'] !== undefined,
      isBodyAtHand: this.body === null || this.body.replayable,
      lostAttempts: this.#lostAttempts,
      remainingMs: this.#deadline.remainingMs,
      elapsedMs: this.#deadline.elapsedMs,
      hasBudget: budget.isLeft
    })
    if (verdict.kind === 'retry' && verdict.failure === 'lost') {
      budget.take()
      this.#isKeyedRepeat = !isHarmless(this.req.method ?? 'GET', repeatable)
    }
    return verdict
  }

  #responseClosed (): void {
    if (this.#isOver) return
    if (this.#exchange !== null) {
      this.#exchange.responseClosed()
    } else {
      this.#gone?.abort()
      this.#end(null)
    }
  }

  #failUnexpectedly (error: unknown): void {
    this.#context.logger?.error({ err: error }, 'forwarding failed unexpectedly')
    this.#end(refusals.outcomeUnknown(502, 0))
  }

  /** Frees the place of the request; null: there is nothing to answer any more. */
  #end (refusal: Refusal | null): void {
    if (this.#isOver) return
    this.#isOver = true
    const { req, res } = this
    const { upstreams, policy } = this.#parts
    this.body?.detach()
    this.#context.ended(this)
    if (refusal === null || res.destroyed) return
    // Whatever the last attempt says of itself, one before it may have been executed.
    const told = this.#isKeyedRepeat ? refusals.outcomeUnknown(502, this.#deadline.elapsedMs) : refusal
    answerRefusal(req, res, told, upstreams.knownLeader(), policy.ownHeaders)
  }
}
