import { Cron } from 'croner'
import { CronInvalidError, CronNeverError, TimeZoneError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isInstant } from '../replicated/schedule-definition.ts'
import type { ZoneClock } from './zone-clock.ts'
import { zoneClockOf } from './zone-clock.ts'

/** The instants at which an expression comes due. */
export interface CronSlots {
  /** The first slot behind an instant, both in milliseconds since the epoch; null when there is none. */
  readonly after: (instantMs: number) => number | null
}

/** Forms that other libraries read in different ways, and what to write instead. */
const otherForms: ReadonlyArray<readonly [form: RegExp, advice: (match: RegExpExecArray) => string]> = [
  [/(?:^|[\s,])(\d+)\/(\d+)/, ([, from, step]) =>
    `"${from}/${step}" is a single value with a step; write the range, as in "${from}-59/${step}"`],
  [/(?:^|[\s,])\/(\d+)/, ([, step]) => `"/${step}" has no range; write "*/${step}"`],
  [/\bL-\d+/i, ([form]) =>
    `"${form}" is known to few; write "L" for the last day, or a range such as "25-28" and look at the date`],
  [/^@reboot$/i, () => '"@reboot" is no time; use a singleton task, or what runs when the application is ready']
]
/** More than any clock change sets clocks by, in milliseconds. */
const reachMs = 2 * 86_400_000
const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']
const months = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']

/**
 * The slots of an expression in a zone. One rule for all clock changes: what names times of day, with neither a
 * wildcard nor a step in seconds, minutes and hours, comes once on each local date that exists: times that a clock
 * change leaves out come together as its first instant, and of a time that comes twice the first one counts. Anything
 * else is an interval, and follows the instants that exist.
 *
 * Throws `RAFT_CRON_INVALID`, `RAFT_TIME_ZONE`, or `RAFT_CRON_NEVER` for an expression without any slot.
 */
export function cronSlots (expression: string, timeZone: string): CronSlots {
  const clock = zoneClockOf(timeZone)
  if (clock === null) throw new TimeZoneError(timeZone)
  checkExpression(expression)
  const nextWall: NextWall = (wallMs) => parsed(expression).nextRun(new Date(wallMs))?.getTime() ?? null
  const next = namesTimesOfDay(expression) ? timesOfDay(nextWall, clock) : interval(nextWall, clock)
  const after = (instantMs: number): number | null => {
    const slotMs = next(instantMs)
    return slotMs !== null && isInstant(slotMs) ? slotMs : null
  }
  if (after(0) === null) throw new CronNeverError(expression)
  return { after }
}

/** The first time behind another that an expression names, on a clock that never changes; null when there is none. */
type NextWall = (wallMs: number) => number | null

/** By itself croner loses times of day in a change that ends at midnight, as in Nuuk. */
function timesOfDay (nextWall: NextWall, clock: ZoneClock): CronSlots['after'] {
  return (instantMs) => {
    let wallMs = nextWall(clock.shownAt(instantMs))
    while (wallMs !== null) {
      const slotMs = clock.firstInstantOf(wallMs)
      if (slotMs !== null && slotMs > instantMs) return slotMs
      wallMs = nextWall(wallMs)
    }
    return null
  }
}

/** Goes from clock change to clock change, and counts what clocks show in between. */
function interval (nextWall: NextWall, clock: ZoneClock): CronSlots['after'] {
  return (instantMs) => {
    let fromMs = instantMs
    let shownMs = clock.shownAt(fromMs)
    let behindMs = shownMs
    for (;;) {
      const wallMs = nextWall(behindMs)
      const slotMs = wallMs === null ? Infinity : fromMs + wallMs - shownMs
      const nearMs = Math.min(slotMs, fromMs + reachMs)
      const changeMs = clock.changeBetween(fromMs, nearMs)
      if (changeMs === null && nearMs === slotMs) return slotMs
      if (changeMs === null && wallMs === null) return null
      // On the way to a far slot nothing comes: what a clock change brings comes within its reach.
      fromMs = changeMs ?? Math.max(nearMs, slotMs - reachMs)
      shownMs = clock.shownAt(fromMs)
      // At the change itself something may come.
      behindMs = changeMs === null ? shownMs : shownMs - 1
    }
  }
}

/** Whether seconds, minutes and hours are numbers, lists and ranges alone. */
function namesTimesOfDay (expression: string): boolean {
  const [first = '', ...others] = expression.trim().split(/\s+/)
  if (first.startsWith('@')) return first.toLowerCase() !== '@hourly'
  const times = [first, ...others.slice(0, others.length === 4 ? 1 : 2)]
  return !times.some((field) => /[*/?]/.test(field))
}

function checkExpression (expression: string): void {
  if (typeof expression !== 'string' || expression.length > limits.maxCronLength) {
    throw new CronInvalidError(String(expression).slice(0, limits.maxCronLength), 'it is no short text')
  }
  const advice = adviceFor(expression.trim())
  if (advice !== null) throw new CronInvalidError(expression, advice)
}

/** Those of croner take 80 KB each, and most applications have few; the one unused for longest goes first. */
const kept = new Map<string, Cron>()
const maxKept = 256

/** Throws `RAFT_CRON_INVALID`. */
function parsed (expression: string): Cron {
  const cron = kept.get(expression) ?? parse(expression)
  kept.delete(expression)
  kept.set(expression, cron)
  for (const oldest of kept.keys()) {
    if (kept.size <= maxKept) break
    kept.delete(oldest)
  }
  return cron
}

/** On a clock that never changes. */
function parse (expression: string): Cron {
  try {
    return new Cron(expression, { paused: true, utcOffset: 0 })
  } catch (error) {
    throw new CronInvalidError(expression, reasonOf(error), { cause: error })
  }
}

/** What croner says, which counts days and months from 0. */
function reasonOf (error: unknown): string {
  if (!(error instanceof Error)) return 'it cannot be read'
  return error.message.replace(/^CronPattern: /, '')
    .replace(/(day|nearestWeekdays|month): (-?\d+)$/, (_all, field, number) => `${field}: ${Number(number) + 1}`)
}

function adviceFor (expression: string): string | null {
  const fields = expression.split(/\s+/)
  const isNickname = expression.startsWith('@')
  // A date is a job that runs once, and no expression.
  if (!isNickname && (fields.length < 5 || fields.length > 7)) {
    return 'it has five fields, six with seconds, seven with a year'
  }
  for (const [form, advice] of otherForms) {
    const match = form.exec(expression)
    if (match !== null) return advice(match)
  }
  for (const field of fields) {
    const wrapping = wrappedRange(field)
    if (wrapping !== null) return wrapping
  }
  return null
}

/** A range that goes over the end, such as `22-2` or `FRI-MON`; written as a list it is clear. */
function wrappedRange (field: string): string | null {
  for (const item of field.split(',')) {
    const [, from = '', to = ''] = /^(\w+)-(\w+)$/.exec(item) ?? []
    for (const names of [weekdays, months]) {
      const [first, last] = [names.indexOf(from.toUpperCase()), names.indexOf(to.toUpperCase())]
      if (first === -1 || last === -1 || first <= last) continue
      if (names === weekdays && last === 0) continue
      return `"${item}" goes over the end; write "${[...names.slice(first), ...names.slice(0, last + 1)].join(',')}"`
    }
    if (/^\d+$/.test(from) && /^\d+$/.test(to) && Number(from) > Number(to)) {
      return `"${item}" goes over the end; write two ranges, such as "22-23,0-2" for the hours from 22 to 2`
    }
  }
  return null
}
