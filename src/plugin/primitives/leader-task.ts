import type { Leadership } from '../../raft/index.ts'
import { HandoverError, StoppedError } from '../../raft/index.ts'
import type { PrimitiveContext } from './context.ts'
import type { LeadershipGrant } from './grant.ts'
import { createGrant } from './grant.ts'
import type { ClusterSingleton, SingletonState } from './singleton-types.ts'
import type { StoppingTask, TaskRunsOptions } from './task-runs.ts'
import { TaskRuns } from './task-runs.ts'

/** A singleton that runs where the leader is. */
export class LeaderTask implements ClusterSingleton {
  readonly name: string
  readonly #context: PrimitiveContext
  readonly #runs: TaskRuns<LeadershipGrant>
  readonly #stopped: () => void
  readonly #leadershipChanged = (leadership: Leadership | null): void => {
    this.#follow(leadership)
  }

  /** Token of the leadership being served, or null. */
  #token: number | null = null
  /** Changes of leader under way that it has to make room for. */
  #pauses = 0
  #stopping: Promise<void> | null = null

  /** `stopped` is called when it was stopped for good. */
  constructor (context: PrimitiveContext, options: TaskRunsOptions<LeadershipGrant>, stopped: () => void) {
    this.#context = context
    this.name = options.name
    this.#runs = new TaskRuns(context, options)
    this.#stopped = stopped
  }

  get state (): SingletonState {
    const { state } = this.#runs
    const isOver = this.#stopping !== null || this.#context.closed?.aborted === true
    return !isOver || state === 'running' || state === 'stopping' ? state : 'stopped'
  }

  get lastError (): unknown { return this.#runs.lastError }

  /** Whether a run was asked to end and has not returned. */
  get isStopping (): boolean { return this.state === 'stopping' }

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
  pause (): StoppingTask {
    this.#pauses++
    this.#token = null
    return this.#runs.stop(new HandoverError(this.name))
  }

  /** Ends one pause. */
  resume (): void {
    this.#pauses--
    if (this.#stopping === null) this.#follow(this.#context.engine.openLeadership())
  }

  async #stop (): Promise<void> {
    this.#context.engine.events.off('leadership', this.#leadershipChanged)
    this.#token = null
    await this.#runs.stop(new StoppedError(`the singleton "${this.name}" was stopped`)).known
    this.#stopped()
  }

  #follow (leadership: Leadership | null): void {
    if (this.#pauses > 0 || leadership?.token === this.#token) return
    this.#token = leadership?.token ?? null
    if (leadership === null) return this.#runs.rest()
    const { engine, clock } = this.#context
    const { grant, end } = createGrant(engine, leadership)
    this.#runs.begin({
      claim: { kind: 'leadership', token: leadership.token, sinceMs: clock.monotonicMs() },
      signal: grant.signal,
      grantOf: () => grant,
      remainingMs: () => engine.status().leaseRemainingMs ?? Infinity,
      end
    })
  }
}
