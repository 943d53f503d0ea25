import { randomInt } from 'node:crypto'
import type { ReadResult } from '../core/index.ts'
import type { WaitOptions } from '../engine.ts'
import { BusyError, NoLeaderError } from '../errors.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import { Waiter } from '../runtime/waiter.ts'

interface Asked {
  readonly waiters: readonly Waiter<void>[]
  readonly atMs: number
}

/** The node of {@link ReadBarriers}. */
interface ReadingNode {
  readonly appliedIndex: number
  /** Asks for a read index under this context; the answer comes to {@link ReadBarriers.decided}. */
  readonly read: (context: number) => void
}

/** Limits and surroundings of {@link ReadBarriers}. */
interface ReadBarrierOptions {
  readonly node: ReadingNode
  readonly clock: Clock
  /** How long a read waits unless its caller says otherwise. */
  readonly defaultTimeoutMs: number
  /** Reads that may wait at once: more are refused with `RAFT_BUSY`. */
  readonly maxWaiting: number
  /** A question that is unanswered for this long is repeated: its message was lost. */
  readonly repeatAfterMs: number
  /** The event loop and the timers of this process unless given. */
  readonly timers?: Timers
  /** Draws a number below this one that was never drawn before; random unless given. */
  readonly drawContext?: (below: number) => number
}

/**
 * Linearizable read barriers of one node. All reads that arrive in one turn of the event loop share one ReadIndex
 * question, and resolve when this node has applied the log up to the answer (dissertation section 6.4).
 */
export class ReadBarriers {
  readonly #options: ReadBarrierOptions
  #arrived: Array<Waiter<void>> = []
  readonly #asked = new Map<number, Asked>()
  #confirmed: Array<{ readonly index: number, readonly waiters: readonly Waiter<void>[] }> = []
  // Never the same after a restart: a late answer to a read of the last run would confirm a read of this run.
  #nextContext: number
  readonly #timers: Timers
  #waiting = 0
  #flushIsDue = false

  constructor (options: ReadBarrierOptions) {
    this.#options = options
    this.#timers = options.timers ?? systemTimers
    this.#nextContext = (options.drawContext ?? randomInt)(2 ** 47)
  }

  wait (options: WaitOptions): Promise<void> {
    const timeoutMs = options.timeoutMs ?? this.#options.defaultTimeoutMs
    if (this.#waiting >= this.#options.maxWaiting) {
      return Promise.reject(new BusyError(`${this.#waiting} reads are waiting`))
    }
    const waiter = new Waiter<void>(
      { ...options, timeoutMs },
      () => new NoLeaderError(timeoutMs),
      () => {
        this.#waiting--
      },
      this.#timers
    )
    this.#waiting++
    this.#arrived.push(waiter)
    this.#flushSoon()
    return waiter.promise
  }

  /** The core's answer to a question. */
  decided (result: ReadResult): void {
    const asked = this.#asked.get(result.context)
    if (asked === undefined) return
    this.#asked.delete(result.context)
    if (result.kind === 'confirmed') {
      this.#confirmed.push({ index: result.index, waiters: asked.waiters })
      this.applied()
    } else if (result.reason === 'busy') {
      for (const waiter of asked.waiters) waiter.reject(new BusyError('too many reads wait for the leader'))
    } else {
      // Asked again as soon as a leader is known.
      this.#arrived.push(...asked.waiters)
    }
  }

  /** This node has applied more entries. */
  applied (): void {
    const { appliedIndex } = this.#options.node
    const open = this.#confirmed.filter(({ index }) => index > appliedIndex)
    const passed = this.#confirmed.filter(({ index }) => index <= appliedIndex)
    this.#confirmed = open
    for (const { waiters } of passed) for (const waiter of waiters) waiter.resolve()
  }

  /** Another leader, or no leader: questions to the old one may never be answered. */
  leaderChanged (): void {
    this.#askAgain(() => true)
  }

  /** Repeats questions without an answer, and drops confirmed reads whose callers have given up. */
  tick (): void {
    this.#confirmed = this.#confirmed.filter(({ waiters }) => waiters.some((waiter) => !waiter.settled))
    const oldestMs = this.#options.clock.monotonicMs() - this.#options.repeatAfterMs
    this.#askAgain((asked) => asked.atMs <= oldestMs)
  }

  stop (reason: Error): void {
    const waiters = [
      ...this.#arrived,
      ...[...this.#asked.values()].flatMap((asked) => asked.waiters),
      ...this.#confirmed.flatMap((confirmed) => confirmed.waiters)
    ]
    this.#arrived = []
    this.#asked.clear()
    this.#confirmed = []
    for (const waiter of waiters) waiter.reject(reason)
  }

  #askAgain (isDue: (asked: Asked) => boolean): void {
    for (const [context, asked] of this.#asked) {
      if (!isDue(asked)) continue
      this.#asked.delete(context)
      this.#arrived.push(...asked.waiters)
    }
    if (this.#arrived.length > 0) this.#flushSoon()
  }

  #flushSoon (): void {
    if (this.#flushIsDue) return
    this.#flushIsDue = true
    this.#timers.soon(() => {
      this.#flushIsDue = false
      this.#flush()
    })
  }

  #flush (): void {
    const waiters = this.#arrived.filter((waiter) => !waiter.settled)
    this.#arrived = []
    if (waiters.length === 0) return
    const context = this.#nextContext++
    this.#asked.set(context, { waiters, atMs: this.#options.clock.monotonicMs() })
    this.#options.node.read(context)
  }
}
