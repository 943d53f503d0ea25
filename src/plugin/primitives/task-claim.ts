import type { Clock, Engine } from '../../raft/index.ts'
import { isRaftError, LeadershipLostError, TimeoutError } from '../../raft/index.ts'
import { pause, systemTimers, Waiter } from '../../raft/internal.ts'
import type { TaskRun } from '../replicated/task-table.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { drawRequestId } from './context.ts'
import { proposeToTask } from './propose.ts'

/**
 * What allows a node to start a run: a leadership, with its token and when it began by the monotonic clock of this
 * node, in milliseconds; or the place of a worker, which the session of this process has.
 */
export type ClaimRight =
  | { readonly kind: 'leadership', readonly token: number, readonly sinceMs: number }
  | { readonly kind: 'place', readonly session: number, readonly worker: number }

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
/** How often it is looked for what may end the right of an earlier run without a word, in milliseconds. */
const lookMs = 1_000

/** Runs of this process that have not been said to have ended, by id. A process runs a task once at a time. */
const ownRuns = new WeakMap<Engine, Set<string>>()

/**
 * The right of this node to run a task, written to the log: the stop of one run stands there before the start of the
 * next, so that they do not overlap, or the next has waited until the last one must have stopped.
 */
export class TaskClaim {
  readonly #context: PrimitiveContext
  readonly #name: string
  readonly #worker: number
  readonly #run: string
  #token = 0

  private constructor (context: PrimitiveContext, { name, right }: ClaimOptions) {
    this.#context = context
    this.#name = name
    this.#worker = workerOf(right)
    this.#run = drawRequestId(context)
  }

  /** Log index of the start of the run. */
  get token (): number { return this.#token }

  /**
   * Resolves when the start of the run is committed. Rejects with the signal's reason when it aborts first, and with
   * `RAFT_LEADERSHIP_LOST` when another node leads; what was begun of it is undone in the background. A place that is
   * lost is for the signal to tell.
   */
  static async take (context: PrimitiveContext, options: ClaimOptions): Promise<TaskClaim> {
    const claim = new TaskClaim(context, options)
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
      if (machine.tasks.get(this.#name, this.#worker)?.run !== this.#run) break
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
      const command = { kind: 'task-stop', name: this.#name, ...workerField(this.#worker), run: this.#run } as const
      await proposeToTask(this.#context, command, { signal: closed })
      return true
    } catch (error) {
      logger.debug({ err: error, task: this.#name }, 'could not write the end of a run')
      return closed?.aborted === true || !isTransient(error)
    }
  }

  /** Whether the start was committed; otherwise somebody else's run is at work, or nobody answered. */
  async #start ({ name, right, signal }: ClaimOptions, over: number | null): Promise<boolean> {
    const { engine, logger, timers = systemTimers } = this.#context
    const { nodeId: node } = engine.status()
    const under = right.kind === 'leadership' ? { fence: right.token } : { session: right.session }
    const replaced = over === null ? {} : { over }
    try {
      const worker = workerField(this.#worker)
      const command = { kind: 'task-start', name, ...worker, node, run: this.#run, ...under, ...replaced } as const
      const answer = await proposeToTask(this.#context, command, { signal })
      if (answer.kind === 'fenced') {
        if (right.kind === 'leadership') throw new LeadershipLostError(formatToken(right.token))
        // It was elsewhere at that entry. If it is back, nothing tells.
        await pause(timers, retryMs, signal)
      }
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
  const { name, right, signal } = options
  let overToken = 0
  /** When its right was seen to be over. */
  let sinceMs = 0
  for (;;) {
    signal.throwIfAborted()
    const earlier = machine.tasks.get(name, workerOf(right))
    if (earlier === undefined) return null
    // It has ended here; only the word of it is still on its way.
    if (ownRunsOf(context).has(earlier.run)) return earlier.token
    if (mayGoOn(context, earlier, right)) {
      overToken = 0
      await taskChange(context, lookMs, signal)
      continue
    }
    if (overToken !== earlier.token) {
      overToken = earlier.token
      sinceMs = overSinceMs(earlier, right, clock)
    }
    const leftMs = sinceMs + graceMs(context, earlier, options) - clock.monotonicMs()
    if (leftMs <= 0) return earlier.token
    await taskChange(context, leftMs, signal)
  }
}

/** Whether an earlier run has still its right, by what is applied here: then only its own node can end it. */
function mayGoOn ({ machine }: PrimitiveContext, { session, token }: TaskRun, right: ClaimRight): boolean {
  if (session !== 0) return machine.sessions.get(session) !== undefined
  // It works under a leadership, as a copy with other options has it: the present one, if none began behind its start.
  return right.kind === 'place' && machine.fences.leadershipToken < token
}

/** From when on an earlier run is known to have lost its right: before this leadership began, or only now. */
function overSinceMs ({ session }: TaskRun, right: ClaimRight, clock: Clock): number {
  return right.kind === 'leadership' && session === 0 ? right.sinceMs : clock.monotonicMs()
}

/**
 * Resolves when a task has started or ended somewhere, a session has ended, or the time is over; rejects with the
 * signal's reason.
 */
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
  const endTasks = machine.onTaskChange(changed)
  const endSessions = machine.onSessionChange(({ kind }) => { if (kind === 'ended' || kind === 'expired') changed() })
  end = () => {
    cancel()
    endTasks()
    endSessions()
  }
  await waiter.promise
}

/** How long an earlier run counts as at work once its right is over. */
function graceMs (
  context: PrimitiveContext,
  { node }: TaskRun,
  { stopGraceMs, handoverDelayMs }: ClaimOptions
): number {
  // An earlier process of this node: two never work on the same data.
  if (node === context.engine.status().nodeId) return handoverDelayMs
  return stopGraceMs + handoverDelayMs
}

function workerOf (right: ClaimRight): number {
  return right.kind === 'place' ? right.worker : 0
}

function workerField (worker: number): { readonly worker?: number } {
  return worker === 0 ? {} : { worker }
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
