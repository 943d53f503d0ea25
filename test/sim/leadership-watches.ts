import type { NodeId } from '../../src/raft/core/index.ts'
import type { LeadershipNews } from '../../src/raft/driver/leadership-watch.ts'
import { LeadershipWatch } from '../../src/raft/driver/leadership-watch.ts'
import type { LeadershipLease } from '../../src/raft/driver/lease.ts'
import { watchTiming } from '../../src/raft/driver/timing.ts'
import type { Leadership } from '../../src/raft/engine.ts'
import { BrokenPromise } from './promise.ts'
import type { SimNode, World } from './world.ts'

/** The production watch, or a deliberately broken copy of it. */
export type WatchConstructor = new (...parameters: ConstructorParameters<typeof LeadershipWatch>) => LeadershipWatch

interface Watched {
  readonly watch: LeadershipWatch
  lookedAtUs: number
  /** Difference between the node's clocks at the last look. */
  clocksApartMs: number
  /** When the node last ran again after a stall, or noticed that a clock was set. */
  ranAgainAtUs: number
}

/**
 * Follows the leadership of every node as the driver does, with the production code on the clocks of that node, and
 * throws when work under it would be told something wrong.
 */
export class LeadershipWatches {
  readonly #world: World
  readonly #leaseOf: (id: NodeId) => LeadershipLease
  readonly #Watch: WatchConstructor
  readonly #watched = new Map<NodeId, Watched>()
  /** The highest token under which work has run anywhere. */
  #highest: { readonly token: number, readonly id: NodeId } | null = null
  suspensions = 0
  resumptions = 0

  constructor (world: World, leaseOf: (id: NodeId) => LeadershipLease, Watch: WatchConstructor = LeadershipWatch) {
    this.#world = world
    this.#leaseOf = leaseOf
    this.#Watch = Watch
  }

  /** The lease of a node's current start. */
  leaseOf (id: NodeId): LeadershipLease { return this.#leaseOf(id) }

  started ({ node, clock }: SimNode): void {
    const { tickUs, heartbeatTicks, electionTicksMax } = this.#world.plan
    this.#watched.set(node.id, {
      watch: new this.#Watch({
        lease: this.#leaseOf(node.id),
        monotonicMs: clock.monotonicMs,
        ...watchTiming({ tickMs: tickUs / 1_000, heartbeatTicks, electionTicksMax })
      }),
      lookedAtUs: this.#world.nowUs,
      clocksApartMs: clock.wallMs() - clock.monotonicMs(),
      ranAgainAtUs: this.#world.nowUs
    })
  }

  /** Looks as the driver does after each step, and returns the news. */
  look (sim: SimNode, leading: Leadership | null): readonly LeadershipNews[] {
    const watched = this.#watchedBy(sim.node.id)
    this.#noteStall(sim, watched)
    const news = watched.watch.look(leading, sim.node.core.leadershipLoss ?? 'deposed')
    for (const { kind, leadership } of news) {
      if (kind === 'suspended') this.suspensions++
      if (kind === 'resumed') this.resumptions++
      if (kind === 'started' || kind === 'resumed') this.#holds(sim, leadership)
    }
    this.#checkOpen(sim, watched)
    return news
  }

  takeWantsRound ({ node }: SimNode): boolean {
    return this.#watchedBy(node.id).watch.takeWantsRound()
  }

  get #heartbeatUs (): number {
    const { heartbeatTicks, tickUs } = this.#world.plan
    return heartbeatTicks * tickUs
  }

  #watchedBy (id: NodeId): Watched {
    const watched = this.#watched.get(id)
    if (watched === undefined) throw new Error(`${id} never started`)
    return watched
  }

  #noteStall ({ clock }: SimNode, watched: Watched): void {
    const { nowUs } = this.#world
    const apartMs = clock.wallMs() - clock.monotonicMs()
    const hasStalled = nowUs - watched.lookedAtUs > 1.1 * this.#world.plan.tickUs
    if (hasStalled || Math.abs(apartMs - watched.clocksApartMs) > 1) watched.ranAgainAtUs = nowUs
    watched.lookedAtUs = nowUs
    watched.clocksApartMs = apartMs
  }

  /** A leadership that starts or goes on: no other node has led since it began. */
  #holds ({ node: { id } }: SimNode, { token }: Leadership): void {
    if (this.#highest !== null && this.#highest.token > token) {
      throw new BrokenPromise(
        'leaderships go on only without a gap',
        `${id} goes on under token ${token} although ${this.#highest.id} has led under ${this.#highest.token}`
      )
    }
    if (this.#highest?.token !== token) this.#highest = { token, id }
  }

  /**
   * Work goes on under a token that may have been replaced only while a majority is asked: never on a node that has run
   * all the time, and elsewhere for two rounds of heartbeats.
   */
  #checkOpen ({ node: { id }, clock }: SimNode, { watch: { leadership }, ranAgainAtUs }: Watched): void {
    if (leadership === null || this.#highest === null || this.#highest.token <= leadership.token) return
    const { nowUs, plan } = this.#world
    const runsForUs = nowUs - ranAgainAtUs
    if (runsForUs <= (2 * this.#heartbeatUs + plan.tickUs) / clock.rate) return
    throw new BrokenPromise(
      'work ends with its leadership',
      `${id} goes on under token ${leadership.token} after it ran for ${runsForUs} us, although ${this.#highest.id} ` +
        `has led under ${this.#highest.token}`
    )
  }
}
