import type { Leadership } from '../../raft/index.ts'
import { HandoverError, LeadershipLostError, StoppedError } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'
import type { GrantOwner, LeadershipGrant } from './grant.ts'
import { createGrant } from './grant.ts'
import type { ClusterSingleton, SingletonRun, SingletonState } from './singleton-types.ts'
import { TaskClaim } from './task-claim.ts'

/** What a {@link LeaderTask} is made of. */
interface LeaderTaskOptions {
  readonly name: string
  readonly run: SingletonRun
  readonly onError: ((error: unknown) => void) | undefined
  readonly stopGraceMs: number
  readonly handoverDelayMs: number
  /** Called when it was stopped for good. */
  readonly stopped: () => void
}

/** A task that was asked to stop for a while; nothing here rejects. */
interface PausedTask {
  /** Resolves when its run has returned. */
  readonly ended: Promise<void>
  /** Resolves when the cluster knows. */
  readonly known: Promise<void>
}

const firstBackoffMs = 1_000
const maxBackoffMs = 60_000

/** A singleton that runs where the leader is. */
export class LeaderTask implements ClusterSingleton {
  readonly #context: PrimitiveContext
  readonly #options: LeaderTaskOptions
  readonly #leadershipChanged = (leadership: Leadership | null): void => {
    this.#follow(leadership)
  }

  #phase: 'waiting' | 'running' | 'backing-off' | 'finished' = 'waiting'
  #lastError: unknown
  /** Token of the leadership being served, or null. */
  #token: number | null = null
  #owner: GrantOwner | null = null
  /** Changes of leader under way that it has to make room for. */
  #pauses = 0
  /** Settles when all earlier work has; never rejects. */
  #work: Promise<void> = Promise.resolve()
  /** Settles when the cluster knows that all earlier work has ended; never rejects. */
  #released: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | null = null

  constructor (context: PrimitiveContext, options: LeaderTaskOptions) {
    this.#context = context
    this.#options = options
  }

  get name (): string {
    return this.#options.name
  }

  get state (): SingletonState {
    if (this.#phase === 'running') return this.#owner?.grant.signal.aborted === true ? 'stopping' : 'running'
    return this.#stopping === null ? this.#phase : 'stopped'
  }

  get lastError (): unknown {
    return this.#lastError
  }

  start (): void {
    this.#context.engine.events.on('leadership', this.#leadershipChanged)
    this.#follow(this.#context.engine.openLeadership())
  }

  stop (): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose] (): Promise<void> {
    return this.stop()
  }

  /** Asks the run to stop, so that another node can take over. */
  pause (): PausedTask {
    this.#pauses++
    this.#abort(new HandoverError(this.name))
    const ended = this.#work.then(() => { this.#phase = 'waiting' })
    return { ended, known: ended.then(async () => { await this.#released }) }
  }

  /** Ends one pause. */
  resume (): void {
    this.#pauses--
    if (this.#stopping === null) this.#follow(this.#context.engine.openLeadership())
  }

  async #stop (): Promise<void> {
    this.#context.engine.events.off('leadership', this.#leadershipChanged)
    this.#abort(new StoppedError(`the singleton "${this.name}" was stopped`))
    await this.#work
    this.#phase = 'waiting'
    await this.#released
    this.#options.stopped()
  }

  #abort (reason: Error): void {
    this.#token = null
    this.#owner?.end(reason)
  }

  #follow (leadership: Leadership | null): void {
    if (this.#pauses > 0 || leadership?.token === this.#token) return
    this.#token = leadership?.token ?? null
    if (this.#phase === 'finished') this.#phase = 'waiting'
    if (leadership === null) return
    if (this.#phase === 'running') {
      this.#context.logger.warn(
        { singleton: this.name },
        'the last run still ignores its signal; the next one waits for it'
      )
    }
    this.#work = this.#serve(leadership, this.#work, this.#context.clock.monotonicMs())
  }

  /** Serves one leadership, after all earlier work. */
  async #serve (leadership: Leadership, earlier: Promise<void>, sinceMs: number): Promise<void> {
    await earlier
    if (this.#token !== leadership.token) return
    const owner = createGrant(this.#context.engine, leadership)
    this.#owner = owner
    const claim = await this.#claim(leadership, owner.grant, sinceMs)
    if (claim !== null) {
      await this.#runAgain(owner.grant)
      this.#released = Promise.all([this.#released, claim.release()]).then(() => {})
    }
    if (owner.grant.signal.aborted) this.#phase = 'waiting'
    owner.end()
  }

  /** Null: the leadership ended before, or the cluster refuses the task. */
  async #claim (leadership: Leadership, { signal }: LeadershipGrant, sinceMs: number): Promise<TaskClaim | null> {
    const { name, stopGraceMs, handoverDelayMs } = this.#options
    try {
      const fence = leadership.token
      return await TaskClaim.take(this.#context, { name, fence, sinceMs, stopGraceMs, handoverDelayMs, signal })
    } catch (error) {
      if (signal.aborted || error instanceof LeadershipLostError || error instanceof StoppedError) return null
      this.#failed(error)
      return null
    }
  }

  /** Runs until a run returns, or the grant ends. */
  async #runAgain (grant: LeadershipGrant): Promise<void> {
    for (let backoffMs = firstBackoffMs; !grant.signal.aborted; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
      const startedMs = this.#context.clock.monotonicMs()
      this.#phase = 'running'
      const hasFinished = await this.#runOnce(grant)
      this.#phase = hasFinished ? 'finished' : 'backing-off'
      if (hasFinished || grant.signal.aborted) return
      // A run that held out for long starts the doubling anew.
      if (this.#context.clock.monotonicMs() - startedMs > maxBackoffMs) backoffMs = firstBackoffMs
      await this.#backOff(backoffMs, grant.signal)
    }
  }

  /** Resolves with true when the run returned and with false when it threw. */
  async #runOnce (grant: LeadershipGrant): Promise<boolean> {
    try {
      await this.#options.run(grant.signal, grant)
      return true
    } catch (error) {
      if (isEndOf(grant, error)) {
        this.#context.logger.debug({ err: error, singleton: this.name }, 'run ended with its leadership')
      } else this.#failed(error)
      return false
    }
  }

  #failed (error: unknown): void {
    this.#lastError = error
    this.#context.logger.error({ err: error, singleton: this.name }, 'run failed')
    try {
      this.#options.onError?.(error)
    } catch (fault) {
      this.#context.logger.error({ err: fault, singleton: this.name }, 'onError of the singleton threw')
    }
  }

  async #backOff (backoffMs: number, signal: AbortSignal): Promise<void> {
    // Half of the backoff to all of it, at random: singletons that failed together do not start again together.
    const delayMs = backoffMs * (0.5 + (this.#context.random ?? Math.random)() / 2)
    const { promise, resolve } = deferred()
    const cancel = (this.#context.timers ?? systemTimers).after(delayMs, resolve, { background: true })
    signal.addEventListener('abort', resolve, { once: true })
    await promise
    cancel()
    signal.removeEventListener('abort', resolve)
  }
}

/** Whether a run threw only because its leadership ended. */
function isEndOf (grant: LeadershipGrant, error: unknown): boolean {
  if (error instanceof LeadershipLostError) return true
  return (
    grant.signal.aborted && (error === grant.signal.reason || (error instanceof Error && error.name === 'AbortError'))
  )
}

function deferred (): { promise: Promise<void>, resolve: () => void } {
  let resolve: () => void = () => {}
  const promise = new Promise<void>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}
