import { asNodeId } from '../../../src/raft/core/index.ts'
import type { NoteListener, PeerNotes } from '../../../src/raft/transport/peer-notes.ts'
import type { Network } from '../network.ts'
import type { SimNode, World } from '../world.ts'

/** Notes between the nodes of a simulated cluster, over its network and beside the log. */
export class NodeNotes {
  readonly #world: World
  readonly #network: Network
  readonly #listeners = new Map<string, NoteListener>()

  constructor (world: World, network: Network) {
    this.#world = world
    this.#network = network
  }

  /** The notes of one start of a node. */
  of (sim: SimNode): PeerNotes {
    const { id, starts } = sim.node
    this.#listeners.delete(id)
    return {
      listen: (listener) => { this.#listeners.set(id, listener) },
      send: (to, note) => new Promise((resolve, reject) => {
        const settle = (settled: () => void): void => {
          if (sim.node.starts !== starts) return
          settled()
          this.#world.hasPromises = true
        }
        const { plan: { electionTicksMax, tickUs }, queue } = this.#world
        queue.after(2 * electionTicksMax * tickUs, () => { settle(() => { reject(new Error('no answer in time')) }) })
        const target = asNodeId(to)
        this.#network.carry(sim.node.id, target, () => {
          this.#listeners.get(to)?.(id, note)
          this.#world.hasPromises = true
          this.#network.carry(target, sim.node.id, () => { settle(resolve) })
        })
      })
    }
  }
}
