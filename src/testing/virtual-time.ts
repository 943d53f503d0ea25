import type { Clock } from '../raft/index.ts'
import type { Timers } from '../raft/internal.ts'

/** A timer of a copy. Times are milliseconds of virtual time. */
interface DueTimer {
  readonly atMs: number
  readonly callback: () => void
}

/** Turns of the event loop without any sign of work, after which everything is taken to wait for time alone. */
const quietTurns = 6
/** Turns after which work that never ends is left alone. */
const maxTurns = 5_000

/** One turn of the event loop. Taken when this module loads: fake timers of a test runner must not stop it. */
const { setImmediate: nextTurn } = globalThis

/**
 * The time of all copies of a test, which passes only when the test lets it. Each copy sees it through a
 * {@link CopyTime} of its own.
 */
export class VirtualTime {
  readonly #copies = new Set<CopyTime>()
  readonly #epochMs: number
  #nowMs = 0
  #activity = 0
  /** Moves of time wait for each other. */
  #last: Promise<unknown> = Promise.resolve()

  /** `epochMs`: what wall clocks show at the start. */
  constructor (epochMs: number) {
    this.#epochMs = epochMs
  }

  get nowMs (): number {
    return this.#nowMs
  }

  /** A clock and timers on this time. */
  createCopy (): CopyTime {
    const copy = new CopyTime(this, this.#epochMs)
    this.#copies.add(copy)
    return copy
  }

  /** The timers of this copy count no more: it has ended, or goes on alone. */
  drop (copy: CopyTime): void {
    this.#copies.delete(copy)
  }

  /** Something has happened that others may react to within the same moment. */
  noteActivity (): void {
    this.#activity++
  }

  /** Lets everything run that does not wait for time. */
  async settle (): Promise<void> {
    let seen = this.#activity
    for (let turns = 0, quiet = 0; quiet < quietTurns && turns < maxTurns; turns++) {
      await new Promise<void>((resolve) => { nextTurn(resolve) })
      quiet = this.#activity === seen ? quiet + 1 : 0
      seen = this.#activity
    }
  }

  /** Lets time pass until `isOver` says so after a step, or `untilMs` is reached. One move after the other. */
  async pass (untilMs: (startMs: number) => number, isOver: () => boolean): Promise<void> {
    const moved = this.#last.then(async () => { await this.#pass(untilMs(this.#nowMs), isOver) })
    this.#last = moved.catch(() => {})
    await moved
  }

  async #pass (endMs: number, isOver: () => boolean): Promise<void> {
    await this.settle()
    while (!isOver() && this.#nowMs < endMs) {
      this.#nowMs = Math.max(this.#nowMs, Math.min(endMs, this.#nextDueMs()))
      for (const copy of this.#copies) copy.fire(this.#nowMs)
      await this.settle()
    }
  }

  #nextDueMs (): number {
    let next = Infinity
    for (const copy of this.#copies) next = Math.min(next, copy.nextDueMs)
    return next
  }
}

/** The clocks and timers of one copy. */
export class CopyTime implements Clock, Timers {
  readonly #time: VirtualTime
  readonly #epochMs: number
  readonly #timers = new Set<DueTimer>()
  #isPaused = false
  #wallOffsetMs = 0
  /** How far this copy, once it is alone, is ahead of the others. */
  #aheadMs = 0

  constructor (time: VirtualTime, epochMs: number) {
    this.#time = time
    this.#epochMs = epochMs
  }

  readonly monotonicMs = (): number => this.#nowMs
  readonly wallMs = (): number => this.#epochMs + this.#nowMs + this.#wallOffsetMs

  readonly after = (delayMs: number, callback: () => void): (() => void) => {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), callback }
    if (timer.atMs !== Infinity) this.#timers.add(timer)
    return () => { this.#timers.delete(timer) }
  }

  readonly soon = (callback: () => void): void => {
    this.#time.noteActivity()
    nextTurn(() => {
      this.#time.noteActivity()
      callback()
    })
  }

  get nextDueMs (): number {
    let next = Infinity
    if (!this.#isPaused) for (const { atMs } of this.#timers) next = Math.min(next, atMs)
    return next
  }

  /** Its timers wait until it goes on; its clocks do not. */
  setPaused (isPaused: boolean): void {
    this.#isPaused = isPaused
  }

  /** Sets its wall clock forwards or backwards. */
  moveWall (byMs: number): void {
    this.#wallOffsetMs += byMs
  }

  /** Calls back what is due, in the order in which it fell due. */
  fire (nowMs: number): void {
    if (this.#isPaused) return
    const due = [...this.#timers].filter(({ atMs }) => atMs <= nowMs).sort((one, other) => one.atMs - other.atMs)
    for (const timer of due) {
      // One that was called before it may have cancelled it.
      if (!this.#timers.delete(timer)) continue
      this.#time.noteActivity()
      timer.callback()
    }
  }

  /**
   * Leaves the time of the others, and runs through its own as fast as it can until `ended` settles: what belongs to a
   * copy that was killed comes to its end while no time passes for the others.
   */
  async runOut (ended: Promise<unknown>, limitMs: number): Promise<void> {
    this.#time.drop(this)
    this.#isPaused = false
    const end = { isOver: false }
    const settled = (): void => { end.isOver = true }
    ended.then(settled, settled)
    const endMs = this.#nowMs + limitMs
    await this.#time.settle()
    while (!end.isOver && this.nextDueMs <= endMs) {
      this.#aheadMs = this.nextDueMs - this.#time.nowMs
      this.fire(this.#nowMs)
      await this.#time.settle()
    }
    this.#timers.clear()
  }

  get #nowMs (): number {
    return this.#time.nowMs + this.#aheadMs
  }
}
