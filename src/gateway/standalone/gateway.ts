import { randomBytes } from 'node:crypto'
import type { IncomingMessage, RequestListener, Server, ServerOptions } from 'node:http'
import { createServer, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { isIPv6 } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TlsMaterial } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { GatewaySecret } from '../../raft/internal.ts'
import {
  ClockReadings,
  KnownNonces,
  OpenRequests,
  OwnTls,
  Prover,
  readGatewaySecrets,
  Shares
} from '../../raft/internal.ts'
import { answerRefusal } from '../forward/answer.ts'
import { onSucceeded } from '../forward/former-leader.ts'
import { LeaderSearch } from '../forward/leader-search.ts'
import { LeaderUpstreams } from '../forward/leader-upstreams.ts'
import { refusals } from '../forward/refusals.ts'
import { Relay } from '../forward/relay.ts'
import { endAfterAnswer } from '../forward/tunnel.ts'
import { forwardDefaults } from '../forward/types.ts'
import type { OpenSecrets } from '../options/secret-options.ts'
import { openSecrets } from '../options/secret-options.ts'
import { Ejection } from './ejection.ts'
import { GatewayMetrics } from './gateway-metrics.ts'
import type { GatewayOptions, ResolvedGatewayOptions } from './gateway-options.ts'
import { readGatewayOptions } from './gateway-options.ts'
import type { Readiness } from './gateway-routes.ts'
import { GatewayRoutes } from './gateway-routes.ts'
import type { GatewayStatus } from './gateway-status.ts'
import { LeaderTracker } from './leader-tracker.ts'
import { ReadBalancer } from './read-upstreams.ts'

/** Where a gateway listens. */
export interface GatewayAddress {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0 takes a free one. Default 8080. */
  readonly port?: number
}

/** Where a gateway has come to listen. */
export interface GatewayListening {
  readonly url: string
  /** Of the port for its own routes; null without one. */
  readonly adminUrl: string | null
}

/** A reverse proxy in front of a cluster; see {@link createGateway}. */
export interface Gateway {
  /**
   * Starts to look at the nodes and to take requests. Rejects with Node's error when the address cannot be had.
   * A gateway listens once.
   */
  readonly listen: (address?: GatewayAddress) => Promise<GatewayListening>
  /**
   * Answers 503 at `readyz` and tells clients to come back on another connection, goes on for `drainMs`, takes no more
   * connections, lets requests under way finish for up to `closeTimeoutMs`, those that wait for a leader included, cuts
   * the rest, and resolves when all is closed.
   */
  readonly close: () => Promise<void>
  readonly status: () => GatewayStatus
}

/**
 * Makes a stand-alone gateway over a cluster. It follows who leads and who belongs, sends everything to the leader
 * unless `reads` says otherwise, waits through elections, and answers 503 with `retry-after` when there is nobody. The
 * cluster's own routes are never passed on. WebSockets go to the leader.
 *
 * Its own routes are `livez`, `readyz`, `status` and `metrics`, on `adminPort`. Other upgrades (but for the offer of
 * h2c, which is ignored), CONNECT and TRACE are answered 501.
 *
 * Throws `RAFT_INVALID_OPTIONS` with every fault listed.
 */
export function createGateway (options: GatewayOptions): Gateway {
  return new HttpGateway(readGatewayOptions(options))
}

const ownPrefix = '/_gateway'
/** The gateway knows no routes: whether one knows requests by their keys, the leader says. */
const anyRoute = { idempotent: true } as const
const keepAliveTimeoutMs = 72_000
/** How long answers may take once what they waited for has been cut. */
const answerMs = 300

/** How long a client that asked for a tunnel may take to read that there is none. */
const tunnelLingerMs = 1_000

class HttpGateway implements Gateway {
  readonly #options: ResolvedGatewayOptions
  readonly #tracker: LeaderTracker
  readonly #relay: Relay
  readonly #search: LeaderSearch
  readonly #reads: ReadBalancer | null
  readonly #ejection: Ejection
  readonly #metrics = new GatewayMetrics()
  readonly #routes: GatewayRoutes
  readonly #requests = new OpenRequests()
  /** Places by the address of the client. */
  readonly #places: Shares
  readonly #server: Server
  readonly #adminServer: Server | null
  readonly #tls: OwnTls
  readonly #serverTls: OwnTls | null
  readonly #secrets: OpenSecrets<GatewaySecret> | null
  #closing: Promise<void> | null = null

