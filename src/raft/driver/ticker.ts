import type { Timers } from '../runtime/timers.ts'

/** Turns of the event loop in which what has already arrived is taken in before an election may start. */
const drainTurns = 3

/** What a {@link Ticker} works with. */
export interface TickerOptions {
  readonly timers: Timers
  readonly tickMs: number
  /** Pause until the clock is looked at again; longer than a tick where nothing depends on single ticks. */
  readonly wakeAfterMs: () => number
  /** A delay of more ticks than this is a stall of this process: time in which it could hear nobody. */
  readonly maxTicksAtOnce: number
  readonly nowMs: () => number
  /** Whether the next tick would start an election. */
  readonly drainFirst: () => boolean
  readonly tick: () => void
}

/**
 * Turns time into ticks, never faster than real time: followers' promises of silence are counted in them.
 *
 * After a stall it counts one tick, not the many that were missed: the messages of that time are still in the socket
 * buffers, and a process that was asleep has no reason to suspect the leader.
 */
export class Ticker {
  readonly #options: TickerOptions
  #lastMs: number
  #cancelTimer: (() => void) | null = null
  #running = false

  constructor (options: TickerOptions) {
    this.#options = options
    this.#lastMs = options.nowMs()
  }

  start (): void {
    this.#running = true
    this.#lastMs = this.#options.nowMs()
    this.#schedule()
  }

  stop (): void {
    this.#running = false
    this.#cancelTimer?.()
  }

  /**
   * A leader is heard now. Ticks that are due but not given yet lie before this moment: given after it, they would
   * shorten the silence that it is promised, and its lease counts on all of that.
   */
  leaderHeard (): void {
    const { tickMs, nowMs } = this.#options
    this.#lastMs += Math.floor((nowMs() - this.#lastMs) / tickMs) * tickMs
  }

  #schedule (): void {
    if (!this.#running) return
    const { timers, wakeAfterMs } = this.#options
    this.#cancelTimer = timers.after(wakeAfterMs(), () => this.#fire(), { background: true })
  }

  #fire (): void {
    const { tickMs, maxTicksAtOnce, nowMs } = this.#options
    const now = nowMs()
    const due = Math.floor((now - this.#lastMs) / tickMs)
    if (due > maxTicksAtOnce) {
      this.#lastMs = now
      this.#tickTimes(1)
    } else {
      this.#lastMs += due * tickMs
      this.#tickTimes(due)
    }
  }

  #tickTimes (count: number): void {
    for (let left = count; left > 0 && this.#running; left--) {
      if (this.#options.drainFirst()) {
        this.#drain(drainTurns)
        return
      }
      this.#options.tick()
    }
    this.#schedule()
  }

  /** Lets the event loop turn, then gives the one tick that may start an election. */
  #drain (turns: number): void {
    this.#options.timers.soon(() => {
      if (!this.#running) return
      if (turns > 1) {
        this.#drain(turns - 1)
        return
      }
      // What arrived may have put the election off; then the tick lies before it.
      if (this.#options.drainFirst()) this.#options.tick()
      this.#schedule()
    })
  }
}
