import type { Timers } from '../runtime/timers.ts'

/** Turns of the event loop in which messages that have already arrived are handled before an election may start. */
const drainTurns = 3

/** Options of a {@link Ticker}. */
export interface TickerOptions {
  readonly timers: Timers
  readonly tickMs: number
  /** After how many ticks something may happen that nobody has sent: until then nothing has to wake for a tick. */
  readonly quietTicks: () => number
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
 * An idle process is to sleep: ticks that change nothing are counted together, later, but before any message.
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
   * A message has arrived. Counts the ticks that are due, up to one that would start an election: the message is judged
   * by the silence that there really was. After a stall that is left to the timer.
   */
  messageHeard (): void {
    const { tickMs, maxTicksAtOnce, drainFirst, tick } = this.#options
    const due = this.#due()
    if (due > maxTicksAtOnce) return
    for (let left = due; left > 0 && this.#running && !drainFirst(); left--) {
      this.#lastMs += tickMs
      tick()
    }
  }

  /**
   * A message of a leader has arrived. Drops the ticks that were due before and could not be counted: after the message
   * they would shorten the silence promised to the leader, on which its lease relies.
   */
  leaderHeard (): void {
    this.messageHeard()
    this.#lastMs += this.#due() * this.#options.tickMs
  }

  #due (): number {
    const { tickMs, nowMs } = this.#options
    return Math.floor((nowMs() - this.#lastMs) / tickMs)
  }

  #schedule (): void {
    if (!this.#running) return
    const { timers, tickMs, nowMs, quietTicks } = this.#options
    const remainingMs = this.#lastMs + quietTicks() * tickMs - nowMs()
    this.#cancelTimer = timers.after(Math.max(1, Math.ceil(remainingMs)), () => this.#fire(), { background: true })
  }

  #fire (): void {
    const { tickMs, maxTicksAtOnce, nowMs } = this.#options
    const due = this.#due()
    if (due > maxTicksAtOnce) {
      this.#lastMs = nowMs()
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
