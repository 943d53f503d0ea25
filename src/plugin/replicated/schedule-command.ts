import { limits } from './limits.ts'
import type { ScheduleDefinition } from './schedule-definition.ts'
import { isInstant, isScheduleDefinition } from './schedule-definition.ts'
import { isIndex, isOwner, isToken } from './validate.ts'

/** Puts a definition in force. Written by the leader, from its own registration. */
export interface ScheduleDefineCommand {
  readonly kind: 'schedule-define'
  readonly name: string
  readonly definition: ScheduleDefinition
  /** Token of the leadership that writes it; valid only while no other has started. */
  readonly leadership: number
}

/** Forgets a schedule with its history. */
export interface ScheduleRemoveCommand {
  readonly kind: 'schedule-remove'
  readonly name: string
}

/**
 * Passes over slots, and starts the last of them if it is to run. Applies only where the last one stopped, so that no
 * slot is ever passed twice.
 */
export interface ScheduleFireCommand {
  readonly kind: 'schedule-fire'
  readonly name: string
  /** The definition that it was worked out from. */
  readonly revision: number
  /** The slot that was last passed, as the leader knows it. */
  readonly fromMs: number
  /** The last slot that is passed now. */
  readonly throughMs: number
  /** Whether that slot is to run. */
  readonly runs: boolean
  /** Slots that are passed and not run because nobody could in time. */
  readonly missed: number
  /** Node that is to run it. */
  readonly node: string
  readonly leadership: number
}

/** Starts the first run of the queue. */
export interface ScheduleNextCommand {
  readonly kind: 'schedule-next'
  readonly name: string
  readonly node: string
  readonly leadership: number
}

/** Ends a run. */
export interface ScheduleFinishCommand {
  readonly kind: 'schedule-finish'
  readonly name: string
  readonly token: number
  readonly outcome: 'completed' | 'failed' | 'cancelled'
  /** What it failed with; null unless it failed. */
  readonly error: string | null
}

/** Written by the leader when nobody can tell any more how a run of an earlier leadership ends. */
export interface ScheduleLoseCommand {
  readonly kind: 'schedule-lose'
  readonly name: string
  readonly token: number
  readonly leadership: number
}

/** Asks for a run now, beside the slots. */
export interface ScheduleRunCommand {
  readonly kind: 'schedule-run'
  readonly name: string
}

/** Asks for runs of slots in the past or the future, in this order. */
export interface ScheduleBackfillCommand {
  readonly kind: 'schedule-backfill'
  readonly name: string
  readonly revision: number
  readonly slotsMs: readonly number[]
}

/** Passes over all slots until it is resumed. */
export interface SchedulePauseCommand {
  readonly kind: 'schedule-pause'
  readonly name: string
  /** For people to read. */
  readonly reason: string
}

/** Goes on with the slots from now on. */
export interface ScheduleResumeCommand {
  readonly kind: 'schedule-resume'
  readonly name: string
}

/** A command on the table of schedules. */
export type ScheduleCommand =
  | ScheduleDefineCommand | ScheduleRemoveCommand | ScheduleFireCommand | ScheduleNextCommand | ScheduleFinishCommand
  | ScheduleLoseCommand | ScheduleRunCommand | ScheduleBackfillCommand | SchedulePauseCommand | ScheduleResumeCommand

/** The name of a schedule: 1 to 100 characters. */
export function isScheduleName (value: unknown): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= limits.maxScheduleNameLength
}

/** The reason of a pause: up to 200 characters. */
export function isPauseReason (value: unknown): boolean {
  return typeof value === 'string' && value.length <= limits.maxPauseReasonLength
}

/** The text of an error, null for none. */
export function isRunError (value: unknown): boolean {
  return value === null || (typeof value === 'string' && value.length <= limits.maxRunErrorLength)
}

function isSlotList (value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > limits.maxScheduleQueue) return false
  return value.every((slotMs, at) => isInstant(slotMs) && (at === 0 || (slotMs as number) > (value[at - 1] as number)))
}

const name = { accepts: isScheduleName }
const token = { accepts: isToken }
const instant = { accepts: isInstant }
const byLeader = { node: { accepts: isOwner }, leadership: token }

/** The members of each command, beside `kind`. */
export const scheduleShapes = {
  'schedule-define': { name, definition: { accepts: isScheduleDefinition }, leadership: token },
  'schedule-remove': { name },
  'schedule-fire': {
    name,
    revision: token,
    fromMs: instant,
    throughMs: instant,
    runs: { accepts: (value: unknown) => typeof value === 'boolean' },
    missed: { accepts: isIndex },
    ...byLeader
  },
  'schedule-next': { name, ...byLeader },
  'schedule-finish': {
    name,
    token,
    outcome: { accepts: (value: unknown) => value === 'completed' || value === 'failed' || value === 'cancelled' },
    error: { accepts: isRunError }
  },
  'schedule-lose': { name, token, leadership: token },
  'schedule-run': { name },
  'schedule-backfill': { name, revision: token, slotsMs: { accepts: isSlotList } },
  'schedule-pause': { name, reason: { accepts: isPauseReason } },
  'schedule-resume': { name }
} as const satisfies { readonly [Kind in ScheduleCommand['kind']]:
  Record<Exclude<keyof Extract<ScheduleCommand, { readonly kind: Kind }>, 'kind'>, object> }
