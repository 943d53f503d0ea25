import type { LeaderInfo, Logger, TlsSource } from '../../raft/index.ts'
import { ClockReadings, KnownNonces, plainTls, Prover } from '../../raft/internal.ts'
import type { LeaderSource } from '../forward/types.ts'
import type { AdminHeaders } from '../options/admin-headers.ts'
import { originOf } from '../options/node-url.ts'
import type { Seed } from '../options/seed.ts'
import type { ClusterChoice } from './cluster-choice.ts'
import { chooseCluster } from './cluster-choice.ts'
import { nodesToFollow } from './followed-members.ts'
import type { NodeView } from './node-probe.ts'
import { NodeProbe } from './node-probe.ts'
import type { FoundNode } from './seeds.ts'
import { Seeds } from './seeds.ts'

/** Options of a {@link LeaderTracker}. Durations are milliseconds. */
interface LeaderTrackerOptions {
  /** Where nodes are found. */
  readonly nodes: readonly Seed[]
  /** Whether members are followed that no seed leads to. Default: they are. */
  readonly followMembers?: boolean
  /** Pause between two looks at the DNS. Default 5000. */
  readonly dnsIntervalMs?: number
  /** Name servers. Default: those of the machine. */
  readonly dnsServers?: readonly string[]
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
  /** Told of a node that nothing goes to any more. */
  readonly onForgotten?: (url: string) => void
  /** Gets what the clocks of leaders show, by their origins. */
  readonly clocks?: ClockReadings
  readonly logger?: Logger
}

/** A node as a gateway sees it. */
export interface TrackedNode extends Omit<NodeView, 'membership'> {
  /** How the gateway came to know of it: its URL was configured, the DNS named it, or the members did. */
  readonly source: FoundNode['source']
  /** Whether it belongs to another cluster than the others: nothing goes there. */
  readonly isForeign: boolean
}

/** A node that is followed. */
interface Followed {
  readonly node: FoundNode
  readonly probe: NodeProbe
}

/**
 * Follows a cluster from outside: who leads, who belongs, and who takes requests. Every node is followed by itself
 * ({@link NodeProbe}), so that a dead one delays no other. The claim with the highest term among the nodes that answer
 * wins: at most one node leads in a term (Raft section 5.2), and the leader of a lower term leads no more.
 *
 * What a node says of the leader never becomes an address: a claim is matched with the nodes that are followed, by the
 * identity that each of them gave in its own `raft-node` answers, else by its URL. One that matches none is ignored.
 * Only what a node of the right cluster says of the members does ({@link nodesToFollow}). Redirects are not followed.
 */
export class LeaderTracker implements LeaderSource {
  readonly #options: LeaderTrackerOptions
  readonly #seeds: Seeds
  readonly #followed = new Map<string, Followed>()
  readonly #listeners = new Set<() => void>()
  readonly #pollMs: number
  readonly #searchPollMs: number
  readonly #logger: Logger | undefined
  #choice: ClusterChoice = { kind: 'open' }
  #leader: LeaderInfo | null = null
  #ignoredClaim = ''
  /** What was said of foreign nodes, so that each is named once. */
  #foreign = ''
  #isOutOfReach = false
  #isRunning = false
  /** How often another leader was found. */
  leaderChanges = 0