  constructor (options: ResolvedGatewayOptions) {
    this.#options = options
    const logger = options.logger ?? silent
    const tls = new OwnTls(options.tls.inputs, options.tls.material, logger)
    this.#tls = tls
    const name = options.viaName ?? `fastify-raft-gateway-${randomBytes(4).toString('hex')}`
    this.#secrets = openSecrets(options.secret, readGatewaySecrets, logger)
    const prover = Prover.ofGateway(name, this.#secrets)
    const nonces = new KnownNonces()
    const clocks = new ClockReadings()
    const tracker = new LeaderTracker({
      ...options,
      tls,
      prover,
      nonces,
      clocks,
      logger,
      onForgotten: (url) => {
        this.#relay.forget(url)
        this.#ejection.forget(url)
        this.#metrics.forget(url)
      }
    })
    this.#tracker = tracker
    this.#relay = new Relay({
      ...options,
      tls,
      nameRules: null,
      logger,
      selfId: name,
      viaName: name,
      replayBytes: forwardDefaults.replayBytes,
      oneHopOnly: false,
      clusterUuidOf: (url) => tracker.clusterUuidOf(url),
      serverNameOf: (url) => tracker.serverNameOf(url),
      prover,
      nonces: { of: ({ url }) => nonces.of(url), learn: ({ url }, nonce) => { nonces.learn(url, nonce) } },
      clockOf: ({ url, term }) => clocks.atLeastMs(url, term)
    })
    this.#search = new LeaderSearch({
      leaders: tracker,
      waitForLeaderMs: options.waitForLeaderMs,
      maxWaiting: options.maxWaiting,
      onAttemptFailed: ({ url }, failure) => {
        this.#metrics.attemptFailed(url, failure)
        if (failure === 'not-executed') tracker.refresh()
        else tracker.suspect(url)
      }
    })
    this.#ejection = new Ejection({
      afterFailures: options.ejectAfterFailures,
      ejectMs: options.ejectMs,
      nowMs: () => this.#search.nowMs()
    })
    // The tracker ends with the gateway, and calls nobody then.
    onSucceeded(tracker, (url) => { this.#relay.forget(url) })
    this.#reads = this.#createReads()
    this.#places = new Shares({ total: Infinity, each: options.maxPerClient })
    this.#routes = new GatewayRoutes({
      status: this.status,
      readiness: () => this.#readiness(),
      metrics: () => this.#metricsText()
    })
    this.#serverTls = options.serverTls === null
      ? null
      : new OwnTls(options.serverTls.inputs, options.serverTls.material, logger)
    this.#server = this.#createServer()
    this.#adminServer = options.adminPort === null ? null : this.#routes.createServer()
  }

  /** Null: reads go to the leader as well. */
  #createReads (): ReadBalancer | null {
    const { reads, pollTimeoutMs } = this.#options
    if (reads === 'leader') return null
    return new ReadBalancer({
      tracker: this.#tracker,
      search: this.#search,
      ejection: this.#ejection,
      among: reads,
      graceMs: pollTimeoutMs,
      onFailed: (url, failure) => { this.#metrics.attemptFailed(url, failure) }
    })
  }

  readonly listen = async ({ host = '127.0.0.1', port = 8_080 }: GatewayAddress = {}): Promise<GatewayListening> => {
    const scheme = this.#serverTls === null ? 'http' : 'https'
    const url = `${scheme}://${await listenOn(this.#server, host, port)}`
    const { adminPort } = this.#options
    const adminUrl = this.#adminServer === null || adminPort === null
      ? null
      : `http://${await listenOn(this.#adminServer, host, adminPort)}`
    this.#tracker.start()
    return { url, adminUrl }
  }

  readonly close = async (): Promise<void> => {
    this.#closing ??= this.#close()
    await this.#closing
  }

  readonly status = (): GatewayStatus => ({
    leader: this.#tracker.current(),
    nodes: this.#tracker.nodes(),
    waiting: this.#search.waiting,
    inFlight: this.#relay.inFlight,
    isDraining: this.#closing !== null,
    isReady: this.#readiness().ok
  })

  async #close (): Promise<void> {
    const requests = this.#requests
    const { closeTimeoutMs, drainMs, logger } = this.#options
    requests.endConnections()
    if (drainMs > 0) await new Promise((resolve) => { setTimeout(resolve, drainMs) })
    await requests.linger(closeTimeoutMs)
    const closed = new Promise<void>((resolve) => { this.#server.close(() => { resolve() }) })
    if (!await requests.until(() => requests.size === 0, closeTimeoutMs)) {
      logger?.warn({ requests: requests.size }, 'requests under way are cut')
    }
    this.#search.close()
    await Promise.all([this.#relay.close(), this.#tracker.stop()])
    // What waited or was cut has its answer to give; no connection may outlive that.
    await requests.until(() => requests.size === 0, answerMs)
    this.#server.closeAllConnections()
    this.#tls.close()
    this.#serverTls?.close()
    await closed
    await this.#closeAdminServer()
    this.#secrets?.close()
  }

  async #closeAdminServer (): Promise<void> {
    const server = this.#adminServer
    if (server?.listening !== true) return
    await new Promise<void>((resolve) => {
      server.close(() => { resolve() })
      server.closeAllConnections()
    })
  }

  #createServer (): Server {
    const limits = {
      insecureHTTPParser: false,
      headersTimeout: this.#options.clientHeadersTimeoutMs,
      requestTimeout: this.#options.clientRequestTimeoutMs,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Where Node asks: an offer that is ignored is a request like any other.
      shouldUpgradeCallback: (req: IncomingMessage) => !offersHttp2(req)
    }
    const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
      this.#requests.add(req, res)
      this.#metrics.add(req, res)
      this.#serve(req, res).catch((error: unknown) => {
        this.#options.logger?.error({ err: error }, 'request failed unexpectedly')
        res.destroy()
      })
    }
    const server = this.#serverTls === null
      ? createServer(limits, onRequest)
      : this.#createTlsServer(this.#serverTls, limits, onRequest)
    server.maxConnections = this.#options.maxConnections
    server.on('connect', refuseTunnel)
    server.on('upgrade', (req, socket, head) => { this.#upgrade(req, socket, head) })
    return server
  }

  /** A server that shows the certificate of the moment to each new connection. */
  #createTlsServer (tls: OwnTls, limits: ServerOptions, onRequest: RequestListener): Server {
    const shown = ({ own }: TlsMaterial): { readonly cert?: string, readonly key?: string } =>
      own === null ? {} : { cert: own.cert, key: own.key }
    const server = createTlsServer({ ...limits, ...shown(tls.current) }, onRequest)
    tls.onRenewed((material) => { server.setSecureContext(shown(material)) })
    return server
  }

  async #serve (req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (this.#ownRoute(req, res)) return
    if (req.method === 'OPTIONS' && req.url === '*') {
      // About the server as such (RFC 9110 section 9.3.7), which for the client is the gateway.
      res.writeHead(204).end()
      return
    }
    const admitted = refuseUnsupported(req) ?? this.#relay.admit(req)
    if ('statusCode' in admitted) this.#refuse(req, res, admitted)
    else await this.#passInTurn(req, res)
  }

  /** No client but a proxy takes all places. */
  async #passInTurn (req: IncomingMessage, res: ServerResponse): Promise<void> {
    const client = req.socket.remoteAddress ?? ''
    if (!this.#options.trustsClient(client)) {
      if (!this.#places.take(client, 1)) {
        this.#refuse(req, res, refusals.busy('this client has too many requests under way'))
        return
      }
      res.once('close', () => { this.#places.give(client, 1) })
    }
    await this.#pass(req, res)
  }

  async #pass (req: IncomingMessage, res: ServerResponse): Promise<void> {
    const gone = new AbortController()
    const onGone = (): void => {
      gone.abort()
    }
    res.on('close', onGone)
    const isRead = req.method === 'GET' || req.method === 'HEAD'
    const upstreams = isRead && this.#reads !== null
      ? await this.#reads.open(gone.signal)
      : await LeaderUpstreams.open(this.#search, gone.signal)
    res.off('close', onGone)
    if (upstreams === null) return
    if ('statusCode' in upstreams) this.#refuse(req, res, upstreams)
    else this.#relay.run(req, res, upstreams, anyRoute)
  }

  #upgrade (req: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => { socket.destroy() })
    if (offersHttp2(req)) {
      this.#takeAsPlain(req, socket, head)
      return
    }
    const res = new ServerResponse(req)
    res.assignSocket(req.socket)
    this.#requests.add(req, res)
    this.#serveUpgrade(req, res, head).catch((error: unknown) => {
      this.#options.logger?.error({ err: error }, 'upgrade failed unexpectedly')
      socket.destroy()
    })
  }

  async #serveUpgrade (req: IncomingMessage, res: ServerResponse, head: Buffer): Promise<void> {
    const isWebSocket = req.headers.upgrade?.toLowerCase() === 'websocket' && req.method === 'GET'
    const refusal = !isWebSocket
      ? refusals.notImplemented('Upgrade')
      : this.#closing === null ? null : refusals.closing()
    const admitted = refusal ?? this.#relay.admit(req)
    const client = req.socket.remoteAddress ?? ''
    const isCounted = !this.#options.trustsClient(client)
    if ('statusCode' in admitted) {
      this.#refuseUpgrade(req, res, admitted)
    } else if (isCounted && !this.#places.take(client, 1)) {
      this.#refuseUpgrade(req, res, refusals.busy('this client has too many requests under way'))
    } else {
      const gone = new AbortController()
      req.socket.once('close', () => {
        gone.abort()
        if (isCounted) this.#places.give(client, 1)
      })
      const upstreams = await LeaderUpstreams.open(this.#search, gone.signal)
      if (upstreams === null) return
      if ('statusCode' in upstreams) this.#refuseUpgrade(req, res, upstreams)
      else this.#relay.runUpgrade({ req, res, head, upstreams, policy: {} })
    }
  }

  #refuseUpgrade (req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
    endAfterAnswer(res, req.socket)
    this.#refuse(req, res, refusal)
  }

  /**
   * Ignores the offer of another protocol (RFC 9110 section 7.8): the connection begins anew with the same request
   * without it. A release of Node that does not ask first has given up to read it as HTTP.
   */
  #takeAsPlain (req: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { method, url, rawHeaders } = req
    let text = `${method} ${url} HTTP/1.1\r\n`
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const name = rawHeaders[index] ?? ''
      if (name.toLowerCase() !== 'upgrade') text += `${name}: ${rawHeaders[index + 1]}\r\n`
    }
    socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]))
    this.#server.emit('connection', socket)
  }

  #refuse (req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
    answerRefusal(req, res, refusal, this.#tracker.current())
  }

  /** Serves the gateway's own routes, where that was asked for; false when the request is for none of their paths. */
  #ownRoute (req: IncomingMessage, res: ServerResponse): boolean {
    if (!this.#options.adminOnTraffic) return false
    const path = req.url?.split('?', 1)[0] ?? ''
    if (path !== ownPrefix && !path.startsWith(`${ownPrefix}/`)) return false
    this.#routes.answer(req, res, path.slice(ownPrefix.length))
    return true
  }

  /** An election makes no gateway unready: requests wait through it, and every other gateway waits as well. */
  #readiness (): Readiness {
    const nodes = this.#tracker.nodes()
    const reached = nodes.filter(({ reachable, isForeign }) => reachable && !isForeign).length
    const checks = {
      draining: this.#closing === null
        ? { ok: true, detail: 'takes requests' }
        : { ok: false, detail: 'it ends the requests that it has' },
      nodes: { ok: reached > 0, detail: `${reached} of ${nodes.length} nodes can be reached` },
      cluster: this.#tracker.hasConflict
        ? { ok: false, detail: 'the nodes belong to different clusters' }
        : { ok: true, detail: 'the nodes belong to one cluster, or are left out' }
    }
    return { ok: Object.values(checks).every(({ ok }) => ok), checks }
  }

  #metricsText (): string {
    const { leaderChanges, dnsFailures } = this.#tracker
    const { connections } = this.#requests
    const ejections = this.#ejection.count
    return this.#metrics.text({ ...this.status(), connections, leaderChanges, dnsFailures, ejections })
  }
}

/** Resolves with the authority of the address. */
async function listenOn (server: Server, host: string, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { address, port: taken } = server.address() as AddressInfo
  return `${isIPv6(address) ? `[${address}]` : address}:${taken}`
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

function refuseUnsupported (req: IncomingMessage): Refusal | null {
  if (req.method === 'TRACE') return refusals.notImplemented('TRACE')
  // A server may ignore an offer (RFC 9110 section 7.8). Clients that offer h2c go on in HTTP/1.1; others would hang.
  return req.headers.upgrade === undefined || offersHttp2(req) ? null : refusals.notImplemented('Upgrade')
}

function offersHttp2 ({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'h2c'
}

function refuseTunnel (_req: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => { socket.destroy() })
  // The server knows this connection no more, and waits for its end: it must not depend on the client's.
  const timer = setTimeout(() => { socket.destroy() }, tunnelLingerMs)
  socket.once('close', () => { clearTimeout(timer) })
  socket.resume()
  socket.end('HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
}
