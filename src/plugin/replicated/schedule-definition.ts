import { limits } from './limits.ts'

/** What becomes of a slot that comes while a run of the same schedule is in progress, on any node. */
export type ScheduleOverlap = 'skip' | 'bufferOne' | 'cancelOther' | 'allowAll'

/** What becomes of slots that nobody could start in time. */
export type ScheduleMissed = 'skip' | 'one' | 'all'

/** How often a slot may run when a node ends in the middle of it. */
export type ScheduleDelivery = 'at-most-once' | 'at-least-once'

/** When a schedule runs and by which rules: what all nodes have to agree on. Durations in milliseconds. */
export interface ScheduleDefinition {
  readonly cron: string
  /** IANA name. */
  readonly timeZone: string
  readonly delivery: ScheduleDelivery
  readonly overlap: ScheduleOverlap
  readonly missed: ScheduleMissed
  /** Slots that are later than this are not run any more. */
  readonly catchUpWindowMs: number
  readonly jitterMs: number
  /** No slot before this, in milliseconds since the epoch; null for no limit. */
  readonly startAtMs: number | null
  /** No slot at or behind this; null for no limit. */
  readonly endAtMs: number | null
  readonly pauseOnFailure: boolean
  /** How long a run of an earlier leadership may take to tell its end before it counts as lost. */
  readonly stopGraceMs: number
}

type Check = (value: unknown) => boolean

function oneOf (...values: readonly unknown[]): Check {
  return (value) => values.includes(value)
}

function textUpTo (maxLength: number): Check {
  return (value) => typeof value === 'string' && value.length > 0 && value.length <= maxLength
}

function countUpTo (max: number): Check {
  return (value) => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max
}

/** A point of time in milliseconds since the epoch. */
export const isInstant: Check = countUpTo(limits.maxInstantMs)

const isLimit: Check = (value) => value === null || isInstant(value)

const members: ReadonlyMap<string, Check> = new Map(Object.entries({
  cron: textUpTo(limits.maxCronLength),
  timeZone: textUpTo(limits.maxTimeZoneLength),
  delivery: oneOf('at-most-once', 'at-least-once'),
  overlap: oneOf('skip', 'bufferOne', 'cancelOther', 'allowAll'),
  missed: oneOf('skip', 'one', 'all'),
  catchUpWindowMs: countUpTo(limits.maxCatchUpWindowMs),
  jitterMs: countUpTo(limits.maxJitterMs),
  startAtMs: isLimit,
  endAtMs: isLimit,
  pauseOnFailure: oneOf(true, false),
  stopGraceMs: countUpTo(limits.maxStopGraceMs)
} satisfies Record<keyof ScheduleDefinition, Check>))

/** Whether a value is a definition: exactly its members, each in its bounds. */
export function isScheduleDefinition (value: unknown): value is ScheduleDefinition {
  if (typeof value !== 'object' || value === null) return false
  const entries = Object.entries(value)
  return entries.length === members.size && entries.every(([name, member]) => members.get(name)?.(member) === true)
}

/** Names of the members in which two definitions differ. */
export function differencesOf (one: ScheduleDefinition, other: ScheduleDefinition): readonly string[] {
  return ([...members.keys()] as Array<keyof ScheduleDefinition>).filter((name) => one[name] !== other[name])
}

/** Whether two definitions have the same slots. */
export function hasSameSlots (one: ScheduleDefinition, other: ScheduleDefinition): boolean {
  const ofSlots = new Set(['cron', 'timeZone', 'startAtMs', 'endAtMs'])
  return !differencesOf(one, other).some((name) => ofSlots.has(name))
}
