import { HandoverError, LeadershipLostError, SessionLostError, StoppedError } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'
import type { TaskGrant } from './grant.ts'
import { endProcessWithLease } from './lease-watchdog.ts'
import type { ClaimRight } from './task-claim.ts'
import { TaskClaim } from './task-claim.ts'

/** What allows this node to run a task, for as long as it lasts. */
export interface TaskRight<Grant extends TaskGrant> {
  readonly claim: ClaimRight
  /** Aborts when the right is over. */
  readonly signal: AbortSignal
  /** What the run is given; `token` is the log index of its start. */
  readonly grantOf: (token: number) => Grant
  /** Milliseconds for which the right surely lasts from now on; `Infinity` when it cannot lapse. */
  readonly remainingMs: () => number
  /** Gives the right back; with a reason its signal aborts. */
  readonly end: (reason?: Error) => void
}

/** What is run, and how; see the options of a singleton. */
export interface TaskRunsOptions<Grant extends TaskGrant> {
  readonly name: string
  readonly run: (signal: AbortSignal, grant: Grant) => void | Promise<void>
  readonly onError: ((error: unknown) => void) | undefined
  readonly stopGraceMs: number
  readonly handoverDelayMs: number
  readonly onLeaseLost: 'abort' | 'exit'
}

/** A task that was asked to stop. Nothing here rejects. */
export interface StoppingTask {
  /** Resolves when its run has returned. */
  readonly ended: Promise<void>
  /** Resolves when the cluster knows. */
  readonly known: Promise<void>
}

const firstBackoffMs = 1_000
const maxBackoffMs = 60_000

/** The runs of one task on one node: one at a time, each under a right of its own. */
export class TaskRuns<Grant extends TaskGrant> {
  readonly #context: PrimitiveContext
  readonly #options: TaskRunsOptions<Grant>
  /** Rights that are served, or wait for the earlier ones to be. */
  readonly #rights = new Set<TaskRight<Grant>>()
  #phase: 'waiting' | 'running' | 'backing-off' | 'finished' = 'waiting'
  #running: TaskRight<Grant> | null = null
  #lastError: unknown
  /** Settles when all earlier work has; never rejects. */
  #work: Promise<void> = Promise.resolve()
  /** Settles when the cluster knows that all earlier work has ended; never rejects. */
  #released: Promise<void> = Promise.resolve()

  constructor (context: PrimitiveContext, options: TaskRunsOptions<Grant>) {
    this.#context = context
    this.#options = options
  }

  get state (): 'waiting' | 'running' | 'stopping' | 'backing-off' | 'finished' {
    if (this.#phase === 'running' && this.#running?.signal.aborted === true) return 'stopping'
    return this.#phase
  }

  get lastError (): unknown { return this.#lastError }

  /** Serves a right, behind all earlier ones. */
  begin (right: TaskRight<Grant>): void {
    this.rest()
    if (this.#phase === 'running') {
      this.#context.logger.warn(
        { singleton: this.#options.name },
        'the last run still ignores its signal; the next one waits for it'
      )
    }
    this.#rights.add(right)
    this.#work = this.#serve(right, this.#work)
  }

  /** A run that has returned does not count any more. */
  rest (): void {
    if (this.#phase === 'finished') this.#phase = 'waiting'
  }

  /** Ends all rights with this reason. */
  stop (reason: Error): StoppingTask {
    for (const right of this.#rights) right.end(reason)
    const ended = this.#work.then(() => { this.#phase = 'waiting' })
    return { ended, known: ended.then(async () => { await this.#released }) }
  }

  async #serve (right: TaskRight<Grant>, earlier: Promise<void>): Promise<void> {
    await earlier
    const claim = right.signal.aborted ? null : await this.#claim(right)
    if (claim !== null) {
      this.#running = right
      await this.#runAgain(right, right.grantOf(claim.token))
      this.#running = null
      this.#released = Promise.all([this.#released, claim.release()]).then(() => {})
    }
    if (right.signal.aborted) this.#phase = 'waiting'
    this.#rights.delete(right)
    right.end()
  }

  /** Null: the right ended before, or the cluster refuses the task. */
  async #claim ({ claim, signal }: TaskRight<Grant>): Promise<TaskClaim | null> {
    const { name, stopGraceMs, handoverDelayMs } = this.#options
    try {
      return await TaskClaim.take(this.#context, { name, right: claim, stopGraceMs, handoverDelayMs, signal })
    } catch (error) {
      if (!signal.aborted && !isEnd(error)) this.#failed(error)
      return null
    }
  }

  /** Runs until a run returns, or the right ends. */
  async #runAgain (right: TaskRight<Grant>, grant: Grant): Promise<void> {
    const { signal } = right
    for (let backoffMs = firstBackoffMs; !signal.aborted; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
      const startedMs = this.#context.clock.monotonicMs()
      this.#phase = 'running'
      const hasFinished = await this.#runOnce(right, grant)
      this.#phase = hasFinished ? 'finished' : 'backing-off'
      if (hasFinished || signal.aborted) return
      // A run that held out for long starts the doubling anew.
      if (this.#context.clock.monotonicMs() - startedMs > maxBackoffMs) backoffMs = firstBackoffMs
      await this.#backOff(backoffMs, signal)
    }
  }

  /** Resolves with true when the run returned and with false when it threw. */
  async #runOnce ({ signal, remainingMs }: TaskRight<Grant>, grant: Grant): Promise<boolean> {
    const { name, run, onLeaseLost } = this.#options
    const what = `the time of the task ${JSON.stringify(name)} is over`
    const unwatch = onLeaseLost === 'exit' ? endProcessWithLease(this.#context, { what, remainingMs }) : null
    try {
      await run(signal, grant)
      return true
    } catch (error) {
      // What `check` throws when the session is over and its signal has not aborted yet.
      const isLost = error instanceof SessionLostError && remainingMs() <= 0
      if (isLost || isEnd(error) || isEndOf(signal, error)) {
        this.#context.logger.debug({ err: error, singleton: name }, 'run ended with what allowed it')
      } else this.#failed(error)
      return false
    } finally {
      unwatch?.()
    }
  }

  #failed (error: unknown): void {
    const { name, onError } = this.#options
    this.#lastError = error
    this.#context.logger.error({ err: error, singleton: name }, 'run failed')
    try {
      onError?.(error)
    } catch (fault) {
      this.#context.logger.error({ err: fault, singleton: name }, 'onError of the singleton threw')
    }
  }

  async #backOff (backoffMs: number, signal: AbortSignal): Promise<void> {
    // Half of the backoff to all of it, at random: tasks that failed together do not start again together.
    const delayMs = backoffMs * (0.5 + (this.#context.random ?? Math.random)() / 2)
    let resolve = (): void => {}
    const over = new Promise<void>((_resolve) => { resolve = _resolve })
    const cancel = (this.#context.timers ?? systemTimers).after(delayMs, resolve, { background: true })
    signal.addEventListener('abort', resolve, { once: true })
    await over
    cancel()
    signal.removeEventListener('abort', resolve)
  }
}

/** Whether an error only says that what allowed the work is over. */
function isEnd (error: unknown): boolean {
  return [LeadershipLostError, HandoverError, StoppedError].some((End) => error instanceof End)
}

function isEndOf (signal: AbortSignal, error: unknown): boolean {
  return signal.aborted && (error === signal.reason || (error instanceof Error && error.name === 'AbortError'))
}
