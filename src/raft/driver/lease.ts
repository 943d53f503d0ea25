import type { Clock } from '../runtime/clock.ts'

interface RoundStart {
  readonly round: number
  readonly monotonicMs: number
  readonly wallMs: number
}

/**
 * Monotonic clocks stop while a machine is suspended, wall clocks do not: beyond this difference between the two,
 * measured since the round started, the lease is void. A wall clock set by hand costs no more than one round.
 */
const maxClockDivergenceMs = 50

/**
 * The time for which no other node can lead (dissertation section 6.4.1).
 *
 * It counts from the start of a heartbeat round that a quorum answered: each of those followers refuses votes
 * for at least the minimum election timeout after that moment.
 */
export class LeadershipLease {
  readonly #clock: Clock
  readonly #durationMs: () => number
  #starts: RoundStart[] = []
  #confirmed: RoundStart | null = null

  /**
   * `durationMs` is below the minimum election timeout by the drift bound; infinite while there is no other voter.
   * Asked at every comparison, because voters come and go.
   */
  constructor (clock: Clock, durationMs: () => number) {
    this.#clock = clock
    this.#durationMs = durationMs
  }

  /** The term changed, or this node stopped leading: rounds start again from 1. */
  reset (): void {
    this.#starts = []
    this.#confirmed = null
  }

  /** The round was started at this moment of both clocks, or later. */
  started (round: number, at: { readonly monotonicMs: number, readonly wallMs: number }): void {
    this.#starts.push({ round, ...at })
  }

  /** A quorum answered this round. */
  confirmed (round: number): void {
    while (this.#starts[0] !== undefined && this.#starts[0].round <= round) {
      this.#confirmed = this.#starts.shift() ?? null
    }
  }

  /** Milliseconds left, compared with the clocks as they are now; 0 when there is no lease. */
  remainingMs (): number {
    if (this.#confirmed === null) return 0
    const durationMs = this.#durationMs()
    if (durationMs === Infinity) return Infinity
    return this.clocksDisagree() ? 0 : Math.max(0, durationMs - this.elapsedMs())
  }

  /**
   * Milliseconds since the start of the latest round that a quorum answered; infinite when there is none. A suspend too
   * short to void the lease shows only on the wall clock. The other nodes counted the longer time.
   */
  elapsedMs (): number {
    const start = this.#confirmed
    if (start === null) return Infinity
    return Math.max(this.#clock.monotonicMs() - start.monotonicMs, this.#clock.wallMs() - start.wallMs)
  }

  /** Whether one of the clocks was set or stood still since that round. */
  clocksDisagree (): boolean {
    const start = this.#confirmed
    if (start === null) return false
    const elapsedMs = this.#clock.monotonicMs() - start.monotonicMs
    const wallElapsedMs = this.#clock.wallMs() - start.wallMs
    return Math.abs(wallElapsedMs - elapsedMs) > maxClockDivergenceMs
  }
}
