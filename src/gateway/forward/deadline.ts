import type { Clock } from '../../raft/index.ts'

/** The time one request may take over all its attempts, and a smaller one for each. */
export class Deadline {
  readonly #clock: Clock
  readonly #totalMs: number
  readonly #attemptMs: number
  readonly #startedAtMs: number
  #progressAtMs: number
  #attemptAtMs: number
  #timer: NodeJS.Timeout | null = null
  #onPassed: (() => void) | null = null

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

  /** A piece of the client's body was passed on: a long upload is no reason to give up. */
  readonly progress = (): void => {
    this.#progressAtMs = this.#attemptAtMs = this.#clock.monotonicMs()
  }

  /** Starts an attempt; calls back once when its time, or the whole time, is over. */
  arm (onPassed: () => void): void {
    this.disarm()
    this.#attemptAtMs = this.#clock.monotonicMs()
    this.#onPassed = onPassed
    this.#schedule(onPassed)
  }

  disarm (): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#onPassed = null
  }

  /** Ends the time of the attempt that is armed now; without one, nothing. */
  readonly endAttempt = (): void => {
    const onPassed = this.#onPassed
    this.disarm()
    onPassed?.()
  }

  #schedule (onPassed: () => void): void {
    const attemptLeftMs = this.#attemptAtMs + this.#attemptMs - this.#clock.monotonicMs()
    const leftMs = Math.min(this.remainingMs, attemptLeftMs)
    this.#timer = setTimeout(() => {
      if (this.remainingMs <= 0 || this.#attemptAtMs + this.#attemptMs <= this.#clock.monotonicMs()) onPassed()
      else this.#schedule(onPassed)
    }, Math.max(1, Math.ceil(leftMs)))
  }
}
