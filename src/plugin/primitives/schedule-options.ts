import type { Static } from 'typebox'
import { schemaFaults, Type } from '../../gateway/internal.ts'
import { InvalidOptionsError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import type {
  ScheduleDefinition,
  ScheduleDelivery,
  ScheduleMissed,
  ScheduleOverlap
} from '../replicated/schedule-definition.ts'
import { isInstant } from '../replicated/schedule-definition.ts'

/** How a schedule runs. Left out members have the defaults named. */
export interface ScheduleOptions {
  /** IANA name of the zone that the expression is in; `UTC` by default, whatever the zone of a node is. */
  readonly timeZone?: string | undefined
  /**
   * `at-most-once` (default): a slot that was begun never runs again, whatever became of it. `at-least-once`: a slot
   * whose node ended in the middle of it runs again, on the next leader; its run has to bear that.
   */
  readonly delivery?: ScheduleDelivery | undefined
  /**
   * What becomes of a slot that comes while a run is in progress on any node. `skip` (default): it does not run.
   * `bufferOne`: it runs next; of several the first does. `cancelOther`: the run is asked to end, and the newest slot
   * runs next. `allowAll`: it runs beside.
   */
  readonly overlap?: ScheduleOverlap | undefined
  /**
   * What becomes of slots that passed while no leader could start them. `skip`: they do not run, except the newest
   * within 10 seconds of its time. `one` (default): the newest runs. `all` (default with `at-least-once`): each runs,
   * one after another.
   */
  readonly missed?: ScheduleMissed | undefined
  /** Missed slots older than this do not run. Milliseconds, default a day, up to a year. */
  readonly catchUpWindowMs?: number | undefined
  /** Each slot comes up to so much later, spread over schedules and slots. Milliseconds, default 0, up to an hour. */
  readonly jitterMs?: number | undefined
  /** No slot before this; a date, or its text with an offset. */
  readonly startAt?: Date | string | undefined
  /** No slot from this on. */
  readonly endAt?: Date | string | undefined
  /** Pauses the schedule when a run throws. Default false. */
  readonly pauseOnFailure?: boolean | undefined
  /**
   * How long the run of a node that no longer leads may take to tell its end before it counts as lost, in milliseconds:
   * default 5,000. No other run of the schedule begins meanwhile, unless with `allowAll`.
   */
  readonly stopGraceMs?: number | undefined
}

const optionsSchema = Type.Object({
  timeZone: Type.Optional(Type.String()),
  delivery: Type.Optional(Type.Union([Type.Literal('at-most-once'), Type.Literal('at-least-once')])),
  overlap: Type.Optional(
    Type.Union([Type.Literal('skip'), Type.Literal('bufferOne'), Type.Literal('cancelOther'), Type.Literal('allowAll')])
  ),
  missed: Type.Optional(Type.Union([Type.Literal('skip'), Type.Literal('one'), Type.Literal('all')])),
  catchUpWindowMs: Type.Optional(Type.Integer({ minimum: 0, maximum: limits.maxCatchUpWindowMs })),
  jitterMs: Type.Optional(Type.Integer({ minimum: 0, maximum: limits.maxJitterMs })),
  startAt: Type.Optional(Type.String()),
  endAt: Type.Optional(Type.String()),
  pauseOnFailure: Type.Optional(Type.Boolean()),
  stopGraceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: limits.maxStopGraceMs }))
}, { additionalProperties: false })

const dayMs = 86_400_000
const defaultStopGraceMs = 5_000

/** The definition that options ask for. Throws `RAFT_INVALID_OPTIONS` with every fault. */
export function defineSchedule (cron: string, options: ScheduleOptions): ScheduleDefinition {
  const given = Object.fromEntries(Object.entries(options).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return []
    return [[name, value instanceof Date ? textOf(value) : value]]
  }))
  const faults = schemaFaults(optionsSchema, given).map(({ pointer, message }) => `${pointer.slice(1)} ${message}`)
  if (faults.length > 0) throw new InvalidOptionsError(faults.join('; '))
  const read = given as Static<typeof optionsSchema>
  const { delivery = 'at-most-once' } = read
  const startAtMs = read.startAt === undefined ? null : instantOf('startAt', read.startAt)
  const endAtMs = read.endAt === undefined ? null : instantOf('endAt', read.endAt)
  if (startAtMs !== null && endAtMs !== null && endAtMs <= startAtMs) {
    throw new InvalidOptionsError('endAt is not behind startAt')
  }
  return {
    cron,
    timeZone: read.timeZone ?? 'UTC',
    delivery,
    overlap: read.overlap ?? 'skip',
    missed: read.missed ?? (delivery === 'at-least-once' ? 'all' : 'one'),
    catchUpWindowMs: read.catchUpWindowMs ?? dayMs,
    jitterMs: read.jitterMs ?? 0,
    startAtMs,
    endAtMs,
    pauseOnFailure: read.pauseOnFailure ?? false,
    stopGraceMs: read.stopGraceMs ?? defaultStopGraceMs
  }
}

function textOf (date: Date): string {
  return Number.isNaN(date.getTime()) ? 'an invalid date' : date.toISOString()
}

/** A text without an offset would mean another instant on each node: RFC 3339 section 5.6 has one. */
const withOffset = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/

/** Milliseconds since the epoch. Throws `RAFT_INVALID_OPTIONS`. */
export function instantOf (name: string, given: Date | string): number {
  const text = given instanceof Date ? textOf(given) : given
  const instantMs = withOffset.test(text) ? Date.parse(text) : NaN
  if (!isInstant(instantMs)) {
    throw new InvalidOptionsError(`${name} is a date, or its text with an offset such as 2027-03-14T02:30:00Z`)
  }
  return instantMs
}
