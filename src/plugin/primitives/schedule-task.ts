import type { Leadership } from '../../raft/index.ts'
import { HandoverError, LeadershipLostError, RunCancelledError, StoppedError } from '../../raft/index.ts'
import { pause, systemTimers } from '../../raft/internal.ts'
import type { ScheduleAnswer } from '../replicated/answer.ts'
import type { ScheduleCommand } from '../replicated/schedule-command.ts'
import type { ScheduleDefinition } from '../replicated/schedule-definition.ts'
import { differencesOf } from '../replicated/schedule-definition.ts'
import type { Schedule, ScheduleRun } from '../replicated/schedule-state.ts'
import type { ScheduleChange } from '../replicated/schedule-table.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import type { CronSlots } from './cron.ts'
import { proposeToSchedule } from './propose.ts'
import { dueAt, lateAfterMs, planSlots } from './schedule-plan.ts'
import type { OpenRun, RunEnd, ScheduleWork } from './schedule-run.ts'
import { openRun } from './schedule-run.ts'

/** A schedule as this node has registered it. */
interface ScheduleRegistration {
  readonly name: string
  readonly definition: ScheduleDefinition
  readonly slots: CronSlots
  readonly work: ScheduleWork
}

/** Runs that were asked to end. Nothing here rejects. */
interface PausedRuns {
  /** Resolves when their work has returned. */
  readonly ended: Promise<void>
  /** Resolves when the cluster knows that as well. */
  readonly known: Promise<void>
}

/** How long a command that failed waits before it is written again, in milliseconds. */
const retryMs = 1_000

/**
 * One schedule on one node. While the node leads it writes what is due, one command at a time, and runs what the log
 * then says has started: the entry decides, and never the answer to the one who wrote it.
 */
export class ScheduleTask {
  readonly registration: ScheduleRegistration
  readonly #context: PrimitiveContext
  readonly #nodeId: string
  /** Called when `dueMs` has changed. */
  readonly #expect: () => void
  readonly #open = new Map<number, OpenRun & { readonly known: Promise<void> }>()
  /** Runs of earlier leaderships that have had their time to tell their end, or whose node has ended. */
  readonly #overdue = new Set<number>()
  readonly #graces = new Map<number, () => void>()
  #leadership: Leadership | null = null
  #isProposing = false
  #isLooking = false
  #isStopped = false
  #isPaused = false
  #toldRevision = 0
  #dueMs: number | null = null

  constructor (context: PrimitiveContext, nodeId: string, registration: ScheduleRegistration, expect: () => void) {
    this.#context = context
    this.#nodeId = nodeId
    this.registration = registration
    this.#expect = expect
  }

