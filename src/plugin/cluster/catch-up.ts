import { setMaxListeners } from 'node:events'
import type { Clock, Engine, LeaderInfo, Logger } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import { systemTimers } from '../../raft/internal.ts'

/** Pause before the leader is asked again by a node that has not caught up, when no event repeats it sooner. */
const retryMs = 250
/** Most questions that wait for their answers at once: one is answered when this node has applied what it asks for. */
const maxOpenQuestions = 11

/** Pause between two questions of a node that has caught up: two seconds, and more or less where that fits the lag. */
function pauseMs (maxLagMs: number): number {
  return Math.max(Math.min(2_000, maxLagMs / 5), maxLagMs / (maxOpenQuestions - 1))
}

/** What a {@link CatchUp} works with. */
interface CatchUpOptions {
  readonly engine: Engine
  readonly clock: Clock
  /** The timers of this process when left out. */
  readonly timers?: Timers
  readonly logger: Logger
  /** A node further behind has not caught up. */
  readonly maxLagMs: number
}

/**
 * Knows how far this node is behind the cluster: the newest moment of which it has applied everything that was
 * committed anywhere. Indexes cannot tell, because a node learns only late how far the others are; so it asks the
 * leader at short intervals, and the answer to a question counts from the moment when it was asked.
 *
 * A node has caught up while it is at most `maxLagMs` behind. One that was further behind has caught up again when it
 * is at most half as much behind. Without a leader nothing can be judged, and the last judgement stays.
 */
export class CatchUp {
  readonly #options: CatchUpOptions
  readonly #stopped = new AbortController()
  /** All that was committed at this moment of the monotonic clock is applied here. */
  #appliedAsOfMs = -Infinity
  #caughtUp = false
  #open = 0
  #cancelTimer = (): void => {}

  constructor (options: CatchUpOptions) {
    this.#options = options
    // Every open question listens.
    setMaxListeners(0, this.#stopped.signal)
    options.engine.events.on('leader', this.#onLeader)
  }

  /** Whether this node has caught up, as of now. */
  get caughtUp (): boolean {
    if (this.#options.engine.leader() !== null) this.#judge()
    return this.#caughtUp
  }

  /** At most so many milliseconds behind; Infinity until the first answer. */
  get behindMs (): number { return this.#options.clock.monotonicMs() - this.#appliedAsOfMs }

  /** Ends the questions. */
  stop (): void {
    this.#options.engine.events.off('leader', this.#onLeader)
    this.#cancelTimer()
    this.#stopped.abort()
  }

  readonly #onLeader = (leader: LeaderInfo | null): void => {
    if (leader === null) this.#judge()
    else this.#ask()
  }

  #judge (): void {
    const { maxLagMs } = this.#options
    this.#caughtUp = this.behindMs <= (this.#caughtUp ? maxLagMs : maxLagMs / 2)
  }

  #answered (askedMs: number): void {
    this.#appliedAsOfMs = Math.max(this.#appliedAsOfMs, askedMs)
    this.#judge()
  }

  /** Asks now, and again after a pause. A question waits for its answer meanwhile: that may take as long as the lag. */
  #ask (): void {
    const { engine, clock, timers = systemTimers, logger, maxLagMs } = this.#options
    this.#cancelTimer()
    if (this.#stopped.signal.aborted || engine.leader() === null) return
    const everyMs = pauseMs(maxLagMs)
    if (this.#open < maxOpenQuestions) {
      this.#open++
      const askedMs = clock.monotonicMs()
      engine.readBarrier({ timeoutMs: maxLagMs, signal: this.#stopped.signal }).then(
        () => { this.#answered(askedMs) },
        (err: unknown) => {
          if (!this.#stopped.signal.aborted) logger.debug({ err }, 'not caught up with the cluster yet')
        }
      ).finally(() => { this.#open-- }).catch(() => {})
    }
    const delayMs = this.caughtUp ? everyMs : Math.min(retryMs, everyMs)
    this.#cancelTimer = timers.after(delayMs, () => { this.#ask() }, { background: true })
  }
}
