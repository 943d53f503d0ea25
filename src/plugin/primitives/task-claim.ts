import { randomUUID } from 'node:crypto'
import type { Engine } from '../../raft/index.ts'
import { isRaftError, LeadershipLostError, TimeoutError } from '../../raft/index.ts'
import { pause, systemTimers, Waiter } from '../../raft/internal.ts'
import type { TaskRun } from '../replicated/task-table.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { proposeToTask } from './propose.ts'

/** What allows a node to start a run: a leadership. */
export interface ClaimRight {
  /** Token of the leadership. */
  readonly token: number
  /** When it began, by the monotonic clock of this node, in milliseconds. */
  readonly sinceMs: number
}

/** What a run of a task needs in order to start. */
interface ClaimOptions {
  /** Name of the task. */
  readonly name: string
  readonly right: ClaimRight
  /** How long after that the last run may still be at work when nothing says that it has ended, in milliseconds. */
  readonly stopGraceMs: number
  /** How long after that what the last run has sent may still arrive, in milliseconds. */
  readonly handoverDelayMs: number
  /** Ends the attempt with its own reason. */
  readonly signal: AbortSignal
}

/** Pause before a proposal that failed is made again, in milliseconds. */
export const retryMs = 200

/** Runs of this process that have not been said to have ended, by id. A process runs a task once at a time. */
const ownRuns = new WeakMap<Engine, Set<string>>()

/**
 * The right of this node to run a task, written to the log: the stop of one run stands there before the start of the
 * next, so that they do not overlap, or the next has waited until the last one must have stopped.
 */
export class TaskClaim {
  readonly #context: PrimitiveContext
  readonly #name: string
  readonly #run = randomUUID()
  #token = 0

  private constructor (context: PrimitiveContext, name: string) {
    this.#context = context
    this.#name = name
  }

  /** Log index of the start of the run. */
  get token (): number { return this.#token }

  /**
   * Resolves when the start of the run is committed. Rejects with the signal's reason when it aborts first, and with
   * `RAFT_LEADERSHIP_LOST` when another node leads; what was begun of it is undone in the background.
   */
  static async take (context: PrimitiveContext, options: ClaimOptions): Promise<TaskClaim> {
    const claim = new TaskClaim(context, options.name)
    const own = ownRunsOf(context)
    try {
      for (;;) {
        const over = await earlierRun(context, options)
        own.add(claim.#run)
        if (await claim.#start(options, over)) return claim
      }
    } catch (error) {
      if (own.has(claim.#run)) claim.#undo()
      throw error
    }
  }

  /**
   * Says that the run has ended. Resolves when that is committed, or when nobody needs to hear it any more: another run
   * has replaced it, or this node has stopped. Never rejects.
   */
  async release (): Promise<void> {
    const { machine, timers = systemTimers } = this.#context
    while (!await this.#stop()) {
      if (machine.tasks.get(this.#name)?.run !== this.#run) break
      await pause(timers, retryMs, undefined, { background: true })
    }
    ownRunsOf(this.#context).delete(this.#run)
  }

  #undo (): void {
    this.release().catch((err: unknown) => {
      this.#context.logger.error({ err, task: this.#name }, 'could not undo the start of a run')
    })
  }

  /** Whether the end of the run is committed, or this node will never write it. */
  async #stop (): Promise<boolean> {
    const { logger, closed } = this.#context
    try {
      await proposeToTask(this.#context, { kind: 'task-stop', name: this.#name, run: this.#run }, { signal: closed })
      return true
    } catch (error) {
      logger.debug({ err: error, task: this.#name }, 'could not write the end of a run')
      return closed?.aborted === true || !isTransient(error)
    }
  }

  /** Whether the start was committed; otherwise somebody else's run is at work, or nobody answered. */
  async #start ({ name, right: { token: fence }, signal }: ClaimOptions, over: number | null): Promise<boolean> {
    const { engine, logger, timers = systemTimers } = this.#context
    const { nodeId: node } = engine.status()
    const replaced = over === null ? {} : { over }
    try {
      const command = { kind: 'task-start', name, node, run: this.#run, fence, ...replaced } as const
      const answer = await proposeToTask(this.#context, command, { signal })
      if (answer.kind === 'fenced') throw new LeadershipLostError(formatToken(fence))
      if (answer.kind !== 'task-started') return false
      this.#token = answer.token
      return true
    } catch (error) {
      signal.throwIfAborted()
      if (!isTransient(error)) throw error
      logger.debug({ err: error, task: name }, 'could not write the start of a run')
      await pause(timers, retryMs, signal)
      return false
    }
  }
}

/** Waits until no other run can be at work. Resolves with the token of one that is to be replaced, or with null. */
async function earlierRun (context: PrimitiveContext, options: ClaimOptions): Promise<number | null> {
  const { machine, clock } = context
  const { name, right: { sinceMs }, signal } = options
  for (;;) {
    signal.throwIfAborted()
    const earlier = machine.tasks.get(name)
    if (earlier === undefined) return null
    const leftMs = sinceMs + graceMs(context, earlier, options) - clock.monotonicMs()
    if (leftMs <= 0) return earlier.token
    await taskChange(context, leftMs, signal)
  }
}

/** Resolves when a task has started or ended somewhere, or the time is over; rejects with the signal's reason. */
async function taskChange (
  { machine, timers = systemTimers }: PrimitiveContext,
  withinMs: number,
  signal: AbortSignal
): Promise<void> {
  let end = (): void => {}
  const waiter = new Waiter<void>(
    { timeoutMs: Infinity, signal },
    () => new TimeoutError(Infinity, 'a task'),
    () => { end() },
    timers
  )
  const changed = (): void => { waiter.resolve() }
  const cancel = timers.after(withinMs, changed, { background: true })
  const unsubscribe = machine.onTaskChange(changed)
  end = () => {
    cancel()
    unsubscribe()
  }
  await waiter.promise
}

/** How long after the start of a leadership an earlier run counts as at work. */
function graceMs (
  context: PrimitiveContext,
  { node, run }: TaskRun,
  { stopGraceMs, handoverDelayMs }: ClaimOptions
): number {
  // It has ended here; only the word of it is still on its way.
  if (ownRunsOf(context).has(run)) return 0
  // An earlier process of this node: two never work on the same data.
  if (node === context.engine.status().nodeId) return handoverDelayMs
  return stopGraceMs + handoverDelayMs
}

const transientCodes = new Set(['RAFT_NO_LEADER', 'RAFT_BUSY', 'RAFT_OUTCOME_UNKNOWN', 'RAFT_RESTORING'])

/** Whether a proposal that failed so may succeed later. */
export function isTransient (error: unknown): boolean {
  return isRaftError(error) && transientCodes.has(error.code)
}

function ownRunsOf ({ engine }: PrimitiveContext): Set<string> {
  const known = ownRuns.get(engine)
  if (known !== undefined) return known
  const own = new Set<string>()
  ownRuns.set(engine, own)
  return own
}
