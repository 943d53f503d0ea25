import type { ApplyContext } from '../../raft/index.ts'
import type { TaskAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import type { TaskStartCommand, TaskStopCommand } from './task-command.ts'
import { isIndex, isNodeName, isRequestId, isTaskName, isToken, isWorker } from './validate.ts'

/** A run of a task, or of one of its workers, that began, and has not been said to have ended. */
export interface TaskRun {
  /** Name of the task. */
  readonly name: string
  /** Number of the worker; 0 for a task that has none. */
  readonly worker: number
  /** The node that runs it. */
  readonly node: string
  /** Random, chosen by that node for this run. */
  readonly run: string
  /** Log index of its start. */
  readonly token: number
  /** The leader's time of day at its start, in milliseconds since the epoch. */
  readonly startedAtMs: number
  /** The session that has the place of the worker; 0 for a run that works under a leadership. */
  readonly session: number
}

const part = 'tasks'

/**
 * Which task runs where: one run of a task, or of a worker of it, at a time. The next one starts behind the stop of the
 * last one, or names the one that it takes to be over. Pure: log index, log time and commands decide everything.
 */
export class TaskTable implements SnapshotPart {
  readonly #changed: () => void
  #runs = new Map<string, TaskRun>()
  /** Tokens of the runs that work under no leadership. */
  #tokens = new Set<number>()

  /** `changed` is called whenever a run starts or ends; it must not throw. */
  constructor (changed: () => void = () => {}) {
    this.#changed = changed
  }

  /** Starts a run, unless another one is at work in its place. The same run again gets the same answer. */
  start (command: TaskStartCommand, { index, timeOfDayMs }: ApplyContext): TaskAnswer {
    const { name, worker = 0, node, run, over, session = 0 } = command
    const current = this.get(name, worker)
    if (current?.run === run) return { kind: 'task-started', name, token: current.token }
    if (current !== undefined && current.token !== over) {
      return { kind: 'task-held', name, node: current.node, token: current.token }
    }
    if (current === undefined && this.#runs.size >= limits.maxTaskRuns) {
      return refuse('RAFT_BUSY', `${limits.maxTaskRuns} tasks run`)
    }
    if (current !== undefined) this.#remove(current)
    this.#add({ name, worker, node, run, token: index, startedAtMs: timeOfDayMs, session })
    this.#changed()
    return { kind: 'task-started', name, token: index }
  }

  /** A run has ended. */
  stop ({ name, worker = 0, run }: TaskStopCommand): TaskAnswer {
    const current = this.get(name, worker)
    if (current?.run !== run) return { kind: 'stale', name }
    this.#remove(current)
    this.#changed()
    return { kind: 'task-stopped', name }
  }

  /** The run of a task, or of one of its workers, as applied on this node. */
  get (name: string, worker = 0): TaskRun | undefined { return this.#runs.get(keyOf(name, worker)) }

  /** Whether this is the token of a run that works under no leadership. */
  hasToken (token: number): boolean { return this.#tokens.has(token) }

  /** All runs as applied on this node. */
  all (): IterableIterator<TaskRun> { return this.#runs.values() }

  get size (): number { return this.#runs.size }

  /** The oldest version of the records' format that holds what there is. */
  get version (): number { return [...this.#runs.values()].some(isOfWorker) ? 2 : 1 }

  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#runs.values()])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const runs = new Map<string, TaskRun>()
    for await (const record of records) {
      const run = readRun(fieldsOf(textOf(record, part), part))
      const key = keyOf(run.name, run.worker)
      if (runs.has(key)) throw malformed(part)
      runs.set(key, run)
    }
    if (runs.size > limits.maxTaskRuns) throw malformed(part)
    return () => {
      this.#runs = runs
      this.#tokens = new Set([...runs.values()].filter(isPlaced).map(({ token }) => token))
      this.#changed()
    }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return [...this.#runs.values()] }

  #add (run: TaskRun): void {
    this.#runs.set(keyOf(run.name, run.worker), run)
    if (isPlaced(run)) this.#tokens.add(run.token)
  }

  #remove (run: TaskRun): void {
    this.#runs.delete(keyOf(run.name, run.worker))
    this.#tokens.delete(run.token)
  }
}

function keyOf (name: string, worker: number): string {
  return `${worker} ${name}`
}

function isPlaced ({ session }: TaskRun): boolean {
  return session !== 0
}

/** Whether earlier releases had no such run. */
function isOfWorker ({ worker, session }: TaskRun): boolean {
  return worker !== 0 || session !== 0
}

function * encodeRecords (runs: readonly TaskRun[]): Generator<Uint8Array, void, undefined> {
  for (const task of runs) {
    const { name, node, run, token, startedAtMs, worker, session } = task
    yield recordOf(name, node, run, token, startedAtMs, ...(isOfWorker(task) ? [worker, session] : []))
  }
}

function readRun (fields: readonly unknown[]): TaskRun {
  const [name, node, run, token, startedAtMs, worker = 0, session = 0, ...more] = fields
  const isRun =
    isTaskName(name) &&
    isNodeName(node) &&
    isRequestId(run) &&
    isToken(token) &&
    isIndex(startedAtMs) &&
    isWorker(worker) &&
    isIndex(session) &&
    more.length === 0
  if (!isRun) throw malformed(part)
  return { name, worker, node, run, token, startedAtMs, session } as TaskRun
}
