import type { Message } from '../core/index.ts'
import { isContradiction } from '../core/index.ts'
import { LogContradictedError } from '../errors.ts'
import { Suspicion } from './suspicion.ts'

/** For so many heartbeats a leader may contradict the log of a node before that node stops. */
const contradictedHeartbeats = 3

/**
 * A leader that contradicts this node's log, again and again, shows that one of both is wrong, and nothing that this
 * node says can be relied on: it has to stop rather than go on answering reads.
 */
export class Contradictions {
  readonly #suspicions: Readonly<Record<'heartbeat-request' | 'append-request', Suspicion>>

  constructor (heartbeatTicks: number) {
    const lastTicks = contradictedHeartbeats * heartbeatTicks
    this.#suspicions = { 'heartbeat-request': new Suspicion(lastTicks), 'append-request': new Suspicion(lastTicks) }
  }

  /** A message was taken, or refused for that reason. */
  note ({ kind, from, term }: Message, violation: string | null): void {
    if (kind !== 'heartbeat-request' && kind !== 'append-request') return
    const suspicion = this.#suspicions[kind]
    if (violation === null) suspicion.clear()
    else if (isContradiction(violation)) suspicion.raise(() => new LogContradictedError(from, term, violation))
  }

  /** One tick later: why the node has to stop, or null. */
  tick (): Error | null {
    return this.#suspicions['heartbeat-request'].tick() ?? this.#suspicions['append-request'].tick()
  }
}
