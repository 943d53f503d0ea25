import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock, Logger, TlsSource } from '../../raft/index.ts'
import type { NameRules, Refusal } from '../../raft/internal.ts'
import { systemClock } from '../../raft/internal.ts'
import { answerRefusal } from './answer.ts'
import { Deadline } from './deadline.ts'
import { closingReason, exchange } from './exchange.ts'
import { passedThrough, requestHeaders } from './header-rules.ts'
import { hopHeader } from './hop.ts'
import type { HopSender, NamedAttempt } from './hop-sender.ts'
import { createAttempt, isTlsSocket, ownFields } from './hop-sender.ts'
import { Judgement } from './judgement.ts'
import { expectedPeer, PeerPools } from './peer-pools.ts'
import { refusals } from './refusals.ts'
import { RequestBody } from './request-body.ts'
import type { RequestTarget } from './request-target.ts'
import { requestTarget } from './request-target.ts'
import { isReservedTarget } from './reserved-target.ts'
import type { ForwardPolicy, ForwardRequest } from './types.ts'
import { forwardDefaults } from './types.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

/** Options of a {@link Relay}; as in ForwarderOptions. */
interface RelayOptions extends HopSender {
  readonly viaName: string
  readonly timeoutMs: number
  readonly maxInFlight: number
  readonly connectTimeoutMs: number
  readonly tls: TlsSource
  /** How a leader's certificate has to name it; null: its host counts. */
  readonly nameRules: NameRules | null
  readonly headersTimeoutMs?: number
  readonly replayBytes: number
  readonly stallTimeoutMs?: number
  readonly prefix: string
  /** Whether a request that carries a hop already is refused as a loop; otherwise the field is dropped as forged. */
  readonly oneHopOnly: boolean
  /** Whether a client is a proxy whose word on protocol and host is passed on. Left out: none is. */
  readonly trustsClient?: (address: string | undefined) => boolean
  readonly clock?: Clock
  readonly logger?: Logger
}

/** Carries requests to nodes and their answers back, attempt by attempt; {@link Upstreams} say where. */
export class Relay {
  readonly #options: RelayOptions
  readonly #clock: Clock
  readonly #pools: PeerPools
  readonly #running = new Set<AbortController>()
  #closed = false

  constructor (options: RelayOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    const { connectTimeoutMs, tls } = options
    this.#pools = new PeerPools({ connectTimeoutMs, keepsConnections: true, tls })
  }

  get inFlight (): number {
    return this.#running.size
  }

  /** Cuts what is under way. */
  async close (): Promise<void> {
    this.#closed = true
    for (const running of this.#running) running.abort(closingReason)
    await this.#pools.close()
  }

  /** Serves one request to its end. Never rejects. */
  async run (
    req: IncomingMessage,
    res: ServerResponse,
    upstreams: Upstreams,
    { ownHeaders, requestId, ...policy }: ForwardRequest = {}
  ): Promise<void> {
    if (res.destroyed || res.closed) return
    const refuse = (refusal: Refusal): void => {
      answerRefusal(req, res, refusal, upstreams.knownLeader(), ownHeaders)
    }
    const target = this.admit(req)
    if ('statusCode' in target) {
      refuse(target)
      return
    }
    const gone = new AbortController()
    this.#running.add(gone)
    const onGone = (): void => {
      gone.abort()
    }
    res.on('close', onGone)
    try {
      const refused = await this.#attempts({ req, res, upstreams, target, policy, requestId, signal: gone.signal })
      if (refused !== null && !res.destroyed) refuse(refused)
    } catch (error) {
      this.#options.logger?.error({ err: error }, 'forwarding failed unexpectedly')
      refuse(refusals.outcomeUnknown(502, 0))
    } finally {
      res.off('close', onGone)
      this.#running.delete(gone)
    }
  }

  /** The target of the request, or the reason why it is not forwarded. */
  admit (req: IncomingMessage): SendableTarget | Refusal {
    const { prefix, viaName, maxInFlight, oneHopOnly } = this.#options
    const target = requestTarget(req)
    if (target.kind === 'invalid') return refusals.badRequest(target.message)
    if (this.#closed) return refusals.closing()
    if (isReservedTarget(target.path, prefix)) return refusals.reserved()
    if ((oneHopOnly && req.headers[hopHeader] !== undefined) || passedThrough(req.rawHeaders, viaName)) {
      return refusals.loop()
    }
    return this.#running.size >= maxInFlight ? refusals.busy('too many requests are being forwarded') : target
  }

  /** Attempts until one is answered (null) or there is a refusal to give. */
  async #attempts (relayed: RelayedRequest): Promise<Refusal | null> {
    const { req, res, upstreams, target, policy, signal } = relayed
    const { path } = target
    const { headersTimeoutMs, replayBytes, stallTimeoutMs = forwardDefaults.stallTimeoutMs, nonces } = this.#options
    const timeoutMs = policy.timeoutMs ?? this.#options.timeoutMs
    const deadline = new Deadline(this.#clock, timeoutMs, headersTimeoutMs ?? timeoutMs)
    const body = RequestBody.isPresent(req) ? new RequestBody(req, replayBytes, deadline.progress) : null
    const judgement = new Judgement(req.method ?? 'GET', policy, body, deadline)
    let upstream = upstreams.first
    for (let count = 1; ; count++) {
      const attempt = createAttempt(this.#options, upstream.url)
      const headers = this.#headers(relayed, upstream, attempt)
      const peer = this.#pools.of(upstream.url, expectedPeer(upstream.leader?.id, this.#options.nameRules))
      const unwatch = upstreams.watch?.(upstream, deadline.endAttempt)
      const request = { req, res, peer, path, headers, body, attempt, deadline, stallTimeoutMs, signal }
      const outcome = await exchange(request)
      unwatch?.()
      if (outcome.kind === 'not-executed' && outcome.nonce !== null) nonces.learn(upstream, outcome.nonce)
      const verdict = judgement.of(outcome)
      if (verdict === null) return null
      if (verdict.failure !== null) {
        this.#options.logger?.debug({ url: upstream.url, outcome: outcome.kind, count }, 'attempt to forward failed')
        upstreams.reportFailure(upstream, verdict.failure)
      }
      if (verdict.kind === 'refuse') return verdict.refusal
      if (this.#closed) return refusals.closing()
      const next = await upstreams.next({ upstream, failure: verdict.failure, count, deadline, signal })
      if (next === null || 'statusCode' in next) return next
      upstream = next
    }
  }

  #headers ({ req, target, requestId }: RelayedRequest, upstream: Upstream, attempt: NamedAttempt): string[] {
    const { path, authority } = target
    return requestHeaders(req.rawHeaders, {
      viaName: this.#options.viaName,
      httpVersion: req.httpVersion,
      remoteAddress: req.socket.remoteAddress,
      trustsClient: this.#options.trustsClient?.(req.socket.remoteAddress) ?? false,
      protocol: isTlsSocket(req.socket) ? 'https' : 'http',
      authority,
      requestId,
      own: ownFields(this.#options, upstream, attempt, { method: req.method ?? 'GET', target: path, client: req })
    })
  }
}

/** A target that can be sent on. */
type SendableTarget = Extract<RequestTarget, { kind: 'target' }>

/** A request on its way, and on whose behalf. */
interface RelayedRequest {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly upstreams: Upstreams
  readonly target: SendableTarget
  readonly policy: ForwardPolicy
  readonly requestId: string | undefined
  /** Aborts when the client is gone or the forwarder closes. */
  readonly signal: AbortSignal
}
