import type { Message, Violation } from '../core/index.ts'
import { LogContradictedError, WrongIncarnationError } from '../errors.ts'

/** A single message proves nothing: it may be forged or long out of date. */
const leastCount = 3

/** A leader may contradict the log of a node for this many heartbeats before that node stops. */
const contradictedHeartbeats = 3

/**
 * A suspicion that stops this node only if it lasts: counts how often it was raised, and for how many ticks it was not
 * cleared.
 */
class Suspicion {
  readonly #lastsTicks: number
  #reason: Error | null = null
  #count = 0
  #ticks = 0

  constructor (lastsTicks: number) {
    this.#lastsTicks = lastsTicks
  }

  /** Keeps the first reason since the last {@link clear}. */
  raise (reason: () => Error): void {
    this.#reason ??= reason()
    this.#count++
  }

  clear (): void {
    this.#reason = null
    this.#count = 0
    this.#ticks = 0
  }

  /** Counts a tick; returns the reason once it has lasted. */
  tick (): Error | null {
    if (this.#reason === null) return null
    this.#ticks++
    return this.#ticks >= this.#lastsTicks && this.#count >= leastCount ? this.#reason : null
  }
}

/**
 * Detects a leader that contradicts this node's log again and again. One of the two is wrong then, and no answer of
 * this node is reliable: it must stop instead of answering reads.
 */
export class Contradictions {
  readonly #suspicions: Readonly<Record<'heartbeat-request' | 'append-request', Suspicion>>

  constructor (heartbeatTicks: number) {
    const lastsTicks = contradictedHeartbeats * heartbeatTicks
    this.#suspicions = { 'heartbeat-request': new Suspicion(lastsTicks), 'append-request': new Suspicion(lastsTicks) }
  }

  /** A message was accepted (null) or refused for this violation. */
  note ({ kind, from, term }: Message, violation: Violation | null): void {
    if (kind !== 'heartbeat-request' && kind !== 'append-request') return
    const suspicion = this.#suspicions[kind]
    if (violation === null) suspicion.clear()
    else if (violation.kind === 'contradiction') {
      suspicion.raise(() => new LogContradictedError(from, term, violation.message))
    }
  }

  /** Counts a tick; returns why the node must stop, or null. */
  tick (): Error | null {
    return this.#suspicions['heartbeat-request'].tick() ?? this.#suspicions['append-request'].tick()
  }
}

/** Detects that peers know this node by a log that it no longer has. */
export class LostLog {
  readonly #nodeId: string
  readonly #suspicion: Suspicion

  /** `lastsTicks`: for how long all messages must have been for another log before the node stops. */
  constructor (nodeId: string, lastsTicks: number) {
    this.#nodeId = nodeId
    this.#suspicion = new Suspicion(lastsTicks)
  }

  /** A peer sent a message for the log that this node keeps (true), or for another one (false). */
  addressed (isForThisLog: boolean): void {
    if (isForThisLog) this.#suspicion.clear()
    else this.#suspicion.raise(() => lostLogError(this.#nodeId))
  }

  /** Counts a tick; returns why the node must stop, or null. */
  tick (): Error | null {
    return this.#suspicion.tick()
  }
}

function lostLogError (nodeId: string): Error {
  return new WrongIncarnationError(
    `this node has another log than the member "${nodeId}" of its cluster: the entries and votes of that member are ` +
      'not here. Nothing was changed. Put its data directory back, or remove the member and start this node with ' +
      'join instead of members'
  )
}
