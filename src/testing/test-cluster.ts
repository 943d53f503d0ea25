import type { FastifyInstance } from 'fastify'
import { isRaftError } from '../raft/index.ts'
import type { CopySetup } from './test-copy.ts'
import { Copy } from './test-copy.ts'
import { VirtualNetwork } from './virtual-network.ts'
import { VirtualTime } from './virtual-time.ts'

/** How the copies of an application are made. */
export interface TestClusterOptions<App extends FastifyInstance> {
  /**
   * Makes the application of one copy, at each start of it. It registers the plugin with the options that it is given,
   * and does not listen.
   */
  readonly createApp: (setup: CopySetup) => App | Promise<App>
  /** How many copies there are; 3 when left out, 9 at most. */
  readonly copies?: number
  /** What the wall clocks of all copies show at the start; noon of the first day of 2026, UTC, when left out. */
  readonly startsAt?: Date
  /** Decides what is left to chance, such as who is elected first; 1 when left out. */
  readonly seed?: number
}

/** Bounds a wait. */
export interface VirtualWait {
  /** Virtual time that may pass, in milliseconds; a minute when left out. */
  readonly withinMs?: number
}

const defaultWaitMs = 60_000
const maxCopies = 9
/** No socket is ever opened there. */
const firstPort = 4_001

/**
 * Copies of one application in this process. They speak HTTP with each other over connections in memory, and their time
 * stands still unless a call of this object moves it. Calls that move time wait for each other.
 */
export interface TestCluster<App extends FastifyInstance = FastifyInstance> extends AsyncDisposable {
  /** Virtual time since the start, in milliseconds. */
  readonly nowMs: number
  /** Ids of all copies, running or not. */
  readonly ids: readonly string[]
  /** The applications that run, by the ids of their copies. */
  readonly apps: ReadonlyMap<string, App>
  /** The application of a copy. Throws when there is no such copy, or it does not run. */
  readonly app: (id: string) => App
  /** Id of the copy that leads, with a lease that holds; null while none does. */
  readonly leader: string | null
  /** Lets so much virtual time pass: timers fall due, leases lapse, copies elect. In milliseconds. */
  readonly advance: (byMs: number) => Promise<void>
  /** Lets time pass until the condition holds. Rejects when it does not within the bound. */
  readonly until: (condition: () => boolean, options?: VirtualWait) => Promise<void>
  /**
   * Lets time pass until the promise has settled, and resolves or rejects as it does. Rejects when it has not within
   * the bound. What waits for the world outside, for a real timer or a database, is awaited before.
   */
  readonly run: <T>(work: Promise<T>, options?: VirtualWait) => Promise<T>
  /** Starts a copy that was stopped or killed, with the log that it had. */
  readonly start: (id: string) => Promise<App>
  /** Makes a copy the leader: it is elected, or leadership is handed over to it. Resolves when it leads. */
  readonly elect: (id: string) => Promise<void>
  /** Closes the application of a copy in order, as a deployment does: leadership moves, requests end. */
  readonly stop: (id: string) => Promise<void>
  /**
   * The copy is gone from one moment to the next: its connections are reset, and nothing that it still does reaches
   * anybody. No virtual time passes. Its own code cannot be stopped within this process: signals tell it.
   */
  readonly kill: (id: string) => Promise<void>
  /** Stops the timers of a copy and all that goes to it and comes from it, as a suspended process. Its clocks go on. */
  readonly pause: (id: string) => void
  /** A paused copy goes on: what fell due meanwhile is done late. */
  readonly resume: (id: string) => void
  /** Parts the network into these groups of copies; one that is in none of them is alone. */
  readonly partition: (...groups: ReadonlyArray<readonly string[]>) => void
  /** Ends a partition. */
  readonly heal: () => void
  /** Sets the wall clock of a copy forwards, or backwards when it is negative. Milliseconds. */
  readonly moveWallClock: (id: string, byMs: number) => void
  /** Ends everything, whatever state it is in. To be called at the end of each test. */
  readonly close: () => Promise<void>
}

/** The copies behind {@link createTestCluster}. */
class Copies<App extends FastifyInstance> implements TestCluster<App> {
  readonly #time: VirtualTime
  readonly #network: VirtualNetwork
  readonly #copies: ReadonlyMap<string, Copy<App>>

