import { BrokenPromise } from '../promise.ts'
import type { SimNode, World } from '../world.ts'

/** A process of a simulated node: it is gone once the node has crashed. */
export class Process {
  readonly sim: SimNode
  readonly #start: number

  constructor (sim: SimNode) {
    this.sim = sim
    this.#start = sim.node.starts
  }

  get id (): string { return this.sim.node.id }

  get isAlive (): boolean { return this.sim.node.isUp && this.sim.node.starts === this.#start }
}

/** For how long what a node that stood still does counts for nothing. */
const forgivenUs = 2_000_000

interface Act {
  readonly token: number
  readonly who: string
}

interface Run extends Act {
  readonly process: Process
}

/** Who acted on what, with which token: who was replaced acts no more, by its own clocks. */
export class Claims {
  readonly #world: World
  readonly #last = new Map<string, Act>()
  readonly #runs = new Map<string, Set<Run>>()
  /** Acts that were seen. */
  acts = 0

  constructor (world: World) {
    this.#world = world
  }

  /** Somebody acts on a resource right after a check that let it. */
  acted (resource: string, token: number, who: string): void {
    const last = this.#last.get(resource)
    if (last !== undefined && last.token > token) {
      throw new BrokenPromise(
        'who was replaced acts no more',
        `${who} acts on ${resource} with ${token} after ${last.who} did with ${last.token}`
      )
    }
    this.acts++
    this.#last.set(resource, { token, who })
  }

  /** Somebody works on a resource until the function returned is called: nobody else that runs does meanwhile. */
  begun (resource: string, token: number, process: Process): () => void {
    const runs = this.#runs.get(resource) ?? new Set<Run>()
    this.#runs.set(resource, runs)
    for (const other of runs) {
      if (!other.process.isAlive) runs.delete(other)
      else if (!this.#justRanAgain(other.process.sim)) {
        throw new BrokenPromise(
          'runs do not overlap',
          `${process.id} begins ${resource} with ${token} while ${other.who} is at work with ${other.token}`
        )
      }
    }
    const run = { token, who: process.id, process }
    runs.add(run)
    return () => { runs.delete(run) }
  }

  /** A node that stood still learns later that it was replaced, and what it was doing takes longer. */
  #justRanAgain ({ pausedUntilUs }: SimNode): boolean {
    return this.#world.nowUs - pausedUntilUs < forgivenUs
  }
}
