import type { Output } from '../../src/raft/core/index.ts'
import type { CoreNode, CrashPoint } from '../support/core-node.ts'
import type { Checker } from './checker.ts'
import type { Leases } from './leases.ts'
import { BrokenPromise } from './promise.ts'
import { SimRandom } from './random.ts'
import type { Replicas } from './replicas.ts'
import type { StorageConstructor } from './wal.ts'
import { Wal } from './wal.ts'
import type { SimNode, World } from './world.ts'

/** A crash after which no unconfirmed write is left. */
const nothingMore: CrashPoint = { completeWrites: 0, tornEntries: null }
/** How often the others try a node that has crashed: until they have elected another one, or almost. */
const refusalsOfCrashed = 10
const nothingNew = { write: null, compactThrough: null }

/**
 * The machines under the nodes: starts and crashes, clocks that drift, event loops that stall, disks that take their
 * time.
 */
export class Machines {
  readonly #world: World
  readonly #checker: Checker
  readonly #leases: Leases
  readonly #replicas: Replicas
  readonly #retired = new Set<SimNode>()
  crashes = 0
  /** Nodes that stopped because their disk failed. */
  halts = 0

  constructor (world: World, checker: Checker, leases: Leases, replicas: Replicas) {
    this.#world = world
    this.#checker = checker
    this.#leases = leases
    this.#replicas = replicas
  }

  /** Ends a node for good: a start that was planned does not happen. */
  retire (sim: SimNode, random: SimRandom): void {
    this.#retired.add(sim)
    this.crash(sim, random)
  }

  /** Starts a node; one whose log was refused stays down, and one with a log is up before the next event. */
  start (sim: SimNode): void {
    const { wal, node } = sim
    if (sim.isLost || node.isUp || this.#retired.has(sim)) return
    if (wal === null) {
      this.#started(sim)
      return
    }
    this.#world.blockOn(wal.open().then(({ base, hardState, entries }) => {
      node.disk = { ...node.disk, base, hardState, entries: [...entries] }
      this.#started(sim)
    }, (error: unknown) => { this.#refused(sim, error) }))
  }

  #refused (sim: SimNode, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? error.code : null
    this.#world.note('refused', sim.node.id, String(code))
    if (code === 'RAFT_WAL_CORRUPT' && sim.isRotten) sim.isLost = true
    else if (sim.wal?.isFull === true) {
      this.#world.queue.after(this.#world.plan.faults.fullForUs, () => { this.start(sim) })
    } else if (code === 'RAFT_WAL_CORRUPT') {
      throw new BrokenPromise('an undamaged log opens', `${sim.node.id}: ${String(error)}`)
    } else throw error
  }

