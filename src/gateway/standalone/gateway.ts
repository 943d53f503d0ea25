import { randomBytes } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isIPv6 } from 'node:net'
import type { Duplex } from 'node:stream'
import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { GatewaySecret } from '../../raft/internal.ts'
import { KnownNonces, OpenRequests, OwnTls, Prover, readGatewaySecrets, Shares } from '../../raft/internal.ts'
import { answerRefusal } from '../forward/answer.ts'
import { isSafeMethod } from '../forward/judgement.ts'
import { LeaderSearch } from '../forward/leader-search.ts'
import { LeaderUpstreams } from '../forward/leader-upstreams.ts'
import { refusals } from '../forward/refusals.ts'
import { Relay } from '../forward/relay.ts'
import { forwardDefaults } from '../forward/types.ts'
import type { OpenSecrets } from '../options/secret-options.ts'
import { openSecrets } from '../options/secret-options.ts'
import type { GatewayOptions, ResolvedGatewayOptions } from './gateway-options.ts'
import { readGatewayOptions } from './gateway-options.ts'
import type { TrackedNode } from './leader-tracker.ts'
import { LeaderTracker } from './leader-tracker.ts'
import { ReadBalancer } from './read-upstreams.ts'

/** Where a gateway listens. */
export interface GatewayAddress {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** 0 takes a free one. Default 8080. */
  readonly port?: number
}

/** The state of a gateway. */
export interface GatewayStatus {
  /** Requests waiting for a leader or a ready node. */
  readonly waiting: number
  /** Requests being forwarded. */
  readonly inFlight: number
  readonly leader: LeaderInfo | null
  readonly nodes: readonly TrackedNode[]
}

/** A reverse proxy in front of a cluster; see {@link createGateway}. */
export interface Gateway {
  /**
   * Starts to look at the nodes and to take requests. Rejects with Node's error when the address cannot be had.
   * A gateway listens once.
   */
  readonly listen: (address?: GatewayAddress) => Promise<{ readonly url: string }>
  /**
   * Takes no more requests, lets those under way finish for up to `closeTimeoutMs`, those that wait for a leader
   * included, cuts the rest, and resolves when all is closed.
   */
  readonly close: () => Promise<void>
  readonly status: () => GatewayStatus
}

/**
 * Makes a stand-alone gateway over a cluster. It asks the nodes who leads, sends GET, HEAD and OPTIONS to any node that
 * is ready and everything else to the leader, waits through elections, and answers 503 with `retry-after` when there is
 * nobody. The cluster's own routes are never passed on.
 *
 * Two routes are the gateway's own: `GET /_gateway/livez` and `GET /_gateway/status`. Upgrades (other than the offer of
 * h2c, which is ignored), CONNECT and TRACE are answered 501.
 *
 * Throws `RAFT_INVALID_OPTIONS` with every fault listed.
 */
export function createGateway (options: GatewayOptions): Gateway {
  return new HttpGateway(readGatewayOptions(options))
}

