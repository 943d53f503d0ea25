import type { ApplyContext } from '../../raft/index.ts'
import type { TaskAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import type { TaskStartCommand, TaskStopCommand } from './task-command.ts'
import { isIndex, isNodeName, isRequestId, isTaskName, isToken } from './validate.ts'

/** A run of a task that began, and has not been said to have ended. */
export interface TaskRun {
  /** Name of the task. */
  readonly name: string
  /** The node that runs it. */
  readonly node: string
  /** Random, chosen by that node for this run. */
  readonly run: string
  /** Log index of its start. */
  readonly token: number
  /** The leader's time of day at its start, in milliseconds since the epoch. */
  readonly startedAtMs: number
}

const part = 'tasks'

/**
 * Which task runs where: one run of a task at a time. The next one starts behind the stop of the last one, or names the
 * one that it takes to be over. Pure: log index, log time and commands decide everything.
 */
export class TaskTable implements SnapshotPart {
  readonly #changed: () => void
  #runs = new Map<string, TaskRun>()

  /** `changed` is called whenever a run starts or ends; it must not throw. */
  constructor (changed: () => void = () => {}) {
    this.#changed = changed
  }

  /** Starts a run, unless another one of the task is at work. The same run again gets the same answer. */
  start ({ name, node, run, over }: TaskStartCommand, { index, timeOfDayMs }: ApplyContext): TaskAnswer {
    const current = this.#runs.get(name)
    if (current?.run === run) return { kind: 'task-started', name, token: current.token }
    if (current !== undefined && current.token !== over) {
      return { kind: 'task-held', name, node: current.node, token: current.token }
    }
    if (current === undefined && this.#runs.size >= limits.maxTaskRuns) {
      return refuse('RAFT_BUSY', `${limits.maxTaskRuns} tasks run`)
    }
    this.#runs.set(name, { name, node, run, token: index, startedAtMs: timeOfDayMs })
    this.#changed()
    return { kind: 'task-started', name, token: index }
  }

  /** A run has ended. */
  stop ({ name, run }: TaskStopCommand): TaskAnswer {
    if (this.#runs.get(name)?.run !== run) return { kind: 'stale', name }
    this.#runs.delete(name)
    this.#changed()
    return { kind: 'task-stopped', name }
  }

  /** The run of a task as applied on this node. */
  get (name: string): TaskRun | undefined { return this.#runs.get(name) }

  /** All runs as applied on this node. */
  all (): IterableIterator<TaskRun> { return this.#runs.values() }

  get size (): number { return this.#runs.size }

  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#runs.values()])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const runs = new Map<string, TaskRun>()
    for await (const record of records) {
      const run = readRun(fieldsOf(textOf(record, part), part))
      if (runs.has(run.name)) throw malformed(part)
      runs.set(run.name, run)
    }
    if (runs.size > limits.maxTaskRuns) throw malformed(part)
    return () => {
      this.#runs = runs
      this.#changed()
    }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return [...this.#runs.values()] }
}

function * encodeRecords (runs: readonly TaskRun[]): Generator<Uint8Array, void, undefined> {
  for (const { name, node, run, token, startedAtMs } of runs) yield recordOf(name, node, run, token, startedAtMs)
}

function readRun ([name, node, run, token, startedAtMs, ...more]: readonly unknown[]): TaskRun {
  const isRun =
    isTaskName(name) &&
    isNodeName(node) &&
    isRequestId(run) &&
    isToken(token) &&
    isIndex(startedAtMs) &&
    more.length === 0
  if (!isRun) throw malformed(part)
  return { name, node, run, token, startedAtMs } as TaskRun
}
