import type { LeaderInfo } from '../../raft/index.ts'
import { HandoverError, isRaftError, SessionLostError, StoppedError } from '../../raft/index.ts'
import { pause, systemTimers } from '../../raft/internal.ts'
import type { PrimitiveContext } from './context.ts'
import { PlacedWorker } from './placed-worker.ts'
import type { HeldSession } from './process-session.ts'
import { processSession } from './process-session.ts'
import { proposeToTask } from './propose.ts'
import type { ClusterSingleton, ClusterWorkers, SingletonState, WorkerGrant } from './singleton-types.ts'
import { isTransient, retryMs } from './task-claim.ts'
import type { StoppingTask, TaskRunsOptions } from './task-runs.ts'

/** Pause before an offer is made again that the cluster has no room for, in milliseconds. */
const busyRetryMs = 5_000

/**
 * A task whose workers are spread over the nodes. This process offers to run them for as long as its session lives;
 * which of them it has follows from the offers of all, in the log.
 */
export class PlacedTask implements ClusterSingleton, ClusterWorkers {
  readonly name: string
  readonly #context: PrimitiveContext
  readonly #workers: readonly PlacedWorker[]
  readonly #stopped: () => void
  readonly #ends = new AbortController()
  /** The session under which it was offered last, or was about to be; 0 for none. */
  #offered = 0
  #session: HeldSession | null = null
  /** Settles when no further offer is made; never rejects. */
  #offering: Promise<void> = Promise.resolve()
  #isFollowing = false
  #stopListening: () => void = () => {}
  #withdrawn: StoppingTask | null = null
  #stopping: Promise<void> | null = null

  /** `stopped` is called when it was stopped for good. */
  constructor (context: PrimitiveContext, count: number, options: TaskRunsOptions<WorkerGrant>, stopped: () => void) {
    this.name = options.name
    this.#context = context
    this.#workers = Array.from({ length: count }, (_, worker) => new PlacedWorker(context, worker, options))
    this.#stopped = stopped
  }

  get states (): readonly SingletonState[] {
    const isOver = this.#stopping !== null || this.#context.closed?.aborted === true
    return this.#workers.map(({ runs: { state } }) =>
      !isOver || state === 'running' || state === 'stopping' ? state : 'stopped')
  }

  get state (): SingletonState { return this.states[0] ?? 'stopped' }

  get lastError (): unknown {
    return this.#workers.find(({ runs }) => runs.lastError !== undefined)?.runs.lastError
  }

  /** Whether a run was asked to end and has not returned. */
  get isStopping (): boolean { return this.states.includes('stopping') }

  start (): void {
    // Within `apply` nothing of the application may run.
    this.#stopListening = this.#context.machine.onPlaceChange(this.name, () => { this.#followSoon() })
    this.#offering = this.#offer().catch((err: unknown) => {
      this.#context.logger.error({ err, singleton: this.name }, 'this node cannot offer to run a task')
    })
  }

  stop (): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose] (): Promise<void> {
    return this.stop()
  }

  /** Gives its places to other nodes, for good: this node is about to close. */
  withdraw (): StoppingTask {
    return this.#withdraw(new HandoverError(this.name))
  }

  async #stop (): Promise<void> {
    await this.#withdraw(new StoppedError(`the task "${this.name}" was stopped`)).known
    this.#stopped()
  }

  #withdraw (reason: Error): StoppingTask {
    this.#withdrawn ??= this.#withdrawNow(reason)
    return this.#withdrawn
  }

  #withdrawNow (reason: Error): StoppingTask {
    this.#stopListening()
    this.#ends.abort(reason)
    this.#session = null
    const stops = this.#workers.map((worker) => worker.stop(reason))
    const left = this.#offering.then(async () => { await this.#leave() })
    return {
      ended: Promise.all(stops.map(({ ended }) => ended)).then(() => {}),
      known: Promise.all([left, ...stops.map(({ known }) => known)]).then(() => {})
    }
  }

  /** Resolves when the offer is taken back, or its session is over, or this node closes. Never rejects. */
  async #leave (): Promise<void> {
    const { machine, logger, closed, timers = systemTimers } = this.#context
    const session = this.#offered
    if (session === 0) return
    while (closed?.aborted !== true) {
      try {
        await proposeToTask(this.#context, { kind: 'place-leave', name: this.name, session }, { signal: closed })
        return
      } catch (error) {
        logger.debug({ err: error, singleton: this.name }, 'could not withdraw from a task')
        if (!isTransient(error)) return
        await pause(timers, retryMs, undefined, { background: true })
      }
      if (machine.sessions.get(session) === undefined) return
    }
  }

  /** Offers to run the task, again with each session of this process, until it is withdrawn. */
  async #offer (): Promise<void> {
    const { signal } = this.#ends
    while (!signal.aborted && this.#context.closed?.aborted !== true) {
      await leaderKnown(this.#context, signal)
      const session = await this.#join(signal)
      if (session === 'over') return
      if (session === 'again') continue
      this.#session = session
      this.#follow()
      await firstAbort(session.signal, signal)
      this.#session = null
      this.#follow()
    }
  }

  async #join (signal: AbortSignal): Promise<HeldSession | 'again' | 'over'> {
    const { engine, logger, timers = systemTimers } = this.#context
    try {
      const session = await processSession(this.#context).open({ signal })
      const { nodeId: node } = engine.status()
      const workers = this.#workers.length
      this.#offered = session.id
      const command = { kind: 'place-join', name: this.name, node, session: session.id, workers } as const
      // Without the signal: what is taken back must not arrive afterwards.
      const { kind } = await proposeToTask(this.#context, command)
      return kind === 'task-placed' && !signal.aborted ? session : 'again'
    } catch (error) {
      if (signal.aborted || error instanceof StoppedError) return 'over'
      if (!isTransient(error) && !(error instanceof SessionLostError)) throw error
      const isBusy = isRaftError(error) && error.code === 'RAFT_BUSY'
      logger[isBusy ? 'warn' : 'debug']({ err: error, singleton: this.name }, 'could not offer to run a task yet')
      await pause(timers, isBusy ? busyRetryMs : retryMs, signal, { background: true }).catch(() => {})
      return 'again'
    }
  }

  #followSoon (): void {
    if (this.#isFollowing) return
    this.#isFollowing = true
    queueMicrotask(() => {
      this.#isFollowing = false
      this.#follow()
    })
  }

  /** Starts the workers that have their place here, and stops those that have not. */
  #follow (): void {
    if (this.#withdrawn !== null) return
    for (const worker of this.#workers) worker.follow(this.#session)
  }
}

/** Resolves when a leader is known, or the signal has aborted. Before the node has started there is nobody to ask. */
async function leaderKnown ({ engine }: PrimitiveContext, signal: AbortSignal): Promise<void> {
  if (engine.leader() !== null || signal.aborted) return
  await new Promise<void>((resolve) => {
    const end = (): void => {
      engine.events.off('leader', changed)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const changed = (leader: LeaderInfo | null): void => { if (leader !== null) end() }
    engine.events.on('leader', changed)
    signal.addEventListener('abort', end)
  })
}

/** Resolves when one of the signals has aborted. */
async function firstAbort (...signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals])
  if (any.aborted) return
  await new Promise<void>((resolve) => { any.addEventListener('abort', () => { resolve() }, { once: true }) })
}
