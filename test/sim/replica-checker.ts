import type { Answer } from '../../src/plugin/replicated/answer.ts'
import type { NodeId } from '../../src/raft/core/index.ts'
import { BrokenPromise } from './promise.ts'

/** The whole state is compared at every index that this divides. */
const stateInterval = 256

/** How idempotency keys are kept. */
export interface KeyRules {
  /** A key executes at most once in a time as long as this. */
  readonly horizonUs: number
  /** When a leader appended an entry. */
  readonly createdAtUs: (index: number, term: number) => number
}

/**
 * Checks the replicated state: it is the same on all nodes, every command of a session is applied once, a command
 * with an idempotency key once within its horizon, and tokens only rise.
 */
export class ReplicaChecker {
  /** The outcome of each entry on the node that applied it first, and that node. */
  readonly #outcomes: Array<{ readonly id: NodeId, readonly outcome: string }> = []
  readonly #states = new Map<number, { readonly id: NodeId, readonly state: string }>()
  readonly #snapshots = new Map<number, { readonly id: NodeId, readonly bytes: Uint8Array }>()
  /** Index at which a command of a session was applied. */
  readonly #applied = new Map<string, number>()
  /** The last token of each lock. */
  readonly #lastTokens = new Map<string, number>()
  /** Where a command with an idempotency key was executed last, and when that entry was appended. */
  readonly #executed = new Map<string, { readonly index: number, readonly atUs: number }>()
  readonly #keys: KeyRules
  commands = 0
  /** Commands with an idempotency key that were executed. */
  keyed = 0
  grants = 0

  constructor (keys: KeyRules) {
    this.#keys = keys
  }

  /** A command with this idempotency key, scope and all, has been executed at this entry on some node. */
  executed (key: string, index: number, term: number): void {
    const known = this.#executed.get(key)
    if (known !== undefined && known.index >= index) return
    const { horizonUs, createdAtUs } = this.#keys
    const atUs = createdAtUs(index, term)
    this.#executed.set(key, { index, atUs })
    this.keyed++
    if (known !== undefined && atUs - known.atUs < horizonUs) {
      throw new BrokenPromise('a key executes once within its horizon', `${key} at ${known.index} and again at ${index}`)
    }
  }

  /** A command of a session has been applied on some node. */
  applied (session: number, sequence: number, index: number, answer: Answer): void {
    const key = `${session}:${sequence}`
    const known = this.#applied.get(key)
    if (known === index) return
    if (known !== undefined) {
      throw new BrokenPromise('a command is applied once', `command ${key} at ${known} and again at ${index}`)
    }
    this.#applied.set(key, index)
    this.commands++
    if (answer.kind === 'granted') this.#granted(answer.name, answer.token)
  }

  /** A node has applied an entry. */
  reached (id: NodeId, index: number, outcome: string, state: () => string): void {
    const known = this.#outcomes[index - 1]
    if (known === undefined) {
      this.#outcomes[index - 1] = { id, outcome }
    } else if (known.outcome !== outcome) {
      throw new BrokenPromise(
        'replicas agree',
        `entry ${index} came to ${outcome} on ${id}, to ${known.outcome} on ${known.id}`
      )
    }
    if (index % stateInterval === 0) this.#compare(id, index, state())
  }

  /** A node has written a snapshot of its state. */
  snapshotTaken (id: NodeId, index: number, bytes: Uint8Array): void {
    const known = this.#snapshots.get(index)
    if (known === undefined) this.#snapshots.set(index, { id, bytes })
    else if (Buffer.compare(known.bytes, bytes) !== 0) {
      throw new BrokenPromise('replicas agree', `the snapshots at ${index} differ between ${known.id} and ${id}`)
    }
  }

  #compare (id: NodeId, index: number, state: string): void {
    const known = this.#states.get(index)
    if (known === undefined) this.#states.set(index, { id, state })
    else if (known.state !== state) {
      throw new BrokenPromise('replicas agree', `the state at ${index} differs between ${known.id} and ${id}`)
    }
  }

  #granted (name: string, token: number): void {
    this.grants++
    // The same attempt, repeated, is told its own grant again.
    const last = this.#lastTokens.get(name) ?? 0
    if (token < last) throw new BrokenPromise('tokens rise', `${name} is granted with ${token} after ${last}`)
    this.#lastTokens.set(name, token)
  }
}
