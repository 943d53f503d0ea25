import type { Clock } from '../../src/raft/runtime/clock.ts'

/** Where simulated time starts: a wall clock near 1970 could jump to before it. */
const epochMs = 1_000_000_000_000

/**
 * The two clocks of one machine: they drift, the wall clock is set by hand, and a suspended machine loses monotonic
 * time.
 */
export class NodeClock implements Clock {
  readonly #nowUs: () => number
  /** Speed of both clocks. */
  readonly rate: number
  #suspendedSinceUs: number | null = null
  #suspendedUs = 0
  #setByMs = 0

  constructor (nowUs: () => number, rate: number) {
    this.#nowUs = nowUs
    this.rate = rate
  }

  readonly monotonicMs = (): number => {
    const untilUs = this.#suspendedSinceUs ?? this.#nowUs()
    return (untilUs - this.#suspendedUs) * this.rate / 1_000
  }

  readonly wallMs = (): number => epochMs + this.#nowUs() * this.rate / 1_000 + this.#setByMs

  setWallClock (byMs: number): void { this.#setByMs += byMs }

  suspend (): void { this.#suspendedSinceUs ??= this.#nowUs() }

  resume (): void {
    if (this.#suspendedSinceUs === null) return
    this.#suspendedUs += this.#nowUs() - this.#suspendedSinceUs
    this.#suspendedSinceUs = null
  }
}
