import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock, Logger, TlsSource } from '../../raft/index.ts'
import type { Connector, NameRules, Refusal, Timers } from '../../raft/internal.ts'
import { systemClock, systemTimers } from '../../raft/internal.ts'
import { answerRefusal } from './answer.ts'
import { passedThrough } from './header-rules.ts'
import { hopHeader } from './hop.ts'
import type { HopSender } from './hop-sender.ts'
import { hasClosed } from './http2-stream.ts'
import { PeerPools } from './peer-pools.ts'
import { refusals } from './refusals.ts'
import type { RelayContext } from './relayed-request.ts'
import { RelayedRequest } from './relayed-request.ts'
import { RequestBody } from './request-body.ts'
import type { SendableTarget } from './request-target.ts'
import { requestTarget } from './request-target.ts'
import { isReservedTarget } from './reserved-target.ts'
import { RetryBudget } from './retry-budget.ts'
import type { TunnelParts } from './tunnel.ts'
import { endAfterAnswer, Tunnel } from './tunnel.ts'
import type { ForwardRequest } from './types.ts'
import { forwardDefaults } from './types.ts'
import type { Upstreams } from './upstreams.ts'

/** Options of a {@link Relay}; as in ForwarderOptions. */
interface RelayOptions extends HopSender {
  readonly viaName: string
  readonly timeoutMs: number
  readonly maxInFlight: number
  /** Default 2048. */
  readonly maxTunnels?: number
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
  /** Whether informational answers are passed on to clients. Default true. */
  readonly informational?: boolean
  /** Whether a client is a proxy whose word on protocol and host is passed on. Left out: none is. */
  readonly trustsClient?: (address: string | undefined) => boolean
  /** As in PeerPools. */
  readonly serverNameOf?: (origin: string) => string | null
  readonly clock?: Clock
  /** The timers of this process when left out. */
  readonly timers?: Timers
  /** As in PeerPools. */
  readonly connector?: Connector | null
  readonly logger?: Logger
}

/**
 * How often all requests under way are looked at for what takes too long. One timer for all of them: one for each would
 * be set and cleared with every request.
 */
const sweepMs = 20

const noPolicy: ForwardRequest = {}

/** Carries requests to nodes and their answers back; {@link Upstreams} say where. */
export class Relay {
  readonly #options: RelayOptions
  readonly #context: RelayContext
  readonly #running = new Set<RelayedRequest>()
  /** Requests to switch protocols, and connections that have. */
  readonly #tunnels = new Set<Tunnel>()
  /** Runs while requests do, and ends a sweep after the last one. */
  #cancelSweep: (() => void) | null = null
  #closed = false

  constructor (options: RelayOptions) {
    this.#options = options
    const { connectTimeoutMs, tls, serverNameOf, connector = null } = options
    const named = serverNameOf === undefined ? {} : { serverNameOf }
    this.#context = {
      ...options,
      informational: options.informational ?? true,
      stallTimeoutMs: options.stallTimeoutMs ?? forwardDefaults.stallTimeoutMs,
      clock: options.clock ?? systemClock,
      pools: new PeerPools({ connectTimeoutMs, keepsConnections: true, tls, connector, ...named }),
      budget: new RetryBudget(options.maxInFlight),
      isClosed: () => this.#closed,
      ended: (request) => { this.#running.delete(request) }
    }
  }

  get inFlight (): number {
    return this.#running.size
  }

  /** Closes the connections to this node, each with the request that it carries. New ones are opened when needed. */
  forget (url: string): void {
    this.#context.pools.forget(url)
  }

  /** Cuts what is under way. */
  async close (): Promise<void> {
    this.#closed = true
    for (const request of [...this.#running]) request.close()
    for (const tunnel of [...this.#tunnels]) tunnel.close()
    this.#sweep()
    await this.#context.pools.close()
  }

  /** Serves one request to its end, and answers every failure itself. Never throws. */
  run (req: IncomingMessage, res: ServerResponse, upstreams: Upstreams, policy: ForwardRequest = noPolicy): void {
    if (hasClosed(req, res)) return
    const target = this.admit(req)
    if ('statusCode' in target) {
      answerRefusal(req, res, target, upstreams.knownLeader(), policy.ownHeaders)
      return
    }
    const request = new RelayedRequest(this.#context, { req, res, upstreams, target, policy })
    this.#context.budget.add()
    this.#running.add(request)
    if (this.#cancelSweep === null) this.#sweepLater()
    request.start()
  }

  /**
   * Serves a request to switch protocols to the end of its connection. `res` has its socket, and gets every answer in
   * HTTP; `head` is what came behind the request. Never throws.
   */
  runUpgrade (parts: Omit<TunnelParts, 'target'>): void {
    const { req, res, upstreams, policy } = parts
    const client = res.socket
    if (client === null || client.destroyed) return
    const target = this.#refusalOfUpgrade(req) ?? this.admit(req)
    if ('statusCode' in target) {
      endAfterAnswer(res, client)
      answerRefusal(req, res, target, upstreams.knownLeader(), policy.ownHeaders)
      return
    }
    const tunnel = new Tunnel(this.#context, { ...parts, target }, client, (ended) => { this.#tunnels.delete(ended) })
    this.#tunnels.add(tunnel)
    tunnel.start()
  }

  #refusalOfUpgrade (req: IncomingMessage): Refusal | null {
    // Releases of Node differ in where they leave a body, and a WebSocket begins without one (RFC 6455 section 4.1).
    if (RequestBody.isPresent(req)) return refusals.notImplemented('Upgrade with a body')
    return this.#tunnels.size >= (this.#options.maxTunnels ?? forwardDefaults.maxTunnels)
      ? refusals.busy('too many connections have switched protocols')
      : null
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

  #sweepLater (): void {
    const { timers = systemTimers } = this.#options
    this.#cancelSweep = timers.after(sweepMs, () => { this.#sweep() }, { background: true })
  }

  #sweep (): void {
    this.#cancelSweep?.()
    this.#cancelSweep = null
    if (this.#running.size === 0) return
    this.#sweepLater()
    const nowMs = this.#context.clock.monotonicMs()
    for (const request of this.#running) request.checkTime(nowMs)
  }
}
