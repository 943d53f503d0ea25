import type { Clock } from '../runtime/clock.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'

/** Pause between two lines of the log, in milliseconds. */
const pauseMs = 60_000

/**
 * Counts internal fields of requests that nothing proves to come from a node or a gateway, and says so in the log, once
 * a minute at most: a stranger cannot fill it.
 */
export class ForgedFields {
  readonly #logger: Logger
  readonly #clock: Clock
  #count = 0
  #saidAtMs = -Infinity

  constructor (logger: Logger, clock: Clock = systemClock) {
    this.#logger = logger
    this.#clock = clock
  }

  /** How many there were since the start. */
  get count (): number {
    return this.#count
  }

  /** A client has sent this field. It is dropped. */
  note (field: string, address: string | undefined): void {
    this.#count++
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#saidAtMs < pauseMs) return
    this.#saidAtMs = nowMs
    const forgedFields = this.#count
    this.#logger.warn({ field, address, forgedFields }, 'a client sent an internal field, which is dropped')
  }
}
