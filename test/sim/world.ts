import type { NodeId } from '../../src/raft/core/index.ts'
import type { CoreConstructor, CoreNode, DriverCode } from '../support/core-node.ts'
import { EventQueue } from './event-queue.ts'
import type { Interventions } from './interventions.ts'
import type { WatchConstructor } from './leadership-watches.ts'
import type { LeaseConstructor } from './leases.ts'
import type { NodeClock } from './node-clock.ts'
import type { SimPlan } from './plan.ts'
import type { ProtocolTrace } from './protocol-trace.ts'
import type { SimRandom } from './random.ts'
import type { StateCode } from './replica.ts'
import type { TraceRecorder } from './trace.ts'
import type { PrimitivesCode } from './users/index.ts'
import type { StorageConstructor, Wal } from './wal.ts'

/** A deliberately broken driver or network, which the simulator must notice. */
export interface Sabotage {
  readonly core?: CoreConstructor
  readonly driver?: DriverCode
  /** Compacts the log before the snapshot that covers it is on the disk. */
  readonly compactsEarly?: boolean
  readonly Lease?: LeaseConstructor
  readonly Watch?: WatchConstructor
  readonly Storage?: StorageConstructor
  readonly state?: StateCode
  readonly primitives?: PrimitivesCode
}

/** One node and the machine under it. */
export interface SimNode {
  readonly node: CoreNode
  readonly clock: NodeClock
  pausedUntilUs: number
  mailbox: Array<() => void>
  isWriting: boolean
  /** The log as bytes; null where the disk is simulated entry by entry. */
  wal: Wal | null
  /** A bit of its log has changed. */
  isRotten: boolean
  /** Its log is damaged and was refused: it never starts again. */
  isLost: boolean
}

/** What all parts of a simulated run share: its plan, its chance, its time, its nodes. */
export class World {
  readonly plan: SimPlan
  readonly random: SimRandom
  readonly trace: TraceRecorder
  readonly interventions: Interventions
  readonly queue = new EventQueue()
  readonly nodes: SimNode[] = []
  /** Writes the steps of the cores for a checker outside of this project. */
  readonly protocolTrace: ProtocolTrace | null
  /** From then on nothing fails any more. */
  isHealed = false
  events = 0
  /** Set when an event may have resolved promises that others wait for. */
  hasPromises = false
  readonly #blocking: Array<Promise<void>> = []
  readonly #byId = new Map<NodeId, SimNode>()
  /** What broke while such a promise was followed. */
  failure: Error | null = null

  constructor (
    plan: SimPlan,
    random: SimRandom,
    interventions: Interventions,
    trace: TraceRecorder,
    protocolTrace: ProtocolTrace | null
  ) {
    this.plan = plan
    this.random = random
    this.interventions = interventions
    this.trace = trace
    this.protocolTrace = protocolTrace
  }

  get nowUs (): number {
    return this.queue.nowUs
  }

  get up (): readonly SimNode[] {
    return this.nodes.filter((sim) => sim.node.isUp)
  }

  get leaders (): readonly SimNode[] {
    return this.up.filter((sim) => sim.node.core.view.role === 'leader')
  }

  nodeOf (id: NodeId): SimNode {
    const known = this.#byId.get(id)
    if (known !== undefined) return known
    const sim = this.nodes.find(({ node }) => node.id === id)
    if (sim === undefined) throw new Error(`no node ${id}`)
    this.#byId.set(id, sim)
    return sim
  }

  note (...parts: ReadonlyArray<string | number | null>): void {
    this.trace.note(this.queue.nowUs, parts)
  }

  /** Hands something to a node, now or when its event loop runs again; never to a later start of it. */
  enter (sim: SimNode, run: () => void): void {
    if (!sim.node.isUp) return
    if (sim.pausedUntilUs > this.queue.nowUs) sim.mailbox.push(run)
    else run()
  }

  /** Runs events until something is the case; returns false when it was not by that time. */
  async runUntil (endUs: number, isDone: () => boolean = () => false): Promise<boolean> {
    while (!isDone()) {
      if (!this.queue.runNext(endUs)) return isDone()
      this.events++
      if (this.hasPromises) await this.settle()
    }
    return true
  }

  /** Nothing else happens before this is done: it must not wait for another event. */
  blockOn (work: Promise<void>): void {
    // It is waited for in its turn, which may come after it has failed.
    work.catch(() => {})
    this.#blocking.push(work)
    this.hasPromises = true
  }

  /** Lets what hangs on promises go on as far as it gets without another event: Node's ticks come after all of them. */
  async settle (): Promise<void> {
    this.hasPromises = false
    for (let work = this.#blocking.shift(); work !== undefined; work = this.#blocking.shift()) await work
    await new Promise<void>((resolve) => {
      process.nextTick(resolve)
    })
    if (this.failure !== null) throw this.failure
  }

  /** Intervenes again and again until all is healed, on average once per `meanUs`; never when that is 0. */
  repeatUntilHealed (kind: string, meanUs: number, intervene: (random: SimRandom) => void): void {
    if (meanUs === 0) return
    const timing = this.interventions.timing(kind)
    const next = (): void => {
      this.queue.after(timing.between(1, 2 * meanUs), () => {
        if (this.isHealed) return
        const random = this.interventions.next(kind)
        if (random !== null) intervene(random)
        next()
      })
    }
    next()
  }
}
