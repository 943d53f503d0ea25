import type { Timers } from '../runtime/timers.ts'

/** Turns of the event loop in which messages that have already arrived are handled before an election may start. */
const drainTurns = 3

/** Options of a {@link Ticker}. */
export interface TickerOptions {
  readonly timers: Timers
  readonly tickMs: number
  /** Pause until the next look at the clock; longer than a tick where nothing depends on single ticks. */
  readonly wakeAfterMs: () => number
  /** A delay of more ticks than this is a stall of this process, in which it could receive no message. */
  readonly maxTicksAtOnce: number
  readonly nowMs: () => number
  /** Whether the next tick would start an election. */
  readonly drainFirst: () => boolean
  readonly tick: () => void
}

/**
 * Turns time into ticks, never faster than real time: followers count their promises of silence in ticks.
 *
 * After a stall it counts one tick instead of all missed ones: the messages of that time are still in the socket
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
   * A message of a leader has arrived. Drops the ticks that were due before: counted after the message, they would
   * shorten the silence promised to the leader, on which its lease relies.
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

  /** Lets the event loop turn, then counts the one tick that may start an election. */
  #drain (turns: number): void {
    this.#options.timers.soon(() => {
      if (!this.#running) return
      if (turns > 1) {
        this.#drain(turns - 1)
        return
      }
      // A message that arrived meanwhile may have restarted the election timer: then the tick is dropped.
      if (this.#options.drainFirst()) this.#options.tick()
      this.#schedule()
    })
  }
}
