import type { FastifyInstance } from 'fastify'
import type { ClusterOptions, Member } from '../plugin/index.ts'
import type { NodeEnvironment } from '../plugin/internal.ts'
import { environmentKey } from '../plugin/internal.ts'
import { MemorySnapshotStore, MemoryStorage } from '../raft/index.ts'
import type { VirtualNetwork } from './virtual-network.ts'
import type { CopyTime, VirtualTime } from './virtual-time.ts'

/** Longest virtual time in which a killed copy comes to its end, in milliseconds. */
const runOutMs = 600_000

/** What the application of one copy is made with. */
export interface CopySetup {
  /** Id of the copy: `n1`, `n2` and so on. */
  readonly id: string
  /**
   * What the plugin is registered with, or a spread of it with further options. Without it the application would look
   * for the other copies on the network of this machine, in real time.
   */
  readonly options: ClusterOptions
}

/** What a copy is made from. */
interface CopyParts<App extends FastifyInstance> {
  readonly id: string
  readonly members: readonly Member[]
  readonly createApp: (setup: CopySetup) => App | Promise<App>
  readonly time: VirtualTime
  readonly network: VirtualNetwork
  readonly random: () => number
}

/** One copy of the application over all its starts. Its log outlives them, as a disk does. */
export class Copy<App extends FastifyInstance> {
  readonly id: string
  readonly #parts: CopyParts<App>
  readonly #memory = { storage: new MemoryStorage(), snapshots: new MemorySnapshotStore({ keep: 1 }) }
  #time: CopyTime
  #app: App | null = null
  #wallOffsetMs = 0

  constructor (parts: CopyParts<App>) {
    const { id, members, time, network } = parts
    this.id = id
    this.#parts = parts
    this.#time = time.createCopy()
    network.add(id, members.find((member) => member.id === id)?.url ?? '', () => this.#time)
  }

  /** The application that runs now. Throws while none does. */
  get app (): App {
    if (this.#app === null) throw new Error(`the copy ${this.id} does not run`)
    return this.#app
  }

  get isRunning (): boolean {
    return this.#app !== null
  }

  /** Makes the application, and lets it be reached. It is not ready yet. */
  async create (): Promise<App> {
    if (this.#app !== null) throw new Error(`the copy ${this.id} runs already`)
    const { id, members, createApp, network, random } = this.#parts
    const environment: NodeEnvironment = {
      clock: this.#time,
      timers: this.#time,
      random,
      connector: network.connectorOf(id),
      memory: this.#memory
    }
    const options = { id, members: [...members], [environmentKey]: environment }
    network.restore(id)
    this.#app = await createApp({ id, options })
    network.listen(id, this.#app.server)
    return this.#app
  }

  /** The application has closed. */
  ended (): void {
    this.#parts.network.remove(this.id)
    this.#app = null
    this.#renewTime()
  }

  /**
   * Cuts the copy off for good, and then lets what is left of it come to its end, in time of its own. The code of the
   * application cannot be stopped within one process: it is told as when it closes.
   */
  async kill (): Promise<void> {
    const { app } = this
    this.#app = null
    this.#parts.network.remove(this.id)
    const time = this.#time
    this.#renewTime()
    await time.runOut(app.close(), runOutMs)
  }

  setPaused (isPaused: boolean): void {
    this.#time.setPaused(isPaused)
    this.#parts.network.setPaused(this.id, isPaused)
  }

  /** Sets the wall clock of the copy, for its later starts as well. */
  moveWallClock (byMs: number): void {
    this.#wallOffsetMs += byMs
    this.#time.moveWall(byMs)
  }

  #renewTime (): void {
    this.#parts.time.drop(this.#time)
    this.#time = this.#parts.time.createCopy()
    this.#time.moveWall(this.#wallOffsetMs)
    this.#parts.network.setPaused(this.id, false)
  }
}
