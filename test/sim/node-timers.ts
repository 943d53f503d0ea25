import type { Timers } from '../../src/raft/runtime/timers.ts'
import type { SimNode, World } from './world.ts'

/** Timers of one start of one node: they run by its clock, wait while its event loop stalls, and die with it. */
export class NodeTimers implements Timers {
  readonly #world: World
  readonly #sim: SimNode
  readonly #start: number

  constructor (world: World, sim: SimNode) {
    this.#world = world
    this.#sim = sim
    this.#start = sim.node.starts
  }

  readonly soon = (callback: () => void): void => {
    this.#afterUs(1, callback)
  }

  readonly after = (delayMs: number, callback: () => void): (() => void) =>
    this.#afterUs(Math.ceil((delayMs * 1_000) / this.#sim.clock.rate), callback)

  #afterUs (delayUs: number, callback: () => void): () => void {
    let isCancelled = false
    this.#world.queue.after(delayUs, () => {
      if (isCancelled || this.#sim.node.starts !== this.#start) return
      this.#world.enter(this.#sim, () => {
        if (isCancelled) return
        callback()
        this.#world.hasPromises = true
      })
    })
    return () => {
      isCancelled = true
    }
  }
}
