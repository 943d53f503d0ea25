import type { Clock } from '../../raft/index.ts'

/**
 * The time one request may take over all its attempts, and a smaller one for each. It has no timer of its own: who
 * waits looks at it.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #totalMs: number
  readonly #attemptMs: number
  readonly #startedAtMs: number
  #progressAtMs: number
  #attemptAtMs: number

  constructor (clock: Clock, totalMs: number, attemptMs: number) {
    this.#clock = clock
    this.#totalMs = totalMs
    this.#attemptMs = attemptMs
    this.#startedAtMs = this.#progressAtMs = this.#attemptAtMs = clock.monotonicMs()
  }

  /** Milliseconds since the request was taken on. */
  get elapsedMs (): number {
    return this.#clock.monotonicMs() - this.#startedAtMs
  }

  /** Milliseconds left over all attempts; never below zero. */
  get remainingMs (): number {
    return Math.max(0, this.#progressAtMs + this.#totalMs - this.#clock.monotonicMs())
  }

  /** Whether the time of the attempt, or the whole time, is over at this moment. */
  hasPassed (nowMs: number): boolean {
    return nowMs >= this.#progressAtMs + this.#totalMs || nowMs >= this.#attemptAtMs + this.#attemptMs
  }

  /** A piece of the client's body was passed on: a long upload is no reason to give up. */
  readonly progress = (): void => {
    this.#progressAtMs = this.#attemptAtMs = this.#clock.monotonicMs()
  }

  /** The time of another attempt begins. Returns how much it has, in milliseconds, as long as there is no progress. */
  beginAttempt (): number {
    this.#attemptAtMs = this.#clock.monotonicMs()
    return Math.max(0, Math.min(this.#progressAtMs + this.#totalMs - this.#attemptAtMs, this.#attemptMs))
  }
}
