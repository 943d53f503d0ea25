import type { Answer } from '../../../src/plugin/replicated/answer.ts'
import type { Command } from '../../../src/plugin/replicated/command.ts'

/** A change of one key, as the log says it. */
export interface TrueChange {
  readonly revision: number
  readonly key: string
  /** Undefined when the key was removed. */
  readonly value: unknown
}

/** All changes of a map in log order, read off the commands and their answers, apart from the code of the map. */
export class MapTruth {
  readonly #map: string
  #index = 0
  readonly changes: TrueChange[] = []

  constructor (map: string) {
    this.#map = map
  }

  /** A node has applied a command. */
  applied (command: Command, answer: Answer, index: number): void {
    if (index <= this.#index) return
    this.#index = index
    if (command.kind === 'map-set' && command.map === this.#map && answer.kind === 'written') {
      // A repeated idempotency key changes nothing, and is answered with the revision of the first time.
      if (answer.revision === index) this.changes.push({ revision: index, key: command.key, value: command.value })
    } else if (command.kind === 'map-delete' && command.map === this.#map && answer.kind === 'deleted') {
      if (answer.revision === index && answer.existed) {
        this.changes.push({ revision: index, key: command.key, value: undefined })
      }
    }
  }

  /** The changes behind a revision. */
  behind (revision: number): readonly TrueChange[] {
    let low = 0
    let high = this.changes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.changes[middle]?.revision ?? 0) <= revision) low = middle + 1
      else high = middle
    }
    return this.changes.slice(low)
  }
}
