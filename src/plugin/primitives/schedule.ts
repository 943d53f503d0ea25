import type { WaitOptions } from '../../raft/index.ts'
import {
  InvalidOptionsError,
  ScheduleChangedError,
  ScheduleRunningError,
  ScheduleUnknownError
} from '../../raft/index.ts'
import type { ScheduleAnswer } from '../replicated/answer.ts'
import { limits } from '../replicated/limits.ts'
import type { ScheduleCommand } from '../replicated/schedule-command.ts'
import { isPauseReason } from '../replicated/schedule-command.ts'
import type { ScheduleDefinition } from '../replicated/schedule-definition.ts'
import type { EndedRun, RunTrigger, Schedule, ScheduleRun } from '../replicated/schedule-state.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import type { CronSlots } from './cron.ts'
import { cronSlots } from './cron.ts'
import { proposeToSchedule } from './propose.ts'
import type { ReadOptions } from './read.ts'
import { beforeRead } from './read.ts'
import { instantOf } from './schedule-options.ts'
import { slotAfter } from './schedule-plan.ts'

/** A run of a schedule that is in progress. Instants are texts such as `2027-03-14T07:00:00.000Z`. */
export interface ScheduleRunStatus {
  /** The planned instant. */
  readonly scheduledFor: string
  /** `slot`: its time came. `manual`: somebody asked for it. `backfill`: somebody asked for the slots of some time. */
  readonly trigger: RunTrigger
  /** 1, and one more each time that the run was cut and begun again. */
  readonly attempt: number
  /** Fencing token of the run. */
  readonly token: string
  /** Id of the node that runs it. */
  readonly node: string
  /** When its entry was written. */
  readonly startedAt: string
}

/** A run of a schedule that is over. */
export interface ScheduleRunRecord extends ScheduleRunStatus {
  /** When the cluster heard of its end. */
  readonly endedAt: string
  /** `lost`: its node ended or was cut off in the middle of it, and nobody knows how far it came. */
  readonly outcome: 'completed' | 'failed' | 'cancelled' | 'lost'
  /** The message of the error that it threw; null unless it failed. */
  readonly error: string | null
}

/** A schedule as the cluster has it, as plain JSON. */
export interface ScheduleStatus extends Omit<ScheduleDefinition, 'startAtMs' | 'endAtMs'> {
  /** Its name, the same on every node. */
  readonly name: string
  /** No slot before this instant; null for no limit. */
  readonly startAt: string | null
  /** No slot at this instant or behind it; null for no limit. */
  readonly endAt: string | null
  /** The next slot behind those that were passed; null when none comes, or while it is paused. */
  readonly nextAt: string | null
  /** The last slot that was to run. */
  readonly lastSlot: string | null
  /** Why and since when it passes over its slots; null when it does not. */
  readonly paused: { readonly reason: string, readonly since: string } | null
  /** The runs in progress, on whichever node. */
  readonly running: readonly ScheduleRunStatus[]
  /** Runs that wait for their turn. */
  readonly queued: number
  /** Slots that did not run because nobody could start them in time, since it was defined. */
  readonly missedSlots: number
  /** Slots that did not run because of the overlap rule. */
  readonly skippedSlots: number
}

/** A stretch of time to run the slots of. */
export interface ScheduleBackfill {
  /** The first instant that counts; a date, or its text with an offset. */
  readonly from: Date | string
  /** The first one that counts no more. */
  readonly to: Date | string
}

/**
 * A schedule of the whole cluster.
 *
 * Calls reject with `RAFT_SCHEDULE_UNKNOWN` before a leader that has registered it, with `RAFT_INVALID_OPTIONS`,
 * `RAFT_NO_LEADER` or `RAFT_BUSY` (nothing was executed), `RAFT_OUTCOME_UNKNOWN`, or the reason of the signal.
 */
