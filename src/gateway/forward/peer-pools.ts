import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import type { buildConnector } from 'undici'
import type { TlsSource } from '../../raft/index.ts'
import type { Connector, ExpectedPeer, NameRules } from '../../raft/internal.ts'
import { connectOptions, RenewedPool, undici } from '../../raft/internal.ts'

/** Header fields of an answer may take this much: nodes may send more than Node accepts from clients. */
const maxResponseHeaderBytes = 65_536

/**
 * How long a connection stays idle at most whose end the node does not announce (Keep-Alive: timeout). What is written
 * as it closes is lost, and nobody knows whether it was executed. An announced end is kept away from by two seconds.
 */
const unannouncedIdleMs = 1_000

/** Connections to one node. */
export interface PeerPool {
  readonly url: string
  readonly pool: RenewedPool
  /** Name for TLS, always the node's own: undici would take it from the client's Host. Null without TLS. */
  readonly servername: string | null
}

/** The member that has to be at the other end; null when it, or how certificates name it, is not known. */
export function expectedPeer (id: string | undefined, rules: NameRules | null): ExpectedPeer | null {
  return id === undefined || rules === null ? null : { id, ...rules }
}

/** Options of {@link PeerPools}. */
interface PeerPoolsOptions {
  readonly connectTimeoutMs: number
  /** Whether connections stay open for the next request. */
  readonly keepsConnections: boolean
  readonly tls: TlsSource
  /** Opens the connections; null or left out: over the network, with TLS where a URL says so. */
  readonly connector?: Connector | null
  /** The name that the certificate of an origin has to have, when that is not its host. */
  readonly serverNameOf?: (origin: string) => string | null
}

/** Keeps one pool of connections per origin and expected member, opened at first use. */
export class PeerPools {
  readonly #pools = new Map<string, PeerPool>()
  /** The same pools by URL as it is written: to take a URL apart costs more than the rest of a look-up. */
  readonly #byUrl = new Map<string, PeerPool>()
  readonly #options: PeerPoolsOptions

  constructor (options: PeerPoolsOptions) {
    this.#options = options
  }

  /**
   * The pool of a node; `expected`: the member that has to be there, null when that is not known. Throws a TypeError
   * for a URL that is neither http nor https.
   */
  of (url: string, expected: ExpectedPeer | null): PeerPool {
    const name = expected === null ? url : `${url} ${expected.id}`
    const known = this.#byUrl.get(name)
    if (known !== undefined) return known
    const peer = this.#ofOrigin(url, expected)
    this.#byUrl.set(name, peer)
    return peer
  }

  #ofOrigin (url: string, expected: ExpectedPeer | null): PeerPool {
    const { origin, protocol, hostname } = new URL(url)
    const key = expected === null ? origin : `${origin} ${expected.id}`
    const known = this.#pools.get(key)
    if (known !== undefined) return known
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`Not a URL of a node: ${url}`)
    const { connectTimeoutMs, keepsConnections, tls, connector = null, serverNameOf } = this.#options
    const secure = protocol === 'https:'
    const name = serverNameOf?.(origin) ?? hostname
    const pool = new RenewedPool(origin, tls, (material) => ({
      pipelining: keepsConnections ? 1 : 0,
      keepAliveTimeout: unannouncedIdleMs,
      maxHeaderSize: maxResponseHeaderBytes,
      connect: connector ?? (secure
        ? secureConnector(name, connectOptions(connectTimeoutMs, material, expected))
        : { timeout: connectTimeoutMs })
    }))
    const peer = { url, pool, servername: secure ? name : null }
    this.#pools.set(key, peer)
    return peer
  }

  /** The connections to this URL close, each with the request that it carries. The next request opens new ones. */
  forget (url: string): void {
    for (const [key, peer] of this.#pools) {
      if (peer.url !== url) continue
      this.#pools.delete(key)
      peer.pool.end()
    }
    for (const [name, peer] of this.#byUrl) if (peer.url === url) this.#byUrl.delete(name)
  }

  /** Opens a connection of its own to a node, for one request. */
  connect (url: string, expected: ExpectedPeer | null, done: (error: Error | null, socket: Duplex) => void): void {
    const { protocol, origin, hostname, host, port } = new URL(url)
    const { connectTimeoutMs, tls, connector = null, serverNameOf } = this.#options
    const secure = protocol === 'https:'
    const connect = connector ?? (secure
      ? secureConnector(serverNameOf?.(origin) ?? hostname, connectOptions(connectTimeoutMs, tls.current, expected))
      : undici.buildConnector({ timeout: connectTimeoutMs, allowH2: false }))
    const usual = secure ? '443' : '80'
    const options = { hostname: hostname.replace(/^\[|\]$/g, ''), host, protocol, port: port === '' ? usual : port }
    connect(options, (...[error, socket]) => {
      // Without a socket when there is an error, which Node's types do not know.
      done(error, socket as unknown as Duplex)
    })
  }

  async close (): Promise<void> {
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    this.#byUrl.clear()
    await Promise.all(pools.map(async ({ pool }) => await pool.destroy()))
  }
}

/**
 * Server Name Indication carries names only (RFC 6066 section 3); for an address the certificate is checked against it.
 */
function secureConnector (hostname: string, options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = undici.buildConnector({ ...options, allowH2: false })
  const isAddress = isIP(hostname.replace(/^\[|\]$/g, '')) !== 0
  return (options, callback) => {
    connect(isAddress ? withoutServername(options) : { ...options, servername: hostname }, callback)
  }
}

function withoutServername ({ servername: _, ...options }: buildConnector.Options): buildConnector.Options {
  return options
}
