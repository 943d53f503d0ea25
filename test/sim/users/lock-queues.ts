import type { Answer } from '../../../src/plugin/replicated/answer.ts'
import type { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import type { Command } from '../../../src/plugin/replicated/command.ts'
import type { HeldLock } from '../../../src/plugin/replicated/lock-records.ts'
import { BrokenPromise } from '../promise.ts'

interface Waiter {
  readonly requestId: string
  readonly session: number
}

/** What one entry did on the node that applies it. */
interface Seen {
  readonly granted: HeldLock[]
  readonly ended: number[]
}

/**
 * A model of the queues of locks, as plain lists: who waits is served in the order of arrival, unless it has left or
 * its session is over, and the tokens of a lock only rise. Fed with each entry as the first node applies it.
 */
export class LockQueues {
  readonly #waiting = new Map<string, Waiter[]>()
  readonly #left = new Set<string>()
  readonly #endedSessions = new Set<number>()
  readonly #tokens = new Map<string, number>()
  readonly #seen = new WeakMap<ClusterStateMachine, Seen>()
  #index = 0
  /** Grants out of a queue. */
  turns = 0

  /** Follows the state of one start of a node. */
  follow (machine: ClusterStateMachine): void {
    const seen: Seen = { granted: [], ended: [] }
    this.#seen.set(machine, seen)
    machine.onLockChange(({ kind, lock }) => { if (kind === 'granted') seen.granted.push(lock) })
    machine.onSessionChange(({ kind, session }) => {
      if (kind === 'ended' || kind === 'expired') seen.ended.push(session.id)
    })
  }

  /** A node has applied a command. */
  applied (machine: ClusterStateMachine, command: Command, answer: Answer, index: number): void {
    const seen = this.#seen.get(machine)
    const granted = seen?.granted.splice(0) ?? []
    const ended = seen?.ended.splice(0) ?? []
    if (index <= this.#index) return
    this.#index = index
    for (const session of ended) this.#endedSessions.add(session)
    if (command.kind === 'lock-abandon') this.#left.add(command.requestId)
    for (const lock of granted) this.#granted(lock)
    if (answer.kind !== 'queued' || command.kind !== 'lock-acquire') return
    const { name, requestId, session = 0 } = command
    const queue = this.#queueOf(name)
    const isServed = granted.some((lock) => lock.requestId === requestId)
    if (!isServed && queue.every((waiter) => waiter.requestId !== requestId)) queue.push({ requestId, session })
  }

  #queueOf (name: string): Waiter[] {
    const known = this.#waiting.get(name)
    if (known !== undefined) return known
    const queue: Waiter[] = []
    this.#waiting.set(name, queue)
    return queue
  }

  #granted ({ name, requestId, token }: HeldLock): void {
    const last = this.#tokens.get(name) ?? 0
    // A snapshot tells of grants that others have seen before.
    if (token === last) return
    if (token < last) throw new BrokenPromise('tokens rise', `${name} is granted with ${token} after ${last}`)
    this.#tokens.set(name, token)
    const queue = this.#queueOf(name)
    const at = queue.findIndex((waiter) => waiter.requestId === requestId)
    const before = queue.splice(0, at === -1 ? queue.length : at + 1)
    if (at !== -1) {
      before.pop()
      this.turns++
    }
    for (const { requestId: passed, session } of before) {
      if (!this.#left.has(passed) && !this.#endedSessions.has(session)) {
        throw new BrokenPromise('who waits is served in order', `${requestId} got ${name} before ${passed}`)
      }
    }
  }
}