  constructor ({ createApp, copies = 3, startsAt, seed = 1 }: TestClusterOptions<App>) {
    if (!Number.isInteger(copies) || copies < 1 || copies > maxCopies) {
      throw new RangeError(`copies is a whole number from 1 to ${maxCopies}`)
    }
    this.#time = new VirtualTime((startsAt ?? new Date('2026-01-01T12:00:00Z')).getTime())
    this.#network = new VirtualNetwork(this.#time)
    const members = Array.from({ length: copies }, (_, index) => (
      { id: `n${index + 1}`, url: `http://127.0.0.1:${firstPort + index}` }
    ))
    const parts = { members, createApp, time: this.#time, network: this.#network, random: randomFrom(seed) }
    this.#copies = new Map(members.map(({ id }) => [id, new Copy({ ...parts, id })]))
  }

  get nowMs (): number {
    return this.#time.nowMs
  }

  get ids (): readonly string[] {
    return [...this.#copies.keys()]
  }

  get apps (): ReadonlyMap<string, App> {
    return new Map([...this.#copies].filter(([, { isRunning }]) => isRunning).map(([id, { app }]) => [id, app]))
  }

  app (id: string): App {
    return this.#copy(id).app
  }

  get leader (): string | null {
    for (const [id, { cluster }] of this.apps) if (cluster.isLeader) return id
    return null
  }

  async advance (byMs: number): Promise<void> {
    if (!(byMs >= 0 && byMs < Infinity)) throw new RangeError('advance takes a number of milliseconds, at least 0')
    await this.#time.pass((startMs) => startMs + byMs, () => false)
  }

  async until (condition: () => boolean, { withinMs = defaultWaitMs }: VirtualWait = {}): Promise<void> {
    await this.#time.pass((startMs) => startMs + withinMs, condition)
    if (!condition()) throw new Error(`the condition does not hold after ${withinMs} ms of virtual time`)
  }

  async run<T> (work: Promise<T>, { withinMs = defaultWaitMs }: VirtualWait = {}): Promise<T> {
    let isSettled = false
    const settled = (): void => { isSettled = true }
    work.then(settled, settled)
    await this.#time.pass((startMs) => startMs + withinMs, () => isSettled)
    if (!isSettled) throw new Error(`the promise has not settled after ${withinMs} ms of virtual time`)
    return await work
  }

  async start (id: string): Promise<App> {
    const app = await this.run(this.#copy(id).create())
    await this.run(Promise.resolve(app.ready()))
    return app
  }

  async elect (id: string): Promise<void> {
    const { cluster } = this.app(id)
    await this.until(() => this.leader !== null)
    for (let attempt = 1; !cluster.isLeader; attempt++) {
      const leader = this.leader
      try {
        if (leader !== null) await this.run(this.app(leader).cluster.transferLeadership(id))
        await this.until(() => cluster.isLeader)
      } catch (error) {
        // It may lag, or another transfer may be under way.
        if (!isRaftError(error) || attempt === maxTransfers) throw error
        await this.advance(transferPauseMs)
      }
    }
  }

  async stop (id: string): Promise<void> {
    const copy = this.#copy(id)
    await this.run(copy.app.close())
    copy.ended()
  }

  async kill (id: string): Promise<void> {
    await this.#copy(id).kill()
  }

  pause (id: string): void {
    this.#running(id).setPaused(true)
  }

  resume (id: string): void {
    this.#running(id).setPaused(false)
  }

  partition (...groups: ReadonlyArray<readonly string[]>): void {
    for (const id of groups.flat()) this.#copy(id)
    this.#network.part(groups)
  }

  heal (): void {
    this.#network.heal()
  }

  moveWallClock (id: string, byMs: number): void {
    this.#copy(id).moveWallClock(byMs)
  }

  async close (): Promise<void> {
    this.heal()
    for (const copy of this.#copies.values()) if (copy.isRunning) await copy.kill()
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await this.close()
  }

  /** Starts all copies at once, and waits for their first leader. */
  async startAll (): Promise<void> {
    const apps = await this.run(Promise.all([...this.#copies.values()].map(async (copy) => await copy.create())))
    await this.run(Promise.all(apps.map(async (app) => { await app.ready() })))
    await this.until(() => {
      const leader = this.leader
      const isKnown = ({ cluster }: App): boolean => cluster.leader?.id === leader && cluster.membership.isSettled
      return leader !== null && apps.every(isKnown)
    })
  }

  #copy (id: string): Copy<App> {
    const copy = this.#copies.get(id)
    if (copy === undefined) throw new Error(`there is no copy ${id}: there are ${this.ids.join(', ')}`)
    return copy
  }

  #running (id: string): Copy<App> {
    const copy = this.#copy(id)
    if (!copy.isRunning) throw new Error(`the copy ${id} does not run`)
    return copy
  }
}

const maxTransfers = 10
const transferPauseMs = 200

/**
 * Starts copies of one application in this process and elects a leader. Resolves when all copies know it.
 *
 * ```ts
 * const copies = await createTestCluster({
 *   createApp: async ({ options }) => {
 *     const app = Fastify()
 *     await app.register(cluster, options)
 *     return app
 *   }
 * })
 * await copies.elect('n1')
 * await copies.kill('n1')
 * await copies.until(() => copies.leader !== null)
 * await copies.close()
 * ```
 */
export async function createTestCluster<App extends FastifyInstance> (
  options: TestClusterOptions<App>
): Promise<TestCluster<App>> {
  const copies = new Copies(options)
  try {
    await copies.startAll()
    return copies
  } catch (error) {
    await copies.close()
    throw error
  }
}

/** Numbers from 0 on and below 1, the same ones for the same seed: mulberry32. */
function randomFrom (seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
