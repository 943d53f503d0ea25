import type { LeaderInfo, Logger, TlsSource } from '../../raft/index.ts'
import { KnownNonces, plainTls, Prover } from '../../raft/internal.ts'
import type { LeaderSource } from '../forward/types.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { originOf, readNodeUrl } from '../options/node-url.ts'
import type { NodeView } from './node-probe.ts'
import { NodeProbe } from './node-probe.ts'

/** Options of a {@link LeaderTracker}. Durations are milliseconds. */
interface LeaderTrackerOptions {
  /** Base URLs of the nodes: the only addresses that are ever called. */
  readonly nodes: readonly string[]
  /** Path prefix of the nodes' admin endpoints. */
  readonly prefix: string
  /** Pause between two rounds with a node while all is well. */
  readonly pollMs: number
  /** Pause while no leader is known. Default 50, at most `pollMs`. */
  readonly searchPollMs?: number
  /** How long one round with a node may take. */
  readonly pollTimeoutMs: number
  /** How nodes with https URLs are called. Default: as Node does it. */
  readonly tls?: TlsSource
  /** Header fields of these questions. Default: none. */
  readonly adminHeaders?: AdminHeaders
  /** Proves its questions. Default: they prove nothing. */
  readonly prover?: Prover
  /** Gets what the nodes tell to prove with, by their origins. */
  readonly nonces?: KnownNonces
  readonly logger?: Logger
}

/** A node as the tracker sees it. */
export type TrackedNode = NodeView

/**
 * Follows leadership from outside the cluster. Every node is asked `GET <prefix>/v1/leader` and `GET
 * <prefix>/v1/readyz` in a loop of its own, so that a dead one delays no other. The claim with the highest term among
 * the nodes that answer wins: at most one node leads in a term (Raft section 5.2), and the leader of a lower term leads
 * no more.
 *
 * An answer never becomes an address. A claim is matched with the configured nodes: by the identity that each of them
 * gave in its own `raft-node` answers, else by its URL. One that matches none is ignored. Redirects are not followed.
 */
export class LeaderTracker implements LeaderSource {
  readonly #probes: readonly NodeProbe[]
  readonly #listeners = new Set<() => void>()
  readonly #pollMs: number
  readonly #searchPollMs: number
  readonly #logger: Logger | undefined
  #leader: LeaderInfo | null = null
  #ignoredClaim = ''

  constructor (options: LeaderTrackerOptions) {
    this.#pollMs = options.pollMs
    this.#searchPollMs = Math.min(this.#pollMs, options.searchPollMs ?? 50)
    this.#logger = options.logger
    const { prover = Prover.ofGateway('', null), nonces = new KnownNonces() } = options
    this.#probes = options.nodes.map((node) => {
      const read = readNodeUrl(node)
      if (read.kind === 'fault') throw new TypeError(`${node} ${read.message}`)
      return new NodeProbe({
        url: read.origin,
        prefix: options.prefix,
        timeoutMs: options.pollTimeoutMs,
        tls: options.tls ?? plainTls,
        adminHeaders: options.adminHeaders ?? {},
        prover,
        nonces,
        pauseMs: () => this.#pauseMs(),
        onChange: () => { this.#changed() },
        logger: options.logger
      })
    })
  }

  readonly current = (): LeaderInfo | null => this.#leader

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** The nodes, in the order of the options. */
  nodes (): readonly TrackedNode[] {
    return this.#probes.map((probe) => probe.view)
  }

  /** UUID of the cluster of the node at a URL, as it last said; undefined while it has not. */
  clusterUuidOf (url: string): string | undefined {
    return this.#probes.find((probe) => probe.view.url === url)?.view.clusterUuid ?? undefined
  }

  /** URLs of the nodes that say they are ready. */
  ready (): readonly string[] {
    return this.nodes().filter((node) => node.ready).map((node) => node.url)
  }

  /**
   * A request to this node failed: it counts as out of reach until it answers again, and all nodes are asked at once.
   */
  suspect (url: string): void {
    this.#probes.find((probe) => probe.view.url === originOf(url))?.suspect()
    this.refresh()
  }

  /** Asks all nodes at once. */
  refresh (): void {
    for (const probe of this.#probes) probe.refresh()
  }

  start (): void {
    for (const probe of this.#probes) probe.start()
  }

  async stop (): Promise<void> {
    await Promise.all(this.#probes.map(async (probe) => { await probe.stop() }))
  }

  /** Spread by a tenth, so that gateways started together do not ask together. */
  #pauseMs (): number {
    return (this.#leader === null ? this.#searchPollMs : this.#pollMs) * (0.9 + Math.random() * 0.2)
  }

  #changed (): void {
    const before = this.#leader
    this.#leader = this.#choose()
    if (before?.url !== this.#leader?.url || before?.term !== this.#leader?.term) {
      this.#logger?.info({ leader: this.#leader }, this.#leader === null ? 'no leader is known' : 'leader is known')
    }
    for (const listener of [...this.#listeners]) listener()
  }

  #choose (): LeaderInfo | null {
    const claims = this.nodes()
      .flatMap((node) => node.claim === null ? [] : [node.claim])
      .sort((a, b) => b.term - a.term)
    for (const claim of claims) {
      const node = this.#match(claim)
      if (node === null) this.#ignore(claim)
      // A leader that cannot be reached from here is of no use, and an older one would only refuse.
      else return node.reachable ? { id: claim.id, url: node.url, term: claim.term } : null
    }
    return null
  }

  #match (claim: LeaderInfo): TrackedNode | null {
    const nodes = this.nodes()
    const origin = originOf(claim.url)
    return nodes.find((node) => node.id === claim.id) ?? nodes.find((node) => node.url === origin) ?? null
  }

  #ignore (claim: LeaderInfo): void {
    const text = `${claim.id} ${claim.url}`
    if (text === this.#ignoredClaim) return
    this.#ignoredClaim = text
    this.#logger?.warn({ claim }, 'the named leader is not one of the configured nodes and is ignored')
  }
}
