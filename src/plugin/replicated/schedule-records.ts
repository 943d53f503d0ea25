import { limits } from './limits.ts'
import { isPauseReason, isRunError, isScheduleName } from './schedule-command.ts'
import { isInstant, isScheduleDefinition } from './schedule-definition.ts'
import type { EndedRun, QueuedRun, Schedule, ScheduleRun } from './schedule-state.ts'
import { recordOf } from './snapshot-records.ts'
import { isFlag, isIndex, isOwner, isToken } from './validate.ts'

type Check = (value: unknown) => boolean
type Checks<T> = { readonly [Member in keyof T]-?: Check }

function oneOf (...values: readonly string[]): Check {
  return (value) => typeof value === 'string' && values.includes(value)
}

const queuedChecks: Checks<QueuedRun> = {
  slotMs: isInstant,
  trigger: oneOf('slot', 'manual', 'backfill'),
  attempt: isToken
}
const startedChecks = { ...queuedChecks, token: isToken, node: isOwner, startedMs: isInstant }
const runChecks: Checks<ScheduleRun> = { ...startedChecks, leadership: isToken, isCancelled: isFlag }
const endedChecks: Checks<EndedRun> = {
  ...startedChecks,
  endedMs: isInstant,
  outcome: oneOf('completed', 'failed', 'cancelled', 'lost'),
  error: isRunError
}
const pauseChecks: Checks<NonNullable<Schedule['paused']>> = { reason: isPauseReason, sinceMs: isInstant }
const scheduleChecks: Checks<Schedule> = {
  name: isScheduleName,
  definition: isScheduleDefinition,
  revision: isToken,
  cursorMs: isInstant,
  lastSlotMs: (value) => value === null || isInstant(value),
  paused: (value) => value === null || has(pauseChecks, value),
  runs: listOf(runChecks, limits.maxScheduleRuns),
  // A run that is lost goes back into a queue that may be full.
  queue: listOf(queuedChecks, limits.maxScheduleQueue + limits.maxScheduleRuns),
  history: listOf(endedChecks, limits.maxScheduleHistory),
  missed: isIndex,
  skipped: isIndex
}

function has (checks: Readonly<Record<string, Check>>, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const members = Object.entries(value)
  return members.length === Object.keys(checks).length &&
    members.every(([name, member]) => Object.hasOwn(checks, name) && checks[name]?.(member) === true)
}

function listOf (checks: Readonly<Record<string, Check>>, max: number): Check {
  return (value) => Array.isArray(value) && value.length <= max && value.every((member) => has(checks, member))
}

/** A schedule as a record of a snapshot. */
export function scheduleRecord (schedule: Schedule): Uint8Array {
  return recordOf(schedule)
}

/** The schedule of a record; null for a form that no release writes. */
export function readSchedule ([schedule, ...more]: readonly unknown[]): Schedule | null {
  return more.length === 0 && has(scheduleChecks, schedule) ? schedule as Schedule : null
}