export interface ClusterSchedule extends AsyncDisposable {
  /** Its name, the same on every node. */
  readonly name: string
  /** The schedule as the cluster has it. */
  status: (options?: ReadOptions) => Promise<ScheduleStatus>
  /** The last 20 runs that ended, newest first. */
  history: (options?: ReadOptions) => Promise<readonly ScheduleRunRecord[]>
  /** The next 1 to 1,000 slots behind those that were passed, without regard to a pause. */
  preview: (count?: number, options?: ReadOptions) => Promise<readonly string[]>
  /**
   * Has it run now, also while it is paused, by its overlap rule: rejects with `RAFT_SCHEDULE_RUNNING` where a slot
   * would be skipped. Resolves when the run is asked for, not when it is over.
   */
  run: (options?: WaitOptions) => Promise<void>
  /** Passes over all slots from now on. A run in progress goes on. */
  pause: (reason?: string, options?: WaitOptions) => Promise<void>
  /** Goes on with the next slot from now. Those of the pause are not missed. */
  resume: (options?: WaitOptions) => Promise<void>
  /**
   * Has the slots of a stretch of time run, up to 1,000, one after another unless with `allowAll`. Resolves with their
   * number. Rejects with `RAFT_SCHEDULE_CHANGED` when the definition has changed meanwhile.
   */
  backfill: (stretch: ScheduleBackfill, options?: WaitOptions) => Promise<number>
  /** Ends it on this node: its runs are asked to end, and while this node leads nobody runs it. Never rejects. */
  stop: () => Promise<void>
}

const maxPreview = 1_000

/**
 * What can be asked of any schedule of the cluster, by name and on any node: as the methods of {@link ClusterSchedule},
 * with the same errors.
 */
export type ClusterSchedules = Pick<
  ScheduleControl,
  'list' | 'status' | 'history' | 'preview' | 'run' | 'pause' | 'resume' | 'backfill' | 'remove'
>

