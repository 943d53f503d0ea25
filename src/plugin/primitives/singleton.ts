import type { Engine, Leadership } from '../../raft/index.ts'
import { InvalidOptionsError, LeadershipLostError, StoppedError } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'
import type { GrantOwner, LeadershipGrant } from './grant.ts'
import { createGrant } from './grant.ts'

/** The work of a singleton. Runs while this node leads, and must end when the signal aborts. */
export type SingletonRun = (signal: AbortSignal, grant: LeadershipGrant) => void | Promise<void>

/** Options of a singleton. */
export interface SingletonOptions {
  /** Called with every error that the run throws before its signal aborts. Must not throw. */
  readonly onError?: ((error: unknown) => void) | undefined
}

/**
 * State of a singleton on this node.
 *
 * - `waiting`: this node does not lead.
 * - `running`: the run is at work.
 * - `stopping`: the signal has aborted and the run has not returned yet.
 * - `backing-off`: the run threw, and starts again after 100 ms to 10 s.
 * - `finished`: the run returned; it starts again at the next leadership.
 * - `stopped`: `stop` was called.
 */
export type SingletonState = 'waiting' | 'running' | 'stopping' | 'backing-off' | 'finished' | 'stopped'

/** A task that runs on one node of the cluster at a time: the one that leads. */
export interface ClusterSingleton extends AsyncDisposable {
  /** Its name; the same on every node. */
  readonly name: string
  /** What it does on this node now. */
  readonly state: SingletonState
  /** The last error that the run threw on this node; undefined when it threw none. */
  readonly lastError: unknown
  /** Aborts the run and resolves when it has returned. The name can then be used again. Never rejects. */
  stop: () => Promise<void>
}

const firstBackoffMs = 100
const maxBackoffMs = 10_000

/** Singletons of each node that have not been stopped, by name. */
const singletonsOf = new WeakMap<Engine, Map<string, ClusterSingleton>>()

/**
 * Runs `run` whenever this node leads; the next leader starts it again. Runs of one node never overlap. A run of the
 * last leader that ignores its signal may overlap with that of the next leader: fence its writes with the token.
 *
 * Throws `RAFT_INVALID_OPTIONS` when the name is in use on this node.
 */
export function createSingleton (
  context: PrimitiveContext,
  name: string,
  run: SingletonRun,
  options: SingletonOptions = {}
): ClusterSingleton {
  if (name.length === 0) throw new InvalidOptionsError('a singleton needs a name')
  const singletons = singletonsOf.get(context.engine) ?? new Map<string, ClusterSingleton>()
  singletonsOf.set(context.engine, singletons)
  if (singletons.has(name)) throw new InvalidOptionsError(`a singleton named "${name}" exists on this node already`)
  const singleton = new LeaderTask(context, name, run, options, () => {
    singletons.delete(name)
  })
  singletons.set(name, singleton)
  singleton.start()
  return singleton
}

/** Singletons that were told to stop. */
export interface StoppingSingletons {
  /** Resolves when every run has returned. Never rejects. */
  readonly ended: Promise<void>
  /** Names of those whose run has not returned. */
  readonly running: () => readonly string[]
}

/** Stops all singletons of this node, as `stop` of each of them does. */
export function stopSingletons ({ engine }: PrimitiveContext): StoppingSingletons {
  const singletons = [...(singletonsOf.get(engine)?.values() ?? [])]
  return {
    ended: Promise.all(singletons.map((singleton) => singleton.stop())).then(() => {}),
    running: () => singletons.filter(({ state }) => state === 'stopping').map(({ name }) => name)
  }
}

class LeaderTask implements ClusterSingleton {
  readonly name: string
  readonly #context: PrimitiveContext
  readonly #run: SingletonRun
  readonly #options: SingletonOptions
  readonly #stopped: () => void
  readonly #leadershipChanged = (leadership: Leadership | null): void => {
    this.#follow(leadership)
  }

  #phase: 'waiting' | 'running' | 'backing-off' | 'finished' = 'waiting'
  #lastError: unknown
  /** Token of the leadership being served, or null. */
  #token: number | null = null
  #owner: GrantOwner | null = null
  /** Settles when all earlier work has; never rejects. */
  #work: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | null = null

  constructor (
    context: PrimitiveContext,
    name: string,
    run: SingletonRun,
    options: SingletonOptions,
    stopped: () => void
  ) {
    this.#context = context
    this.name = name
    this.#run = run
    this.#options = options
    this.#stopped = stopped
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

  async #stop (): Promise<void> {
    this.#context.engine.events.off('leadership', this.#leadershipChanged)
    this.#token = null
    this.#owner?.end(new StoppedError(`the singleton "${this.name}" was stopped`))
    await this.#work
    this.#phase = 'waiting'
    this.#stopped()
  }

  #follow (leadership: Leadership | null): void {
    if (leadership?.token === this.#token) return
    this.#token = leadership?.token ?? null
    if (this.#phase === 'finished') this.#phase = 'waiting'
    if (leadership === null) return
    if (this.#phase === 'running') {
      this.#context.logger.warn(
        { singleton: this.name },
        'the last run still ignores its signal; the next one waits for it'
      )
    }
    this.#work = this.#serve(leadership, this.#work)
  }

  /** Serves one leadership, after all earlier work. */
  async #serve (leadership: Leadership, earlier: Promise<void>): Promise<void> {
    await earlier
    if (this.#token !== leadership.token) return
    const owner = createGrant(this.#context.engine, leadership)
    this.#owner = owner
    for (
      let backoffMs = firstBackoffMs;
      !owner.grant.signal.aborted;
      backoffMs = Math.min(backoffMs * 2, maxBackoffMs)
    ) {
      const startedMs = this.#context.clock.monotonicMs()
      this.#phase = 'running'
      const hasFinished = await this.#runOnce(owner.grant)
      this.#phase = hasFinished ? 'finished' : 'backing-off'
      if (hasFinished || owner.grant.signal.aborted) break
      // A run that held out for long starts the doubling anew.
      if (this.#context.clock.monotonicMs() - startedMs > maxBackoffMs) backoffMs = firstBackoffMs
      await this.#pause(backoffMs, owner.grant.signal)
    }
    if (owner.grant.signal.aborted) this.#phase = 'waiting'
    owner.end()
  }

  /** Resolves with true when the run returned and with false when it threw. */
  async #runOnce (grant: LeadershipGrant): Promise<boolean> {
    try {
      await this.#run(grant.signal, grant)
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

  async #pause (backoffMs: number, signal: AbortSignal): Promise<void> {
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
