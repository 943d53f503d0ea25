import type { Engine } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isTaskName, isWorkerCount } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import type { TaskGrant } from './grant.ts'
import { LeaderTask } from './leader-task.ts'
import { PlacedTask } from './placed-task.ts'
import type {
  ClusterSingleton,
  ClusterWorkers,
  SingletonOptions,
  SingletonRun,
  SpreadOptions,
  TaskStatus,
  WorkerRun,
  WorkersOptions
} from './singleton-types.ts'
import type { StoppingTask, TaskRunsOptions } from './task-runs.ts'

const defaultStopGraceMs = 1_000
const maxGraceMs = 3_600_000

/** The tasks of one node that have not been stopped. */
interface NodeTasks {
  readonly byName: Map<string, LeaderTask | PlacedTask>
  /** Whether the node has given its places away for good. */
  isWithdrawn: boolean
}

const tasksOf = new WeakMap<Engine, NodeTasks>()

/**
 * Runs `run` whenever this node leads, or, with `placement: 'spread'`, has the place of this task; the next node starts
 * it again, behind the end of the last run. Runs do not overlap unless one goes on for longer than `stopGraceMs` after
 * its signal, or behind a blocked event loop: fence its writes with the token.
 *
 * Throws `RAFT_INVALID_OPTIONS` for a name or an option out of bounds, and when the name is in use on this node.
 */
export function createSingleton (
  context: PrimitiveContext,
  name: string,
  run: SingletonRun,
  options?: SingletonOptions
): ClusterSingleton
export function createSingleton (
  context: PrimitiveContext,
  name: string,
  run: WorkerRun,
  options: SpreadOptions
): ClusterSingleton
export function createSingleton (
  context: PrimitiveContext,
  name: string,
  run: SingletonRun | WorkerRun,
  options: SingletonOptions | SpreadOptions = {}
): ClusterSingleton {
  // What a run is given follows from the placement, as the overloads say.
  if (options.placement === 'spread') return createPlaced(context, name, 1, run as WorkerRun, options)
  const placement: unknown = options.placement ?? 'leader'
  if (placement !== 'leader') throw new InvalidOptionsError('placement is "leader" or "spread"')
  const settings = runsOptions(name, run as SingletonRun, options)
  return register(context, name, (stopped) => new LeaderTask(context, settings, stopped))
}

/** Runs `run` `count` times, spread over the nodes. Throws as {@link createSingleton}. */
export function createWorkers (
  context: PrimitiveContext,
  name: string,
  count: number,
  run: WorkerRun,
  options: WorkersOptions = {}
): ClusterWorkers {
  if (!isWorkerCount(count)) throw new InvalidOptionsError(`a task has 1 to ${limits.maxWorkers} workers`)
  return createPlaced(context, name, count, run, options)
}

function createPlaced (
  context: PrimitiveContext,
  name: string,
  count: number,
  run: WorkerRun,
  options: WorkersOptions
): PlacedTask {
  const settings = runsOptions(name, run, options)
  return register(context, name, (stopped) => new PlacedTask(context, count, settings, stopped))
}

function register<Task extends LeaderTask | PlacedTask> (
  context: PrimitiveContext,
  name: string,
  create: (stopped: () => void) => Task
): Task {
  const tasks = tasksOfNode(context)
  if (tasks.byName.has(name)) throw new InvalidOptionsError(`a task named "${name}" exists on this node already`)
  const task = create(() => { tasks.byName.delete(name) })
  tasks.byName.set(name, task)
  // A node that drains offers nothing any more.
  if (task instanceof LeaderTask || !tasks.isWithdrawn) task.start()
  return task
}

/** The tasks that this node has registered, in the order of that. */
export function tasksOfThisNode (context: PrimitiveContext): readonly TaskStatus[] {
  return Array.from(tasksOfNode(context).byName.values(), (task) => task instanceof PlacedTask
    ? { name: task.name, placement: 'spread', states: task.states }
    : { name: task.name, placement: 'leader', states: [task.state] })
}

/** Tasks that were asked to stop. Nothing here rejects. */
export interface StoppingSingletons {
  /** Resolves when every run has returned. */
  readonly ended: Promise<void>
  /** Resolves when the cluster knows that as well: the next node starts them at once. */
  readonly known: Promise<void>
  /** Names of those whose run has not returned. */
  readonly running: () => readonly string[]
  /** Those of the leader start again, where this node leads still or once more. */
  readonly resume: () => void
}

/** Asks all tasks that run because this node leads to stop, with `RAFT_HANDOVER`, until they are told to go on. */
export function pauseSingletons (context: PrimitiveContext): StoppingSingletons {
  const tasks = [...tasksOfNode(context).byName.values()].filter((task) => task instanceof LeaderTask)
  return stopping(tasks, tasks.map((task) => task.pause()), () => { for (const task of tasks) task.resume() })
}

/** Gives the places of this node to other nodes, for good; otherwise as {@link pauseSingletons}. */
export function withdrawTasks (context: PrimitiveContext): StoppingSingletons {
  const tasksOfThis = tasksOfNode(context)
  tasksOfThis.isWithdrawn = true
  const tasks = [...tasksOfThis.byName.values()].filter((task) => task instanceof PlacedTask)
  return stopping(tasks, tasks.map((task) => task.withdraw()), () => {})
}

function stopping (
  tasks: ReadonlyArray<LeaderTask | PlacedTask>,
  asked: readonly StoppingTask[],
  resume: () => void
): StoppingSingletons {
  return {
    ended: Promise.all(asked.map(({ ended }) => ended)).then(() => {}),
    known: Promise.all(asked.map(({ known }) => known)).then(() => {}),
    running: () => tasks.filter(({ isStopping }) => isStopping).map(({ name }) => name),
    resume
  }
}

function tasksOfNode ({ engine }: PrimitiveContext): NodeTasks {
  const known = tasksOf.get(engine)
  if (known !== undefined) return known
  const tasks: NodeTasks = { byName: new Map(), isWithdrawn: false }
  tasksOf.set(engine, tasks)
  return tasks
}

function runsOptions<Grant extends TaskGrant> (
  name: string,
  run: TaskRunsOptions<Grant>['run'],
  { onError, stopGraceMs = defaultStopGraceMs, handoverDelayMs = 0, onLeaseLost = 'abort' }: WorkersOptions
): TaskRunsOptions<Grant> {
  if (!isTaskName(name)) {
    throw new InvalidOptionsError(`the name of a task has 1 to ${limits.maxTaskNameLength} characters`)
  }
  checkDuration('stopGraceMs', stopGraceMs)
  checkDuration('handoverDelayMs', handoverDelayMs)
  if (onLeaseLost !== 'abort' && onLeaseLost !== 'exit') {
    throw new InvalidOptionsError('onLeaseLost is "abort" or "exit"')
  }
  return { name, run, onError, stopGraceMs, handoverDelayMs, onLeaseLost }
}

function checkDuration (name: string, value: number): void {
  if (!Number.isFinite(value) || value < 0 || value > maxGraceMs) {
    throw new InvalidOptionsError(`${name} is a number of milliseconds from 0 to ${maxGraceMs}`)
  }
}