  /** When this schedule is to be looked at again, by the wall clock; null: when something changes. */
  get dueMs (): number | null { return this.#dueMs }

  /** Whether work is in progress on this node. */
  get isRunning (): boolean { return this.#open.size > 0 }

  /** This node's leadership began or ended. */
  follow (leadership: Leadership | null): void {
    if (leadership?.token === this.#leadership?.token) return
    this.#leadership = leadership
    for (const cancel of this.#graces.values()) cancel()
    this.#graces.clear()
    this.#overdue.clear()
    this.#setDue(null)
    this.look()
  }

  /** Something about this schedule was applied. Runs within `apply`. */
  changed (change: ScheduleChange): void {
    switch (change.kind) {
      case 'changed': break
      case 'started':
        this.#start(change.run)
        break
      case 'cancelled':
        this.#open.get(change.token)?.cancel(new RunCancelledError(this.registration.name))
        break
      case 'ended':
        // Ended by somebody else than its work: nobody counts with it any more.
        this.#open.get(change.token)?.cancel(new LeadershipLostError(formatToken(change.token)))
        break
    }
    this.look()
  }

  /** Looks what is to be done, in a later microtask. */
  look (): void {
    if (this.#isLooking) return
    this.#isLooking = true
    queueMicrotask(() => {
      this.#isLooking = false
      this.#act()
    })
  }

  /** Begins nothing more, asks the runs on this node to end, and resolves when the cluster knows of their end. */
  async stop (): Promise<void> {
    this.#isStopped = true
    this.follow(null)
    await this.#cancel(new StoppedError(`the schedule "${this.registration.name}" was stopped`)).known
  }

  /** Begins nothing until `resume`, and asks the runs on this node to end: another node is to lead. */
  pause (): PausedRuns {
    this.#isPaused = true
    return this.#cancel(new HandoverError(this.registration.name))
  }

  /** Ends a pause. */
  resume (): void {
    this.#isPaused = false
    this.look()
  }

  #cancel (reason: Error): PausedRuns {
    const open = [...this.#open.values()]
    for (const run of open) run.cancel(reason)
    return {
      ended: Promise.all(open.map(({ ended }) => ended)).then(() => {}),
      known: Promise.all(open.map(({ known }) => known)).then(() => {})
    }
  }

  #act (): void {
    const { name } = this.registration
    const state = this.#context.machine.schedules.get(name)
    if (this.#leadership === null || this.#isStopped) {
      if (state !== undefined) this.#compare(state)
      return
    }
    this.#startMissed(state, this.#leadership)
    if (this.#isProposing || this.#isPaused) return
    const command = this.#commandFor(state, this.#leadership)
    if (command !== null) this.#propose(command)
  }

  /** What the leader has to write now; null for nothing. */
  #commandFor (state: Schedule | undefined, { token: leadership }: Leadership): ScheduleCommand | null {
    const { name, definition, slots } = this.registration
    this.#setDue(null)
    if (state === undefined || differencesOf(state.definition, definition).length > 0) {
      if (state !== undefined) this.#compare(state)
      return { kind: 'schedule-define', name, definition, leadership }
    }
    const by = { name, node: this.#nodeId, leadership }
    const earlier = state.runs.filter((run) => run.leadership !== leadership)
    for (const run of earlier) this.#grant(run)
    const lost = earlier.find(({ token }) => this.#overdue.has(token))
    if (lost !== undefined) return { kind: 'schedule-lose', name, token: lost.token, leadership }
    const runsBeside = definition.overlap === 'allowAll'
    // Nothing is skipped for a run that nobody may be at work on.
    if (earlier.length > 0 && !runsBeside) return null
    if (state.queue.length > 0 && (state.runs.length === 0 || runsBeside)) return { kind: 'schedule-next', ...by }
    if (state.paused !== null) return null
    const plan = planSlots(state, slots, this.#context.clock.wallMs())
    switch (plan.kind) {
      case 'hold': return null
      case 'wait':
        this.#setDue(plan.dueMs)
        return null
      case 'pass': {
        return { kind: 'schedule-fire', ...by, revision: state.revision, fromMs: state.cursorMs, ...plan.passed }
      }
    }
  }

  /** Lets a run of an earlier leadership tell its end for a while; one whose process is known to be over has none. */
  #grant ({ token, node }: ScheduleRun): void {
    if (this.#graces.has(token) || this.#overdue.has(token) || this.#open.has(token)) return
    if (node === this.#nodeId) {
      this.#overdue.add(token)
      return
    }
    const { timers = systemTimers } = this.#context
    this.#graces.set(token, timers.after(this.registration.definition.stopGraceMs, () => {
      this.#graces.delete(token)
      this.#overdue.add(token)
      this.look()
    }, { background: true }))
  }

  #propose (command: ScheduleCommand): void {
    const { logger, clock } = this.#context
    this.#isProposing = true
    const settled = (isWritten: boolean): void => {
      this.#isProposing = false
      if (isWritten) this.look()
      else this.#setDue(clock.wallMs() + retryMs)
    }
    proposeToSchedule(this.#context, command).then(
      (answer: ScheduleAnswer) => { settled(answer.kind === 'schedule-done') },
      (err: unknown) => {
        logger.debug({ err, schedule: command.name, command: command.kind }, 'could not write about a schedule')
        settled(false)
      }
    )
  }

  /** Starts runs of this very leadership that were applied while it had ended for a time, without another leader. */
  #startMissed (state: Schedule | undefined, { token: leadership }: Leadership): void {
    for (const run of state?.runs ?? []) {
      if (run.leadership === leadership && !this.#open.has(run.token)) this.#start(run)
    }
  }

  #start (run: ScheduleRun): void {
    const { engine, closed } = this.#context
    const leadership = engine.openLeadership()
    const isOwn = run.node === this.#nodeId && leadership !== null && run.leadership === leadership.token
    if (!isOwn || this.#isStopped || closed?.aborted === true) return
    const { name, definition, work } = this.registration
    const lateMs = this.#context.clock.wallMs() - dueAt(name, definition, run.slotMs)
    const isLate = run.trigger === 'slot' && lateMs > lateAfterMs
    const open = openRun(this.#context, name, { run, leadership, isLate }, work)
    const known = open.ended.then(async (end) => {
      await this.#finish(run, end)
      this.#open.delete(run.token)
      this.look()
    })
    this.#open.set(run.token, { ...open, known })
    // It was written before the pause, and applied behind it.
    if (this.#isPaused) open.cancel(new HandoverError(this.registration.name))
  }

  /** Tells the cluster how a run ended, until it knows or this node has closed. */
  async #finish ({ token }: ScheduleRun, end: RunEnd): Promise<void> {
    const { name } = this.registration
    const { machine, closed, logger, timers = systemTimers } = this.#context
    while (machine.schedules.hasToken(token) && closed?.aborted !== true) {
      try {
        await proposeToSchedule(this.#context, { kind: 'schedule-finish', name, token, ...end })
        return
      } catch (err) {
        logger.debug({ err, schedule: name }, 'could not write the end of a run')
        await pause(timers, retryMs, undefined, { background: true })
      }
    }
  }

  /** Says once for each definition in force that this node's differs: a deploy is under way, or copies disagree. */
  #compare ({ name, revision, definition }: Schedule): void {
    const differences = differencesOf(definition, this.registration.definition)
    if (differences.length === 0 || revision === this.#toldRevision) return
    this.#toldRevision = revision
    this.#context.logger.warn(
      { schedule: name, differences, inForce: definition, here: this.registration.definition },
      this.#leadership === null
        ? 'this copy defines a schedule in another way than the one in force; that of the leader counts'
        : 'this copy leads and defines a schedule in another way than the one in force; its own takes its place'
    )
  }

  #setDue (dueMs: number | null): void {
    if (this.#dueMs === dueMs) return
    this.#dueMs = dueMs
    this.#expect()
  }
}