/** What can be asked of any schedule of the cluster, by name and on any node. */
export class ScheduleControl {
  readonly #context: PrimitiveContext

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  /** All schedules, in the order in which they came. */
  async list (options: ReadOptions = {}): Promise<readonly ScheduleStatus[]> {
    await beforeRead(this.#context, options)
    return Array.from(this.#context.machine.schedules.all(), statusOf)
  }

  async status (name: string, options: ReadOptions = {}): Promise<ScheduleStatus> {
    return statusOf(await this.#read(name, options))
  }

  async history (name: string, options: ReadOptions = {}): Promise<readonly ScheduleRunRecord[]> {
    return (await this.#read(name, options)).history.map(recordOf).reverse()
  }

  async preview (name: string, count = 1, options: ReadOptions = {}): Promise<readonly string[]> {
    if (!Number.isInteger(count) || count < 1 || count > maxPreview) {
      throw new InvalidOptionsError(`a preview has 1 to ${maxPreview} slots`)
    }
    const schedule = await this.#read(name, options)
    return slotsBetween(schedule, schedule.cursorMs, Infinity, count).map(textOf)
  }

  async run (name: string, options: WaitOptions = {}): Promise<void> {
    await this.#write({ kind: 'schedule-run', name }, options)
  }

  /** Forgets a schedule and its history. One that the leader has registered comes back as a new one. */
  async remove (name: string, options: WaitOptions = {}): Promise<void> {
    await this.#write({ kind: 'schedule-remove', name }, options)
  }

  async pause (name: string, reason = '', options: WaitOptions = {}): Promise<void> {
    if (!isPauseReason(reason)) {
      throw new InvalidOptionsError(`the reason of a pause has up to ${limits.maxPauseReasonLength} characters`)
    }
    await this.#write({ kind: 'schedule-pause', name, reason }, options)
  }

  async resume (name: string, options: WaitOptions = {}): Promise<void> {
    await this.#write({ kind: 'schedule-resume', name }, options)
  }

  async backfill (name: string, { from, to }: ScheduleBackfill, options: WaitOptions = {}): Promise<number> {
    const [fromMs, toMs] = [instantOf('from', from), instantOf('to', to)]
    const schedule = await this.#read(name, options)
    const slotsMs = slotsBetween(schedule, fromMs - 1, toMs, limits.maxScheduleQueue + 1)
    if (slotsMs.length > limits.maxScheduleQueue) {
      throw new InvalidOptionsError(`more than ${limits.maxScheduleQueue} slots lie between from and to`)
    }
    if (slotsMs.length > 0) {
      await this.#write({ kind: 'schedule-backfill', name, revision: schedule.revision, slotsMs }, options)
    }
    return slotsMs.length
  }

  async #read (name: string, options: ReadOptions): Promise<Schedule> {
    await beforeRead(this.#context, options)
    const schedule = this.#context.machine.schedules.get(name)
    if (schedule === undefined) throw new ScheduleUnknownError(name)
    return schedule
  }

  async #write (command: ScheduleCommand, options: WaitOptions): Promise<void> {
    const answer = await proposeToSchedule(this.#context, command, options)
    const error = errorOf(answer.kind, command.name)
    if (error !== null) throw error
  }
}

/** The handle on a schedule that this node has registered. */
export function createSchedule (control: ScheduleControl, name: string, stop: () => Promise<void>): ClusterSchedule {
  return {
    name,
    status: (options) => control.status(name, options),
    history: (options) => control.history(name, options),
    preview: (count, options) => control.preview(name, count, options),
    run: (options) => control.run(name, options),
    pause: (reason, options) => control.pause(name, reason, options),
    resume: (options) => control.resume(name, options),
    backfill: (stretch, options) => control.backfill(name, stretch, options),
    stop,
    [Symbol.asyncDispose]: stop
  }
}

function errorOf (kind: Exclude<ScheduleAnswer['kind'], 'refused'>, name: string): Error | null {
  switch (kind) {
    case 'schedule-done': return null
    case 'schedule-stale': return new ScheduleChangedError(name)
    case 'schedule-unknown': return new ScheduleUnknownError(name)
    case 'schedule-busy': return new ScheduleRunningError(name)
  }
}

/** To read an expression takes half a millisecond. Definitions never change, nor do the versions of a schedule. */
const knownSlots = new WeakMap<ScheduleDefinition, CronSlots>()
const knownNext = new WeakMap<Schedule, { readonly nextMs: number | null }>()

function slotsOf ({ definition }: Schedule): CronSlots {
  const slots = knownSlots.get(definition) ?? cronSlots(definition.cron, definition.timeZone)
  knownSlots.set(definition, slots)
  return slots
}

/** The next slot behind those that were passed; null when none comes. */
function nextOf (schedule: Schedule): number | null {
  const known = knownNext.get(schedule) ??
    { nextMs: slotAfter(schedule.definition, slotsOf(schedule), schedule.cursorMs) }
  knownNext.set(schedule, known)
  return known.nextMs
}

/** Slots behind an instant and before another, at most so many. */
function slotsBetween (schedule: Schedule, afterMs: number, beforeMs: number, count: number): readonly number[] {
  const slots = slotsOf(schedule)
  const found: number[] = []
  let slotMs = slotAfter(schedule.definition, slots, afterMs)
  while (slotMs !== null && slotMs < beforeMs && found.length < count) {
    found.push(slotMs)
    slotMs = slotAfter(schedule.definition, slots, slotMs)
  }
  return found
}

function statusOf (schedule: Schedule): ScheduleStatus {
  const { name, definition, lastSlotMs, paused, runs, queue, missed, skipped } = schedule
  const { startAtMs, endAtMs, ...rules } = definition
  const nextMs = paused === null ? nextOf(schedule) : null
  return {
    name,
    ...rules,
    startAt: textOrNull(startAtMs),
    endAt: textOrNull(endAtMs),
    nextAt: textOrNull(nextMs),
    lastSlot: textOrNull(lastSlotMs),
    paused: paused === null ? null : { reason: paused.reason, since: textOf(paused.sinceMs) },
    running: runs.map(runStatusOf),
    queued: queue.length,
    missedSlots: missed,
    skippedSlots: skipped
  }
}

function runStatusOf ({ slotMs, trigger, attempt, token, node, startedMs }: ScheduleRun | EndedRun): ScheduleRunStatus {
  return {
    scheduledFor: textOf(slotMs),
    trigger,
    attempt,
    token: formatToken(token),
    node,
    startedAt: textOf(startedMs)
  }
}

function recordOf (run: EndedRun): ScheduleRunRecord {
  return { ...runStatusOf(run), endedAt: textOf(run.endedMs), outcome: run.outcome, error: run.error }
}

function textOf (instantMs: number): string {
  return new Date(instantMs).toISOString()
}

function textOrNull (instantMs: number | null): string | null {
  return instantMs === null ? null : textOf(instantMs)
}
