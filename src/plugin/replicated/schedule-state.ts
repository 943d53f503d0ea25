import type { ScheduleDefinition } from './schedule-definition.ts'

/** Why a run takes place: its slot came, somebody asked for one now, or for past slots. */
export type RunTrigger = 'slot' | 'manual' | 'backfill'

/** A run that waits for its turn. */
export interface QueuedRun {
  /** Its planned instant, in milliseconds since the epoch. */
  readonly slotMs: number
  readonly trigger: RunTrigger
  /** 1 for the first attempt. */
  readonly attempt: number
}

/** A run in progress. */
export interface ScheduleRun extends QueuedRun {
  /** Fencing token: log index of its start. */
  readonly token: number
  readonly node: string
  /** Token of the leadership that it runs under. */
  readonly leadership: number
  readonly startedMs: number
  /** Another slot has taken its place: it is asked to end. */
  readonly isCancelled: boolean
}

/** A run that is over. */
export interface EndedRun extends Omit<ScheduleRun, 'leadership' | 'isCancelled'> {
  readonly endedMs: number
  /** `lost`: its node ended or was cut off in the middle of it. */
  readonly outcome: 'completed' | 'failed' | 'cancelled' | 'lost'
  readonly error: string | null
}

/** A schedule, all times in milliseconds since the epoch. */
export interface Schedule {
  readonly name: string
  readonly definition: ScheduleDefinition
  /** Log index of the definition. */
  readonly revision: number
  /** The slot that was passed last, or when the definition came. Never falls. */
  readonly cursorMs: number
  /** The last slot that was to run; null before the first. */
  readonly lastSlotMs: number | null
  readonly paused: { readonly reason: string, readonly sinceMs: number } | null
  readonly runs: readonly ScheduleRun[]
  readonly queue: readonly QueuedRun[]
  /** The last runs that ended, oldest first. */
  readonly history: readonly EndedRun[]
  /** Slots that nobody could run in time. */
  readonly missed: number
  /** Slots that did not run because another run was in progress. */
  readonly skipped: number
}