  /** The log has failed for good: the node stops, and is started again later. */
  #halt (sim: SimNode): void {
    const { plan, queue } = this.#world
    if (!sim.node.isUp) return
    this.#world.note('disk failed', sim.node.id)
    this.halts++
    this.#stop(sim, nothingMore, false)
    queue.after(plan.faults.downUs, () => { this.start(sim) })
  }

  /** The log of a node on a disk of its own. */
  createWal (sim: SimNode, Storage: StorageConstructor | undefined): Wal {
    const { node } = sim
    return new Wal({
      world: this.#world,
      node,
      random: new SimRandom(node.config.seed, 'disk'),
      Storage,
      writeUs: () => this.#writeUs(),
      persisted: (writeId) => {
        this.#world.enter(sim, () => { node.persist(node.pendingWrites.findIndex(({ id }) => id === writeId) + 1) })
      },
      failed: () => { this.#halt(sim) }
    })
  }

  /**
   * A node crashes, and while it is down a bit of its log changes. Only so many nodes that the others keep a quorum.
   */
  rot (sim: SimNode, random: SimRandom): void {
    const { nodes, plan } = this.#world
    const most = Math.floor((plan.size - 1) / 2)
    if (sim.wal === null || plan.membership.configureUs > 0 || !sim.node.isUp) return
    if (!sim.isRotten && nodes.filter(({ isRotten }) => isRotten).length >= most) return
    this.crashAndRestart(sim, random)
    this.#world.note('rot', sim.node.id)
    sim.isRotten = true
    this.#world.blockOn(sim.wal.settled().then(() => { sim.wal?.rot(random) }))
  }

  fillDisk (sim: SimNode, forUs: number): void {
    const { wal } = sim
    if (wal === null) return
    this.#world.note('disk full', sim.node.id, forUs)
    wal.isFull = true
    this.#world.queue.after(forUs, () => { wal.isFull = false })
  }

  #started (sim: SimNode): void {
    this.#world.note('start', sim.node.id)
    sim.pausedUntilUs = 0
    sim.mailbox = []
    sim.isWriting = false
    sim.clock.resume()
    sim.node.start()
    this.#checker.started(sim.node)
    this.#leases.started(sim.node, sim.clock)
    this.#replicas.started(sim)
    this.#world.protocolTrace?.started(sim.node)
  }

  scheduleTick (sim: SimNode): void {
    const { queue, plan } = this.#world
    queue.after(Math.round(plan.tickUs / sim.clock.rate), () => {
      // A stalled event loop loses ticks: a timer does not make up for them.
      if (sim.node.isUp && sim.pausedUntilUs <= queue.nowUs) {
        sim.node.tick()
        this.#replicas.ticked(sim)
      }
      this.scheduleTick(sim)
    })
  }

  crash (sim: SimNode, random: SimRandom): void {
    const { node } = sim
    if (!node.isUp) return
    const completeWrites = random.chance(0.5) ? 0 : random.between(0, node.pendingWrites.length)
    const tornEntries = random.chance(0.5) ? null : random.between(0, 3)
    this.#world.note('crash', node.id, completeWrites, tornEntries)
    this.crashes++
    // What is left of a log follows from its bytes.
    this.#stop(sim, sim.wal === null ? { completeWrites, tornEntries } : nothingMore, random.chance(0.7))
  }

  #stop (sim: SimNode, point: CrashPoint, withPowerCut: boolean): void {
    const { node, wal } = sim
    const inDoubt = [...node.pendingWrites]
    node.crash(point)
    wal?.crash(inDoubt, withPowerCut)
    this.#checker.crashed(node)
    this.#leases.crashed(node)
    this.#replicas.crashed(sim)
    this.#refuseWhileDown(sim)
  }

  crashAndRestart (sim: SimNode, random: SimRandom): void {
    const world = this.#world
    if (!sim.node.isUp) return
    this.crash(sim, random)
    world.queue.after(random.between(1, world.plan.faults.downUs), () => {
      if (!sim.node.isUp && !world.isHealed) this.start(sim)
    })
  }

  /**
   * Connections to a node are refused to some of the others for a while: they try one every heartbeat interval.
   */
  refuseConnections (refused: SimNode, informed: readonly SimNode[], forUs: number): void {
    const world = this.#world
    const { heartbeatTicks, tickUs } = world.plan
    world.note('refused connections', refused.node.id, forUs, ...informed.map(({ node }) => node.id))
    for (let afterUs = 0; afterUs <= forUs; afterUs += heartbeatTicks * tickUs) {
      world.queue.after(afterUs, () => {
        for (const sim of informed) this.#tellOfRefusal(sim, refused)
      })
    }
  }

  #tellOfRefusal (sim: SimNode, { node: { id } }: SimNode): void {
    if (sim.node.id !== id) this.#world.enter(sim, () => { sim.node.connectionRefused(id) })
  }

  /** The host of a process that has ended refuses connections to it until it runs again. */
  #refuseWhileDown (crashed: SimNode): void {
    const { nodes, plan: { faults, heartbeatTicks, tickUs }, queue } = this.#world
    if (faults.refusalUs === 0) return
    const { starts } = crashed.node
    const tell = (left: number): void => {
      if (left === 0 || crashed.node.starts !== starts) return
      for (const sim of nodes) this.#tellOfRefusal(sim, crashed)
      queue.after(heartbeatTicks * tickUs, () => { tell(left - 1) })
    }
    queue.after(heartbeatTicks * tickUs, () => { tell(refusalsOfCrashed) })
  }

  /** The process stands still for a while; suspended, its monotonic clock does, too. */
  pause (sim: SimNode, forUs: number, isSuspended = false): void {
    const { queue } = this.#world
    if (!sim.node.isUp || sim.pausedUntilUs > queue.nowUs) return
    this.#world.note(isSuspended ? 'suspend' : 'pause', sim.node.id, forUs)
    const { starts } = sim.node
    sim.pausedUntilUs = queue.nowUs + forUs
    if (isSuspended) sim.clock.suspend()
    queue.after(forUs, () => {
      if (!sim.node.isUp || sim.node.starts !== starts) return
      sim.clock.resume()
      const { mailbox } = sim
      sim.mailbox = []
      // One of them may be what the node crashes at.
      for (const run of mailbox) if (sim.node.isUp && sim.node.starts === starts) run()
    })
  }

  /** The disk takes all waiting writes as one group; the next group starts when it is done. */
  startDisk (node: CoreNode, output: Pick<Output, 'write' | 'compactThrough'>): void {
    const world = this.#world
    const sim = world.nodeOf(node.id)
    if (sim.wal !== null) {
      if (output.write !== null) sim.wal.write(output.write)
      if (output.compactThrough !== null) sim.wal.compact(output.compactThrough)
      return
    }
    const { starts } = node
    if (sim.isWriting || node.pendingWrites.length === 0) return
    if (world.plan.disk.isImmediate) {
      node.persist(node.pendingWrites.length)
      return
    }
    sim.isWriting = true
    const count = node.pendingWrites.length
    world.queue.after(this.#writeUs(), () => {
      if (node.starts !== starts) return
      world.enter(sim, () => {
        sim.isWriting = false
        node.persist(world.random.between(1, count))
        this.startDisk(node, nothingNew)
      })
    })
  }

  #writeUs (): number {
    const { plan: { disk }, random, isHealed } = this.#world
    if (isHealed) return random.between(0, 500)
    const stallUs = random.chance(disk.stalls) ? disk.stallUs : 0
    return random.between(disk.minUs, Math.max(disk.minUs, disk.maxUs)) + stallUs
  }
}
