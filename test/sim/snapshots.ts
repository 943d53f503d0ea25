import type { CoreSnapshot, SnapshotTransfer } from '../support/core-node.ts'
import type { Machines } from './machines.ts'
import type { Network } from './network.ts'
import type { SimRandom } from './random.ts'
import type { Replicas } from './replicas.ts'
import type { SimNode, World } from './world.ts'

/**
 * Snapshots: taken now and then, written while the log goes on, followed by a compaction, sent and installed; and
 * crashes at each of these points.
 */
export class Snapshots {
  readonly #world: World
  readonly #machines: Machines
  readonly #network: Network
  readonly #replicas: Replicas
  readonly #compactsEarly: boolean
  /** Snapshots that each node is writing: one at a time. */
  readonly #taking = new Set<SimNode>()
  taken = 0

  constructor (world: World, machines: Machines, network: Network, replicas: Replicas, compactsEarly: boolean) {
    this.#world = world
    this.#machines = machines
    this.#network = network
    this.#replicas = replicas
    this.#compactsEarly = compactsEarly
  }

  start (): void {
    this.#world.repeatUntilHealed('snapshot', this.#world.plan.snapshots.takeUs, (random) => {
      const { up } = this.#world
      if (up.length === 0) return
      const sim = random.pick(up)
      this.#world.enter(sim, () => { this.#take(sim, random) })
    })
  }

  #take (sim: SimNode, random: SimRandom): void {
    if (this.#taking.has(sim)) return
    const { node } = sim
    const snapshot = node.takeSnapshot()
    if (snapshot === null || snapshot.point.index <= (node.disk.snapshot?.point.index ?? 0)) return
    this.#world.note('snapshot', node.id, snapshot.point.index)
    this.#replicas.capture(sim, snapshot)
    this.taken++
    this.#taking.add(sim)
    const { starts } = node
    if (this.#compactsEarly) this.#compact(sim, snapshot)
    this.#later(random, () => {
      this.#taking.delete(sim)
      if (node.starts !== starts || !node.isUp) return
      this.#world.enter(sim, () => {
        node.keepSnapshot(snapshot)
        if (this.#interrupted(sim, random)) return
        this.#later(random, () => {
          if (node.starts === starts) {
            this.#world.enter(sim, () => { this.#compact(sim, snapshot) })
          }
        })
      })
    })
  }

  #compact (sim: SimNode, snapshot: CoreSnapshot): void {
    const { keepEntries } = this.#world.plan.snapshots
    sim.node.compactThrough(snapshot.point.index, keepEntries, Infinity)
  }

  /** Sends a snapshot, and reports the outcome to the sender unless that is lost. */
  send (transfer: SnapshotTransfer): void {
    const { plan, random, queue } = this.#world
    const { from, to, snapshot: { point: { index } } } = transfer
    const sender = this.#world.nodeOf(from)
    const { starts } = sender.node
    let isOver = false
    const tell = (isSent: boolean): void => {
      if (isOver || sender.node.starts !== starts) return
      isOver = true
      this.#world.enter(sender, () => {
        if (isSent) sender.node.snapshotSent(to, index)
        else sender.node.snapshotFailed(to)
      })
    }
    this.#world.note('send snapshot', from, to, index)
    queue.after(random.between(0, plan.snapshots.sendMaxUs), () => {
      this.#network.carry(from, to, (receiver) => {
        this.#receive(receiver, transfer, () => {
          this.#network.carry(to, from, () => {
            tell(true)
          })
        })
      })
    })
    queue.after(plan.snapshots.sendMaxUs + 4 * plan.electionTicksMax * plan.tickUs, () => { tell(false) })
  }

  /** The whole snapshot has arrived: it becomes durable, and then the core is told. */
  #receive (sim: SimNode, transfer: SnapshotTransfer, installed: () => void): void {
    const { random } = this.#world
    const { starts } = sim.node
    this.#later(random, () => {
      if (sim.node.starts !== starts) return
      this.#world.enter(sim, () => {
        sim.node.keepSnapshot(transfer.snapshot)
        if (this.#interrupted(sim, random)) return
        sim.node.receiveSnapshot(transfer)
        installed()
      })
    })
  }

  #interrupted (sim: SimNode, random: SimRandom): boolean {
    const { plan, isHealed } = this.#world
    if (isHealed || !random.chance(plan.snapshots.interrupted)) return false
    this.#machines.crashAndRestart(sim, random)
    return true
  }

  #later (random: SimRandom, run: () => void): void {
    const { plan: { disk }, queue } = this.#world
    queue.after(random.between(disk.minUs, 4 * Math.max(disk.minUs, disk.maxUs)), run)
  }
}
