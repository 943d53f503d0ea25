import { isIP } from 'node:net'
import { buildConnector, Pool } from 'undici'
import type { TlsOptions } from '../../raft/index.ts'
import { connectOptions } from '../../raft/internal.ts'

/** Header fields of an answer may take this much: nodes may send more than Node accepts from clients. */
const maxResponseHeaderBytes = 65_536

/** Connections to one node. */
export interface PeerPool {
  readonly pool: Pool
  /** Name for TLS, always the node's own: undici would take it from the client's Host. Null without TLS. */
  readonly servername: string | null
}

/** Options of {@link PeerPools}. */
interface PeerPoolsOptions {
  readonly connectTimeoutMs: number
  /** Whether connections stay open for the next request. */
  readonly keepsConnections: boolean
  readonly tls: TlsOptions
}

/** Keeps one pool of connections per origin, opened at first use. */
export class PeerPools {
  readonly #pools = new Map<string, PeerPool>()
  readonly #options: PeerPoolsOptions

  constructor (options: PeerPoolsOptions) {
    this.#options = options
  }

  /** The pool of a node. Throws a TypeError for a URL that is neither http nor https. */
  of (url: string): PeerPool {
    const { origin, protocol, hostname } = new URL(url)
    const known = this.#pools.get(origin)
    if (known !== undefined) return known
    if (protocol !== 'http:' && protocol !== 'https:') throw new TypeError(`Not a URL of a node: ${url}`)
    const { connectTimeoutMs, keepsConnections, tls } = this.#options
    const secure = protocol === 'https:'
    const pool = new Pool(origin, {
      pipelining: keepsConnections ? 1 : 0,
      maxHeaderSize: maxResponseHeaderBytes,
      connect: secure ? secureConnector(hostname, connectTimeoutMs, tls) : { timeout: connectTimeoutMs },
      allowH2: false
    })
    const peer = { pool, servername: secure ? hostname : null }
    this.#pools.set(origin, peer)
    return peer
  }

  async close (): Promise<void> {
    const pools = [...this.#pools.values()]
    this.#pools.clear()
    await Promise.all(pools.map(async ({ pool }) => await pool.destroy()))
  }
}

/**
 * Server Name Indication carries names only (RFC 6066 section 3); for an address the certificate is checked against it.
 */
function secureConnector (hostname: string, timeoutMs: number, tls: TlsOptions): buildConnector.connector {
  const connect = buildConnector({ ...connectOptions(timeoutMs, tls), allowH2: false })
  const isAddress = isIP(hostname.replace(/^\[|\]$/g, '')) !== 0
  return (options, callback) => {
    connect(isAddress ? withoutServername(options) : { ...options, servername: hostname }, callback)
  }
}

function withoutServername ({ servername: _, ...options }: buildConnector.Options): buildConnector.Options {
  return options
}
