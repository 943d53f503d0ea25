import type { LeadershipView, Message } from '../core/index.ts'
import type { Clock } from '../runtime/clock.ts'

/** When this node last took a message of the leader that it follows. */
export class Contact {
  readonly #clock: Clock
  #heard: { readonly monotonicMs: number, readonly wallMs: number } | null = null

  constructor (clock: Clock) {
    this.#clock = clock
  }

  /** The core has taken a message, and sees the cluster so. What a deposed leader sends is no contact. */
  took (message: Message, { leader, term }: LeadershipView): void {
    if (message.kind !== 'heartbeat-request' && message.kind !== 'append-request') return
    if (message.from !== leader || message.term !== term) return
    this.#heard = { monotonicMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() }
  }

  /**
   * Milliseconds since then; infinite when there was no contact. A suspended machine shows on the wall clock alone, and
   * a wall clock that was set back on the other one.
   */
  get sinceMs (): number {
    if (this.#heard === null) return Infinity
    const { monotonicMs, wallMs } = this.#heard
    return Math.max(this.#clock.monotonicMs() - monotonicMs, this.#clock.wallMs() - wallMs)
  }
}