  constructor (options: LeaderTrackerOptions) {
    this.#options = options
    this.#pollMs = options.pollMs
    this.#searchPollMs = Math.min(this.#pollMs, options.searchPollMs ?? 50)
    this.#logger = options.logger
    this.#seeds = new Seeds({
      seeds: options.nodes,
      dnsIntervalMs: options.dnsIntervalMs ?? 5_000,
      dnsServers: options.dnsServers ?? [],
      onChange: () => { this.#changed() },
      logger: options.logger
    })
    this.#follow(this.#seeds.nodes())
  }

  readonly current = (): LeaderInfo | null => this.#leader

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** Looks at the DNS that have failed. */
  get dnsFailures (): number {
    return this.#seeds.failureCount
  }

  /** Whether the seeds are of several clusters, and it cannot be told which one is meant. */
  get hasConflict (): boolean {
    return this.#choice.kind === 'conflict'
  }

  /** The nodes, seeds first. */
  nodes (): readonly TrackedNode[] {
    return [...this.#followed.values()].map(({ node: { source }, probe: { view: { membership: _, ...view } } }) =>
      ({ ...view, source, isForeign: !this.#isOfCluster(view) }))
  }

  /** Whether the node at a URL has answered its last probe. */
  isReachable (url: string): boolean {
    return this.#followed.get(url)?.probe.view.reachable === true
  }

  /** UUID of the cluster of the node at a URL, as it last said; undefined while it has not. */
  clusterUuidOf (url: string): string | undefined {
    return this.#followed.get(url)?.probe.view.clusterUuid ?? undefined
  }

  /** The name that the certificate of the node at a URL has to have, when that is not its host. */
  serverNameOf (url: string): string | null {
    return this.#followed.get(url)?.node.serverName ?? null
  }

  /** How long the node at a URL takes to answer probes, in milliseconds; Infinity while that is not known. */
  latencyMsOf (url: string): number {
    return this.#followed.get(url)?.probe.view.latencyMs ?? Infinity
  }

  /** URLs of the nodes that say they are ready. */
  ready (): readonly string[] {
    return this.#usable().filter((view) => view.ready).map((view) => view.url)
  }

  /**
   * A request to this node failed: it counts as out of reach until it answers again, and all nodes are asked at once.
   */
  suspect (url: string): void {
    this.#followed.get(originOf(url) ?? '')?.probe.suspect()
    this.refresh()
  }

  /** Asks all nodes at once. */
  refresh (): void {
    for (const { probe } of this.#followed.values()) probe.refresh()
  }

  start (): void {
    this.#isRunning = true
    this.#seeds.start()
    for (const { probe } of this.#followed.values()) probe.start()
  }

  async stop (): Promise<void> {
    this.#isRunning = false
    this.#seeds.stop()
    await Promise.all([...this.#followed.values()].map(async ({ probe }) => { await probe.stop() }))
  }

  /** Spread by a tenth, so that gateways started together do not ask together. */
  #pauseMs (): number {
    return (this.#leader === null ? this.#searchPollMs : this.#pollMs) * (0.9 + Math.random() * 0.2)
  }

  #views (): NodeView[] {
    return [...this.#followed.values()].map(({ probe }) => probe.view)
  }

  #isOfCluster ({ clusterUuid }: Pick<NodeView, 'clusterUuid'>): boolean {
    return clusterUuid === null || (this.#choice.kind === 'chosen' && this.#choice.uuid === clusterUuid)
  }

  /** The nodes of the cluster that requests may go to. */
  #usable (): NodeView[] {
    return this.#views().filter((view) => this.#isOfCluster(view))
  }

  #changed (): void {
    const seeds = this.#seeds.nodes()
    const seedViews = seeds.map(({ url }) =>
      this.#followed.get(url)?.probe.view ?? { clusterUuid: null, hasTried: false })
    this.#choice = chooseCluster(seedViews, this.#choice.kind === 'chosen' ? this.#choice.uuid : null)
    const uuid = this.#choice.kind === 'chosen' ? this.#choice.uuid : null
    this.#follow(this.#options.followMembers === false ? seeds : nodesToFollow(seeds, this.#views(), uuid))
    this.#noteForeign()
    this.#noteReach()
    const before = this.#leader
    this.#leader = this.#choose()
    if (before?.url !== this.#leader?.url || before?.term !== this.#leader?.term) {
      if (this.#leader !== null) this.leaderChanges++
      this.#logger?.info({ leader: this.#leader }, this.#leader === null ? 'no leader is known' : 'leader is known')
    }
    for (const listener of [...this.#listeners]) listener()
  }

  /** Begins with those that are new, and ends with those that are none of these. */
  #follow (nodes: readonly FoundNode[]): void {
    const urls = new Map(nodes.map((node) => [node.url, node]))
    for (const [url, { node, probe }] of this.#followed) {
      if (urls.get(url)?.serverName === node.serverName) continue
      this.#followed.delete(url)
      this.#logger?.info({ url, id: probe.view.id }, 'a node is followed no more')
      probe.stop().catch((err: unknown) => { this.#logger?.error({ err, url }, 'a node could not be left in order') })
      this.#options.onForgotten?.(url)
    }
    for (const node of nodes) {
      const { url } = node
      const known = this.#followed.get(url)
      const probe = known?.probe ?? this.#probeOf(node)
      // A name may have begun to stand for a member, or no longer do so.
      this.#followed.set(url, { node, probe })
      if (known !== undefined || !this.#isRunning) continue
      this.#logger?.info({ url, source: node.source }, 'a node is followed')
      probe.start()
    }
  }

  #probeOf ({ url, serverName }: FoundNode): NodeProbe {
    const { prover = Prover.ofGateway('', null), nonces = new KnownNonces(), ...options } = this.#options
    const { clocks = new ClockReadings() } = options
    return new NodeProbe({
      url,
      serverName,
      prefix: options.prefix,
      timeoutMs: options.pollTimeoutMs,
      tls: options.tls ?? plainTls,
      adminHeaders: options.adminHeaders ?? {},
      prover,
      nonces,
      clocks,
      pauseMs: () => this.#pauseMs(),
      onChange: () => { if (this.#isRunning) this.#changed() },
      logger: options.logger
    })
  }

  #choose (): LeaderInfo | null {
    const claims = this.#usable()
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

  #match (claim: LeaderInfo): NodeView | null {
    const nodes = this.#usable()
    const origin = originOf(claim.url)
    return nodes.find((node) => node.id === claim.id) ?? nodes.find((node) => node.url === origin) ?? null
  }

  #ignore (claim: LeaderInfo): void {
    const text = `${claim.id} ${claim.url}`
    if (text === this.#ignoredClaim) return
    this.#ignoredClaim = text
    this.#logger?.warn({ claim }, 'the named leader is none of the nodes that are followed, and is ignored')
  }

  /** Names the nodes of other clusters, and both clusters. Said once, until it changes. */
  #noteForeign (): void {
    const foreign = this.#choice.kind === 'open' ? [] : this.#views().filter((view) => !this.#isOfCluster(view))
    const text = foreign.map(({ url, clusterUuid }) => `${url} ${clusterUuid}`).join(' ')
    if (text === this.#foreign) return
    this.#foreign = text
    if (foreign.length === 0) return
    const named = (views: readonly NodeView[]): object[] => views.map(({ url, id, clusterId, clusterUuid }) =>
      ({ url, id, clusterId, clusterUuid }))
    if (this.#choice.kind === 'conflict') {
      this.#logger?.error({ nodes: named(foreign) }, 'the nodes belong to different clusters, and none of these has ' +
        'most of them: nothing is passed on. Give each cluster a gateway of its own')
    } else {
      this.#logger?.error({ cluster: this.#choice.kind === 'chosen' ? this.#choice.uuid : null, nodes: named(foreign) },
        'these nodes belong to another cluster than the others: nothing goes there')
    }
  }

  /** Said once when no node can be reached any more, and when one can again. */
  #noteReach (): void {
    const views = this.#views()
    const isOutOfReach = this.#seeds.haveTried && views.every(({ hasTried, reachable }) => hasTried && !reachable)
    if (isOutOfReach === this.#isOutOfReach || (this.#isOutOfReach && !views.some(({ reachable }) => reachable))) return
    this.#isOutOfReach = isOutOfReach
    if (isOutOfReach) {
      this.#logger?.warn({ nodes: views.map(({ url }) => url) }, 'no node can be reached: requests wait for one, and ' +
        'are answered 503')
    } else {
      this.#logger?.info({}, 'a node can be reached again')
    }
  }
}
