import type { CoreNode } from '../support/core-node.ts'
import type { Checker } from './checker.ts'
import type { Leases } from './leases.ts'
import type { SimRandom } from './random.ts'
import type { Replicas } from './replicas.ts'
import type { SimNode, World } from './world.ts'

/** The machines under the nodes: starts and crashes, clocks that drift, event loops that stall, disks that take their time. */
export class Machines {
  readonly #world: World
  readonly #checker: Checker
  readonly #leases: Leases
  readonly #replicas: Replicas
  crashes = 0

  constructor (world: World, checker: Checker, leases: Leases, replicas: Replicas) {
    this.#world = world
    this.#checker = checker
    this.#leases = leases
    this.#replicas = replicas
  }

  start (sim: SimNode): void {
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
    node.crash({ completeWrites, tornEntries })
    this.#checker.crashed(node)
    this.#leases.crashed(node)
    this.#replicas.crashed(sim)
  }

  crashAndRestart (sim: SimNode, random: SimRandom): void {
    const world = this.#world
    if (!sim.node.isUp) return
    this.crash(sim, random)
    world.queue.after(random.between(1, world.plan.faults.downUs), () => {
      if (!sim.node.isUp && !world.isHealed) this.start(sim)
    })
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
  startDisk (node: CoreNode): void {
    const world = this.#world
    const sim = world.nodeOf(node.id)
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
        this.startDisk(node)
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
