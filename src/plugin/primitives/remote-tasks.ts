import { OnceUnknownError } from '../../raft/index.ts'
import type { OnceEnd } from '../replicated/once-command.ts'
import type { OnceWork } from '../replicated/once-table.ts'
import type { PlacedTask } from '../replicated/place-table.ts'
import type { TaskRun } from '../replicated/task-table.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { beforeRead } from './read.ts'
import { pageOf } from './text-pages.ts'

/** A singleton, or one worker of a task, as the whole cluster has it. */
export interface TaskView {
  readonly name: string
  readonly kind: 'singleton' | 'worker'
  readonly placement: 'leader' | 'spread'
  /** Number of the worker; 0 for a singleton. */
  readonly worker: number
  /** The node of the run; of the place while there is no run. */
  readonly node: string
  /**
   * `running`: a run is at work in its place, or waits there after an error. `moving`: a run is at work or counts as
   * such, and its place is on another node. `waiting`: no run; it is about to start, or the last one has returned.
   */
  readonly state: 'running' | 'moving' | 'waiting'
  /** When the run began, by the leader's clock; null when there is none. */
  readonly since: string | null
  /** Index of its start, as text; null when there is none. */
  readonly token: string | null
}

/** Work that is done once, as the whole cluster has it. */
export interface OnceView {
  readonly name: string
  readonly version: string
  /** `running`: an attempt is at work. `done`: for good. `open`: the last attempt has failed or crashed. */
  readonly state: 'running' | 'done' | 'open'
  /** The node of the last attempt. */
  readonly node: string
  /** Number of the last attempt, from 1. */
  readonly attempt: number
  /** Index of its start, as text. */
  readonly token: string
  /** How the attempt before it ended, or the last one of open work; null for the first. */
  readonly previous: OnceEnd | null
  /** When the state has changed last, by the leader's clock. */
  readonly since: string
}

/** The same with what came of it. */
interface OnceDetail extends OnceView {
  /** What done work returned; null as long as it is not done, and for nothing. */
  readonly result: unknown
  /** Why the last attempt of open work has failed; null otherwise. */
  readonly error: string | null
}

/** Which page; see {@link pageOf}. */
interface PageQuery {
  readonly after?: string | undefined
  readonly limit: number
}

/** The tasks and the work of the whole cluster, for callers over HTTP. Reads are linearizable. */
export class RemoteTasks {
  readonly #context: PrimitiveContext

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  /** All tasks that run somewhere or are spread, by name and worker. */
  async list (query: PageQuery): Promise<{ readonly tasks: readonly TaskView[], readonly next: string | null }> {
    await beforeRead(this.#context, {})
    const { page: tasks, next } = pageOf(this.#views(), ({ name, worker }) => textOf(name, pad(worker)), query)
    return { tasks, next }
  }

  /** All work that is done once, without its results. */
  async listOnce (query: PageQuery): Promise<{ readonly once: readonly OnceView[], readonly next: string | null }> {
    await beforeRead(this.#context, {})
    const { machine } = this.#context
    const { page, next } = pageOf(machine.once.all(), ({ name, version }) => textOf(name, version), query)
    return { once: page.map(onceView), next }
  }

  /** Rejects with `RAFT_ONCE_UNKNOWN` when nobody has begun it. */
  async once (name: string, version: string): Promise<OnceDetail> {
    await beforeRead(this.#context, {})
    const work = this.#context.machine.once.get(name, version)
    if (work === undefined) throw new OnceUnknownError(name, version)
    const { state, text } = work
    return {
      ...onceView(work),
      result: state === 'done' && text !== '' ? JSON.parse(text) as unknown : null,
      error: state === 'open' && text !== '' ? text : null
    }
  }

  * #views (): Generator<TaskView, void, undefined> {
    const { places, tasks } = this.#context.machine
    for (const task of places.all()) {
      for (const [worker, session] of task.places.entries()) {
        const run = tasks.get(task.name, worker)
        yield run === undefined ? waitingView(task, worker, session) : runView(run, task)
      }
    }
    for (const run of tasks.all()) {
      const task = places.get(run.name)
      // The places tell of the others.
      if (task === undefined || run.worker >= task.places.length) yield runView(run, task)
    }
  }
}

function runView (run: TaskRun, task: PlacedTask | undefined): TaskView {
  const { name, worker, node, session, token, startedAtMs } = run
  return {
    name,
    kind: kindOf(task, worker),
    placement: session === 0 ? 'leader' : 'spread',
    worker,
    node,
    state: session !== 0 && task?.places[worker] !== session ? 'moving' : 'running',
    since: new Date(startedAtMs).toISOString(),
    token: formatToken(token)
  }
}

function waitingView (task: PlacedTask, worker: number, session: number): TaskView {
  const node = task.candidates.find((candidate) => candidate.session === session)?.node ?? ''
  const { name } = task
  return {
    name, kind: kindOf(task, worker), placement: 'spread', worker, node, state: 'waiting', since: null, token: null
  }
}

function kindOf (task: PlacedTask | undefined, worker: number): TaskView['kind'] {
  return worker > 0 || (task?.places.length ?? 1) > 1 ? 'worker' : 'singleton'
}

function onceView ({ name, version, state, node, attempt, token, previous, changedAtMs }: OnceWork): OnceView {
  const since = new Date(changedAtMs).toISOString()
  return { name, version, state, node, attempt, token: formatToken(token), previous, since }
}

/** Several texts as one, of valid Unicode and in the order of the first. */
function textOf (...texts: readonly string[]): string {
  return JSON.stringify(texts)
}

function pad (worker: number): string {
  return String(worker).padStart(3, '0')
}
