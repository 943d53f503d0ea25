import type { ApplyContext } from '../../raft/index.ts'
import type { RefusedAnswer, ScheduleAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'
import type {
  ScheduleBackfillCommand,
  ScheduleDefineCommand,
  ScheduleFinishCommand,
  ScheduleFireCommand,
  ScheduleLoseCommand,
  ScheduleNextCommand,
  SchedulePauseCommand,
  ScheduleRemoveCommand,
  ScheduleResumeCommand,
  ScheduleRunCommand
} from './schedule-command.ts'
import { hasSameSlots } from './schedule-definition.ts'
import { readSchedule, scheduleRecord } from './schedule-records.ts'
import type { EndedRun, QueuedRun, Schedule, ScheduleRun } from './schedule-state.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, textOf } from './snapshot-records.ts'

/** What happened to a schedule. */
export type ScheduleChange =
  | { readonly kind: 'changed', readonly name: string }
  | { readonly kind: 'started', readonly name: string, readonly run: ScheduleRun }
  | { readonly kind: 'ended', readonly name: string, readonly token: number }
  | { readonly kind: 'cancelled', readonly name: string, readonly token: number }

const done: ScheduleAnswer = { kind: 'schedule-done' }
const stale: ScheduleAnswer = { kind: 'schedule-stale' }
const unknown: ScheduleAnswer = { kind: 'schedule-unknown' }
const part = 'schedules'

/**
 * The schedules of the cluster. Knows no clock and no cron: the leader works out which slot is due, and writes that it
 * is passed. What a slot meets, a run in progress or a pause, is judged here, at that entry.
 */
export class ScheduleTable implements SnapshotPart {
  #schedules = new Map<string, Schedule>()
  #tokens = new Set<number>()
  readonly #leadershipToken: () => number
  readonly #changed: (change: ScheduleChange) => void

  constructor (leadershipToken: () => number, changed: (change: ScheduleChange) => void = () => {}) {
    this.#leadershipToken = leadershipToken
    this.#changed = changed
  }

  define ({ name, definition, leadership }: ScheduleDefineCommand, context: ApplyContext): ScheduleAnswer {
    if (leadership !== this.#leadershipToken()) return stale
    const known = this.#schedules.get(name)
    if (known === undefined && this.#schedules.size >= limits.maxSchedules) {
      return refuse('RAFT_BUSY', `there are ${limits.maxSchedules} schedules`)
    }
    const { index: revision, timeOfDayMs } = context
    if (known === undefined) this.#put({ ...emptySchedule, name, definition, revision, cursorMs: timeOfDayMs })
    else {
      const isKept = hasSameSlots(known.definition, definition)
      const cursorMs = isKept ? known.cursorMs : Math.max(known.cursorMs, timeOfDayMs)
      this.#put({ ...known, definition, revision, cursorMs })
    }
    return done
  }

  remove ({ name }: ScheduleRemoveCommand): ScheduleAnswer {
    const known = this.#schedules.get(name)
    if (known === undefined) return unknown
    this.#schedules.delete(name)
    for (const { token } of known.runs) this.#forget(name, token)
    this.#changed({ kind: 'changed', name })
    return done
  }

  fire (command: ScheduleFireCommand, context: ApplyContext): ScheduleAnswer {
    const { name, throughMs, node, leadership } = command
    const known = this.#schedules.get(name)
    const isCurrent = known !== undefined && leadership === this.#leadershipToken() && known.paused === null &&
      command.revision === known.revision && command.fromMs === known.cursorMs && throughMs > known.cursorMs
    if (!isCurrent) return stale
    const passed = { ...known, cursorMs: throughMs, missed: known.missed + command.missed }
    if (!command.runs) {
      this.#put(passed)
      return done
    }
    const slot: QueuedRun = { slotMs: throughMs, trigger: 'slot', attempt: 1 }
    this.#admit({ ...passed, lastSlotMs: throughMs }, slot, { node, leadership }, context)
    return done
  }

  /** Starts what is first in the queue. */
  next ({ name, node, leadership }: ScheduleNextCommand, context: ApplyContext): ScheduleAnswer {
    const known = this.#schedules.get(name)
    const [first, ...queue] = known?.queue ?? []
    if (known === undefined || first === undefined || leadership !== this.#leadershipToken()) return stale
    if (!hasRoom(known)) return stale
    this.#start({ ...known, queue }, first, { node, leadership }, context)
    return done
  }

  finish ({ name, token, outcome, error }: ScheduleFinishCommand, context: ApplyContext): ScheduleAnswer {
    return this.#end(name, token, outcome, error, context)
  }

  lose ({ name, token, leadership }: ScheduleLoseCommand, context: ApplyContext): ScheduleAnswer {
    if (leadership !== this.#leadershipToken()) return stale
    return this.#end(name, token, 'lost', null, context)
  }

  /** A run now goes by the overlap rule, but is never passed over in silence. */
  run ({ name }: ScheduleRunCommand, context: ApplyContext): ScheduleAnswer {
    const known = this.#schedules.get(name)
    if (known === undefined) return unknown
    const { overlap } = known.definition
    if (isBusy(known) && overlap === 'skip') return { kind: 'schedule-busy' }
    if (known.queue.length >= limits.maxScheduleQueue) return tooManyQueued(name)
    const queued: QueuedRun = { slotMs: context.timeOfDayMs, trigger: 'manual', attempt: 1 }
    const asked = overlap === 'cancelOther' ? this.#cancel(known) : known
    this.#put({ ...asked, queue: [...asked.queue, queued] })
    return done
  }

  backfill ({ name, revision, slotsMs }: ScheduleBackfillCommand): ScheduleAnswer {
    const known = this.#schedules.get(name)
    if (known === undefined) return unknown
    if (known.revision !== revision) return stale
    if (known.queue.length + slotsMs.length > limits.maxScheduleQueue) return tooManyQueued(name)
    const queued = slotsMs.map((slotMs): QueuedRun => ({ slotMs, trigger: 'backfill', attempt: 1 }))
    this.#put({ ...known, queue: [...known.queue, ...queued] })
    return done
  }

  /** What was put off by the overlap rule does not run after a pause; runs that were lost do. */
  pause ({ name, reason }: SchedulePauseCommand, { timeOfDayMs }: ApplyContext): ScheduleAnswer {
    const known = this.#schedules.get(name)
    if (known === undefined) return unknown
    this.#put(pausedBy(known, reason, timeOfDayMs))
    return done
  }

  /** Slots of the pause are neither run nor missed. */
  resume ({ name }: ScheduleResumeCommand, { timeOfDayMs }: ApplyContext): ScheduleAnswer {
    const known = this.#schedules.get(name)
    if (known === undefined) return unknown
    if (known.paused === null) return done
    this.#put({ ...known, paused: null, cursorMs: Math.max(known.cursorMs, timeOfDayMs) })
    return done
  }

  /** A schedule as applied on this node. It never changes: the next entry makes another. */
  get (name: string): Schedule | undefined { return this.#schedules.get(name) }

  /** All schedules as applied on this node, in the order in which they were defined first. */
  all (): IterableIterator<Schedule> { return this.#schedules.values() }

  /** Whether a run with this token is in progress. */
  hasToken (token: number): boolean { return this.#tokens.has(token) }

  get size (): number { return this.#schedules.size }

  capture (): Iterable<Uint8Array> {
    return recordsOf([...this.#schedules.values()])
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const schedules = new Map<string, Schedule>()
    const tokens = new Set<number>()
    for await (const record of records) {
      const schedule = readSchedule(fieldsOf(textOf(record, part), part))
      if (schedule === null || schedules.has(schedule.name)) throw malformed(part)
      schedules.set(schedule.name, schedule)
      for (const { token } of schedule.runs) {
        if (tokens.has(token)) throw malformed(part)
        tokens.add(token)
      }
    }
    if (schedules.size > limits.maxSchedules) throw malformed(part)
    return () => { this.#replace(schedules, tokens) }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return [...this.#schedules.values()] }

  #replace (schedules: Map<string, Schedule>, tokens: Set<number>): void {
    const before = this.#schedules
    this.#schedules = schedules
    this.#tokens = tokens
    for (const { name, runs } of before.values()) {
      for (const { token } of runs) if (!tokens.has(token)) this.#changed({ kind: 'ended', name, token })
    }
    for (const name of new Set([...before.keys(), ...schedules.keys()])) this.#changed({ kind: 'changed', name })
  }

  #put (schedule: Schedule): void {
    this.#schedules.set(schedule.name, schedule)
    this.#changed({ kind: 'changed', name: schedule.name })
  }

  /** A slot has come: it starts, waits, or is skipped. */
  #admit (schedule: Schedule, slot: QueuedRun, by: Executor, context: ApplyContext): void {
    const { overlap } = schedule.definition
    if (!isBusy(schedule) || (overlap === 'allowAll' && hasRoom(schedule))) {
      this.#start(schedule, slot, by, context)
      return
    }
    const isFull = schedule.queue.length >= limits.maxScheduleQueue
    if (overlap === 'cancelOther' && !isFull) {
      const cancelled = this.#cancel(withoutBuffered(schedule))
      this.#put({ ...cancelled, queue: [...cancelled.queue, slot] })
    } else if (overlap === 'bufferOne' && !isFull && !schedule.queue.some(isBuffered)) {
      this.#put({ ...schedule, queue: [...schedule.queue, slot] })
    } else this.#put({ ...schedule, skipped: schedule.skipped + 1 })
  }

  #start (schedule: Schedule, queued: QueuedRun, by: Executor, context: ApplyContext): void {
    const token = context.index
    const run: ScheduleRun = { ...queued, ...by, token, startedMs: context.timeOfDayMs, isCancelled: false }
    this.#tokens.add(token)
    this.#put({ ...schedule, runs: [...schedule.runs, run] })
    this.#changed({ kind: 'started', name: schedule.name, run })
  }

  #cancel (schedule: Schedule): Schedule {
    for (const { token } of schedule.runs) this.#changed({ kind: 'cancelled', name: schedule.name, token })
    return { ...schedule, runs: schedule.runs.map((run) => ({ ...run, isCancelled: true })) }
  }

  #end (
    name: string,
    token: number,
    outcome: EndedRun['outcome'],
    error: string | null,
    context: ApplyContext
  ): ScheduleAnswer {
    const known = this.#schedules.get(name)
    const run = known?.runs.find((candidate) => candidate.token === token)
    if (known === undefined || run === undefined) return stale
    const { timeOfDayMs } = context
    const { slotMs, trigger, attempt, node, startedMs } = run
    const ended: EndedRun = { slotMs, trigger, attempt, token, node, startedMs, endedMs: timeOfDayMs, outcome, error }
    const { delivery, pauseOnFailure } = known.definition
    const isCut = outcome === 'lost' || outcome === 'cancelled'
    const again: QueuedRun = { slotMs, trigger, attempt: attempt + 1 }
    const next: Schedule = {
      ...known,
      runs: known.runs.filter((candidate) => candidate !== run),
      queue: delivery === 'at-least-once' && isCut && !run.isCancelled ? [again, ...known.queue] : known.queue,
      history: [...known.history, ended].slice(-limits.maxScheduleHistory)
    }
    this.#put(outcome === 'failed' && pauseOnFailure ? pausedBy(next, 'a run failed', timeOfDayMs) : next)
    this.#forget(name, token)
    return done
  }

  #forget (name: string, token: number): void {
    this.#tokens.delete(token)
    this.#changed({ kind: 'ended', name, token })
  }
}

/** Who is to run a slot. */
type Executor = Pick<ScheduleRun, 'node' | 'leadership'>

const emptySchedule =
  { lastSlotMs: null, paused: null, runs: [], queue: [], history: [], missed: 0, skipped: 0 } as const

function * recordsOf (schedules: readonly Schedule[]): Generator<Uint8Array, void, undefined> {
  for (const schedule of schedules) yield scheduleRecord(schedule)
}

function isBusy ({ runs, queue }: Schedule): boolean {
  return runs.length > 0 || queue.length > 0
}

/** Whether one more run may be in progress. */
function hasRoom ({ runs, definition: { overlap } }: Schedule): boolean {
  return runs.length === 0 || (overlap === 'allowAll' && runs.length < limits.maxScheduleRuns)
}

/** Put off by the overlap rule. */
function isBuffered ({ trigger, attempt }: QueuedRun): boolean {
  return trigger === 'slot' && attempt === 1
}

function withoutBuffered (schedule: Schedule): Schedule {
  const queue = schedule.queue.filter((queued) => !isBuffered(queued))
  return { ...schedule, queue, skipped: schedule.skipped + schedule.queue.length - queue.length }
}

function pausedBy (schedule: Schedule, reason: string, sinceMs: number): Schedule {
  return { ...withoutBuffered(schedule), paused: schedule.paused ?? { reason, sinceMs } }
}

function tooManyQueued (name: string): RefusedAnswer {
  return refuse('RAFT_BUSY', `at most ${limits.maxScheduleQueue} runs of the schedule "${name}" may wait`)
}
