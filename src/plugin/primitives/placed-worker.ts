import { setMaxListeners } from 'node:events'
import { HandoverError, SessionLostError } from '../../raft/index.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import type { HeldSession } from './process-session.ts'
import type { WorkerGrant } from './singleton-types.ts'
import type { StoppingTask, TaskRight, TaskRunsOptions } from './task-runs.ts'
import { TaskRuns } from './task-runs.ts'

/** One worker of a task that is spread over the nodes, on this node: it runs while it has its place here. */
export class PlacedWorker {
  readonly runs: TaskRuns<WorkerGrant>
  readonly #context: PrimitiveContext
  readonly #name: string
  readonly #worker: number
  /** The place that is served. */
  #place: { readonly session: number, readonly end: (reason: Error) => void } | null = null

  constructor (context: PrimitiveContext, worker: number, options: TaskRunsOptions<WorkerGrant>) {
    this.runs = new TaskRuns(context, options)
    this.#context = context
    this.#name = options.name
    this.#worker = worker
  }

  /** Looks where the place is; `session` is that of this process, null when it has none. */
  follow (session: HeldSession | null): void {
    const isHere = session !== null && this.#isIn(session)
    if (this.#place !== null && (!isHere || this.#place.session !== session.id)) {
      const isLost = session === null || session.expiresInMs === 0
      this.#place.end(isLost ? new SessionLostError(this.#place.session) : new HandoverError(this.#name))
      this.#place = null
      this.runs.rest()
    }
    if (!isHere || this.#place !== null) return
    const right = this.#rightOf(session)
    this.#place = { session: session.id, end: right.end }
    this.runs.begin(right)
  }

  stop (reason: Error): StoppingTask {
    this.#place = null
    return this.runs.stop(reason)
  }

  #isIn ({ id }: HeldSession): boolean {
    return this.#context.machine.places.sessionOf(this.#name, this.#worker) === id
  }

  #rightOf (session: HeldSession): TaskRight<WorkerGrant> {
    const ends = new AbortController()
    const signal = AbortSignal.any([ends.signal, session.signal])
    setMaxListeners(0, signal)
    const worker = this.#worker
    return {
      claim: { kind: 'place', session: session.id, worker },
      signal,
      grantOf: (token) => ({
        token: formatToken(token),
        worker,
        signal,
        check: () => {
          signal.throwIfAborted()
          const holds = this.#context.machine.tasks.get(this.#name, worker)?.token === token
          if (!holds || session.expiresInMs === 0) throw new SessionLostError(session.id)
        }
      }),
      remainingMs: () => session.expiresInMs,
      end: (reason) => { if (reason !== undefined) ends.abort(reason) }
    }
  }
}