const ownPrefix = '/_gateway'
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
  readonly #reads: ReadBalancer
  readonly #requests = new OpenRequests()
  /** Places by the address of the client. */
  readonly #places: Shares
  readonly #server: Server
  readonly #tls: OwnTls
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
    const tracker = new LeaderTracker({ ...options, tls, prover, nonces, logger })
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
      prover,
      nonces: { of: ({ url }) => nonces.of(url), learn: ({ url }, nonce) => { nonces.learn(url, nonce) } }
    })
    this.#search = new LeaderSearch({
      leaders: tracker,
      waitForLeaderMs: options.waitForLeaderMs,
      maxWaiting: options.maxWaiting,
      onAttemptFailed: ({ url }, failure) => {
        if (failure === 'not-executed') tracker.refresh()
        else tracker.suspect(url)
      }
    })
    this.#reads = new ReadBalancer(tracker, this.#search, options.pollTimeoutMs)
    this.#places = new Shares({ total: Infinity, each: options.maxPerClient })
    this.#server = this.#createServer()
  }

  readonly listen = async ({ host = '127.0.0.1', port = 8_080 }: GatewayAddress = {}): Promise<{
    readonly url: string
  }> => {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.#tracker.start()
    const address = this.#server.address() as AddressInfo
    return { url: `http://${isIPv6(address.address) ? `[${address.address}]` : address.address}:${address.port}` }
  }

  readonly close = async (): Promise<void> => {
    this.#closing ??= this.#close()
    await this.#closing
  }

  readonly status = (): GatewayStatus => ({
    leader: this.#tracker.current(),
    nodes: this.#tracker.nodes(),
    waiting: this.#search.waiting,
    inFlight: this.#relay.inFlight
  })

  async #close (): Promise<void> {
    const requests = this.#requests
    const { closeTimeoutMs, logger } = this.#options
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
    await closed
    this.#secrets?.close()
  }

  #createServer (): Server {
    const server = createServer(
      {
        insecureHTTPParser: false,
        headersTimeout: this.#options.clientHeadersTimeoutMs,
        requestTimeout: this.#options.clientRequestTimeoutMs,
        connectionsCheckingInterval: 1_000,
        keepAliveTimeout: keepAliveTimeoutMs
      },
      (req, res) => {
        this.#requests.add(req, res)
        this.#serve(req, res).catch((error: unknown) => {
          this.#options.logger?.error({ err: error }, 'request failed unexpectedly')
          res.destroy()
        })
      }
    )
    server.maxConnections = this.#options.maxConnections
    server.on('connect', refuseTunnel)
    return server
  }

  async #serve (req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (this.#ownRoute(req, res)) return
    if (req.method === 'OPTIONS' && req.url === '*') {
      // About the server as such (RFC 9110 section 9.3.7), which for the client is the gateway.
      res.writeHead(204).end()
      return
    }
    const refusal = refuseUnsupported(req) ?? (this.#closing === null ? null : refusals.closing())
    const admitted = refusal ?? this.#relay.admit(req)
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
    const upstreams = isSafeMethod(req.method ?? '')
      ? await this.#reads.open(gone.signal)
      : await LeaderUpstreams.open(this.#search, gone.signal)
    res.off('close', onGone)
    if (upstreams === null) return
    if ('statusCode' in upstreams) this.#refuse(req, res, upstreams)
    else this.#relay.run(req, res, upstreams)
  }

  #refuse (req: IncomingMessage, res: ServerResponse, refusal: Refusal): void {
    answerRefusal(req, res, refusal, this.#tracker.current())
  }

  /** Serves the gateway's own two routes; false when the request is for none of its paths. */
  #ownRoute (req: IncomingMessage, res: ServerResponse): boolean {
    const path = req.url?.split('?', 1)[0] ?? ''
    if (path !== ownPrefix && !path.startsWith(`${ownPrefix}/`)) return false
    const reads = req.method === 'GET' || req.method === 'HEAD'
    if (reads && path === `${ownPrefix}/livez`) {
      answerJson(res, this.#closing === null ? 200 : 503, { status: this.#closing === null ? 'ok' : 'closing' })
    } else if (reads && path === `${ownPrefix}/status`) {
      answerJson(res, 200, this.status())
    } else {
      this.#refuse(req, res, refusals.notFound())
    }
    return true
  }
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

function refuseUnsupported (req: IncomingMessage): Refusal | null {
  if (req.method === 'TRACE') return refusals.notImplemented('TRACE')
  const upgrade = req.headers.upgrade
  // A server may ignore an offer (RFC 9110 section 7.8). Clients that offer h2c go on in HTTP/1.1; others would hang.
  return upgrade === undefined || upgrade.toLowerCase() === 'h2c' ? null : refusals.notImplemented('Upgrade')
}

function refuseTunnel (_req: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => { socket.destroy() })
  // The server knows this connection no more, and waits for its end: it must not depend on the client's.
  const timer = setTimeout(() => { socket.destroy() }, tunnelLingerMs)
  socket.once('close', () => { clearTimeout(timer) })
  socket.resume()
  socket.end('HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
}

function answerJson (res: ServerResponse, statusCode: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value))
  res.writeHead(statusCode, [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(body.length),
    'cache-control',
    'no-store'
  ])
  res.end(body)
}
