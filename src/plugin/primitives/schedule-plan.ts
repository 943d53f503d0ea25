import type { ScheduleFireCommand } from '../replicated/schedule-command.ts'
import type { ScheduleDefinition } from '../replicated/schedule-definition.ts'
import type { Schedule } from '../replicated/schedule-state.ts'
import { textHash } from '../replicated/text-hash.ts'
import type { CronSlots } from './cron.ts'

/** A slot that starts later than this is late, in milliseconds: more than a change of leader takes. */
export const lateAfterMs = 10_000

/** Slots that one entry passes at most: to find one takes a fraction of a millisecond of the application's thread. */
const maxPassed = 250

/** Slots that are passed, as the log says it. */
type PassedSlots = Pick<ScheduleFireCommand, 'throughMs' | 'runs' | 'missed'>

/** What is to be done about the slots of a schedule now. */
type SchedulePlan =
  /** Slots through this one are passed, and it runs or does not. */
  | { readonly kind: 'pass', readonly passed: PassedSlots }
  /** Nothing is due before this instant; null: nothing ever. */
  | { readonly kind: 'wait', readonly dueMs: number | null }
  /** Slots are due that wait for the end of a run. */
  | { readonly kind: 'hold' }

/**
 * Works out what is due at an instant, by the clock of the leader: always forwards from the slot that was passed last,
 * so that no clock and no start of a node adds or repeats a slot.
 */
export function planSlots (schedule: Schedule, slots: CronSlots, nowMs: number): SchedulePlan {
  const { name, definition, cursorMs } = schedule
  const due: number[] = []
  let nextMs = slotAfter(definition, slots, cursorMs)
  while (nextMs !== null && dueAt(name, definition, nextMs) <= nowMs && due.length < maxPassed) {
    due.push(nextMs)
    nextMs = slotAfter(definition, slots, nextMs)
  }
  const last = due.at(-1)
  if (last === undefined) return { kind: 'wait', dueMs: nextMs === null ? null : dueAt(name, definition, nextMs) }
  const isNewest = nextMs === null || dueAt(name, definition, nextMs) > nowMs
  const lateMs = (slotMs: number): number => nowMs - dueAt(name, definition, slotMs)
  switch (definition.missed) {
    case 'skip': return pass(due, isNewest && lateMs(last) <= lateAfterMs ? due.length - 1 : null)
    case 'one': return pass(due, isNewest && lateMs(last) <= definition.catchUpWindowMs ? due.length - 1 : null)
    case 'all': {
      const first = due.findIndex((slotMs) => lateMs(slotMs) <= definition.catchUpWindowMs)
      if (first === -1) return pass(due, null)
      // What is caught up with comes one after another. What comes in time meets the overlap rule, if it meets a run
      // that was there already.
      const meetsRun = schedule.runs.some(({ startedMs }) => startedMs <= dueAt(name, definition, last))
      const isBacklog = due.length - first > 1 || lateMs(last) > lateAfterMs || !meetsRun
      if (isBacklog && !mayStart(schedule)) return { kind: 'hold' }
      return pass(due.slice(0, first + 1), first)
    }
  }
}

/** The first slot of a definition behind an instant, without regard to jitter; null when there is none. */
export function slotAfter (definition: ScheduleDefinition, slots: CronSlots, afterMs: number): number | null {
  const { startAtMs, endAtMs } = definition
  const slotMs = slots.after(startAtMs === null ? afterMs : Math.max(afterMs, startAtMs - 1))
  return slotMs === null || (endAtMs !== null && slotMs >= endAtMs) ? null : slotMs
}

/** When a slot is due: its instant, or up to `jitterMs` later, the same for each node. */
export function dueAt (name: string, { jitterMs }: ScheduleDefinition, slotMs: number): number {
  return jitterMs === 0 ? slotMs : slotMs + hash(`${name}\n${slotMs}`) % jitterMs
}

/** Finished so that texts that differ little do not stay close. */
function hash (text: string): number {
  let state = textHash(text)
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
  return (state ^ (state >>> 13)) >>> 0
}

/** Passes all of them; the one at `run` is the last, and runs. */
function pass (due: readonly number[], run: number | null): SchedulePlan {
  const throughMs = due.at(-1) ?? 0
  return { kind: 'pass', passed: { throughMs, runs: run !== null, missed: due.length - (run === null ? 0 : 1) } }
}

function mayStart ({ runs, queue, definition: { overlap } }: Schedule): boolean {
  return overlap === 'allowAll' || (runs.length === 0 && queue.length === 0)
}
