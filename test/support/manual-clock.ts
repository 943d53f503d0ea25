import type { Clock } from '../../src/raft/runtime/clock.ts'
import type { Timers } from '../../src/raft/runtime/timers.ts'

interface Pending {
  readonly atMs: number
  readonly callback: () => void
}

/** Lets everything that is ready run: promise callbacks, and what they start in turn. */
export async function settle (): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise<void>((resolve) => { setImmediate(resolve) })
}

/** Clocks and timers that stand still until the test moves them. */
export class ManualClock implements Clock, Timers {
  #monotonicMs = 5_000
  #wallMs = 1_700_000_000_000
  readonly #pending = new Set<Pending>()

  readonly monotonicMs = (): number => this.#monotonicMs
  readonly wallMs = (): number => this.#wallMs

  readonly after = (delayMs: number, callback: () => void): (() => void) => {
    const pending = { atMs: this.#monotonicMs + delayMs, callback }
    this.#pending.add(pending)
    return () => { this.#pending.delete(pending) }
  }

  readonly soon = (callback: () => void): void => { setImmediate(callback) }

  /** Number of timers that wait. */
  get timers (): number { return this.#pending.size }

  /** Moves both clocks, runs the timers that fall due, in order, and lets their work settle. */
  async advance (byMs: number): Promise<void> {
    const endMs = this.#monotonicMs + byMs
    for (;;) {
      const next = [...this.#pending].filter((pending) => pending.atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      this.#move(Math.max(0, (next?.atMs ?? endMs) - this.#monotonicMs))
      if (next === undefined) break
      this.#pending.delete(next)
      next.callback()
      await settle()
    }
    await settle()
  }

  /** Moves both clocks and runs nothing: a blocked event loop. */
  block (byMs: number): void { this.#move(byMs) }

  /** Moves the wall clock alone: a suspended machine, or a clock set by hand. */
  moveWall (byMs: number): void { this.#wallMs += byMs }

  #move (byMs: number): void {
    this.#monotonicMs += byMs
    this.#wallMs += byMs
  }
}
