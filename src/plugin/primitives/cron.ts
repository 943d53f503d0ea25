import type { CronOptions } from 'croner'
import { Cron } from 'croner'
import { CronInvalidError, CronNeverError, TimeZoneError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isInstant } from '../replicated/schedule-definition.ts'
import { ZoneClock } from './zone-clock.ts'

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
  if (!isTimeZone(timeZone)) throw new TimeZoneError(timeZone)
  checkExpression(expression)
  const next = namesTimesOfDay(expression) ? timesOfDay(expression, timeZone) : interval(expression, timeZone)
  const after = (instantMs: number): number | null => {
    const slotMs = next(instantMs)
    return slotMs !== null && isInstant(slotMs) ? slotMs : null
  }
  if (after(0) === null) throw new CronNeverError(expression)
  return { after }
}

type NextSlot = CronSlots['after']

function interval (expression: string, timeZone: string): NextSlot {
  const cron = parse(expression, { timezone: timeZone })
  return (instantMs) => nextOf(cron, instantMs)
}

/**
 * croner counts the times of day of a clock that never changes; what becomes of them in the zone is worked out here.
 * By itself croner loses those of an hour before midnight that a clock change leaves out, as in Nuuk.
 */
function timesOfDay (expression: string, timeZone: string): NextSlot {
  const cron = parse(expression, { utcOffset: 0 })
  const clock = new ZoneClock(timeZone)
  return (instantMs) => {
    let wallMs = nextOf(cron, clock.shownAt(instantMs))
    while (wallMs !== null) {
      const slotMs = clock.firstInstantOf(wallMs)
      if (slotMs !== null && slotMs > instantMs) return slotMs
      wallMs = nextOf(cron, wallMs)
    }
    return null
  }
}

function nextOf (cron: Cron, behindMs: number): number | null {
  return cron.nextRun(new Date(behindMs))?.getTime() ?? null
}

/** Whether seconds, minutes and hours are numbers, lists and ranges alone. */
function namesTimesOfDay (expression: string): boolean {
  const [first = '', ...others] = expression.trim().split(/\s+/)
  if (first.startsWith('@')) return first.toLowerCase() !== '@hourly'
  const times = [first, ...others.slice(0, others.length === 4 ? 1 : 2)]
  return !times.some((field) => /[*/?]/.test(field))
}

/** Whether it is the name of a zone of the IANA database, as this runtime knows it. */
function isTimeZone (name: string): boolean {
  // Offsets such as "+01:00" are taken by newer runtimes only, and are no names.
  if (name.length > limits.maxTimeZoneLength || !/^[A-Za-z]/.test(name)) return false
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

function checkExpression (expression: string): void {
  if (typeof expression !== 'string' || expression.length > limits.maxCronLength) {
    throw new CronInvalidError(String(expression).slice(0, limits.maxCronLength), 'it is no short text')
  }
  const advice = adviceFor(expression.trim())
  if (advice !== null) throw new CronInvalidError(expression, advice)
}

function parse (expression: string, zone: Pick<CronOptions, 'timezone' | 'utcOffset'>): Cron {
  try {
    return new Cron(expression, { paused: true, ...zone })
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : 'it cannot be read'
    throw new CronInvalidError(expression, reason, { cause: error })
  }
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
