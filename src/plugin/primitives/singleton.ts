import type { Engine } from '../../raft/index.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isTaskName } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import { LeaderTask } from './leader-task.ts'
import type { ClusterSingleton, SingletonOptions, SingletonRun } from './singleton-types.ts'

const defaultStopGraceMs = 1_000
const maxGraceMs = 3_600_000

/** Singletons of each node that have not been stopped, by name. */
const singletonsOf = new WeakMap<Engine, Map<string, LeaderTask>>()

/**
 * Runs `run` whenever this node leads; the next leader starts it again, behind the end of the last run. Runs do not
 * overlap unless one goes on for longer than `stopGraceMs` after its signal, or behind a blocked event loop: fence its
 * writes with the token.
 *
 * Throws `RAFT_INVALID_OPTIONS` for a name or an option out of bounds, and when the name is in use on this node.
 */
export function createSingleton (
  context: PrimitiveContext,
  name: string,
  run: SingletonRun,
  options: SingletonOptions = {}
): ClusterSingleton {
  const { onError, stopGraceMs = defaultStopGraceMs, handoverDelayMs = 0, onLeaseLost = 'abort' } = options
  checkName(name)
  checkDuration('stopGraceMs', stopGraceMs)
  checkDuration('handoverDelayMs', handoverDelayMs)
  if (onLeaseLost !== 'abort' && onLeaseLost !== 'exit') {
    throw new InvalidOptionsError('onLeaseLost is "abort" or "exit"')
  }
  const singletons = singletonsOf.get(context.engine) ?? new Map<string, LeaderTask>()
  singletonsOf.set(context.engine, singletons)
  if (singletons.has(name)) throw new InvalidOptionsError(`a singleton named "${name}" exists on this node already`)
  const settings = { name, run, onError, stopGraceMs, handoverDelayMs, onLeaseLost }
  const singleton = new LeaderTask(context, settings, () => { singletons.delete(name) })
  singletons.set(name, singleton)
  singleton.start()
  return singleton
}

/** Singletons that were asked to stop. Nothing here rejects. */
export interface StoppingSingletons {
  /** Resolves when every run has returned. */
  readonly ended: Promise<void>
  /** Resolves when the cluster knows that as well: the next leader starts them at once. */
  readonly known: Promise<void>
  /** Names of those whose run has not returned. */
  readonly running: () => readonly string[]
  /** They start again, where this node leads still or once more. */
  readonly resume: () => void
}

/** Asks all singletons of this node to stop, with `RAFT_HANDOVER`, until they are told to go on. */
export function pauseSingletons ({ engine }: PrimitiveContext): StoppingSingletons {
  const singletons = [...(singletonsOf.get(engine)?.values() ?? [])]
  const paused = singletons.map((singleton) => singleton.pause())
  return {
    ended: Promise.all(paused.map(({ ended }) => ended)).then(() => {}),
    known: Promise.all(paused.map(({ known }) => known)).then(() => {}),
    running: () => singletons.filter(({ state }) => state === 'stopping').map(({ name }) => name),
    resume: () => { for (const singleton of singletons) singleton.resume() }
  }
}

function checkName (name: string): void {
  if (isTaskName(name)) return
  throw new InvalidOptionsError(`the name of a task has 1 to ${limits.maxTaskNameLength} characters`)
}

function checkDuration (name: string, value: number): void {
  if (!Number.isFinite(value) || value < 0 || value > maxGraceMs) {
    throw new InvalidOptionsError(`${name} is a number of milliseconds from 0 to ${maxGraceMs}`)
  }
}
