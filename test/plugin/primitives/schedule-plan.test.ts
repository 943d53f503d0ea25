import { describe, expect, it } from 'vitest'
import { cronSlots } from '../../../src/plugin/primitives/cron.ts'
import { planSlots } from '../../../src/plugin/primitives/schedule-plan.ts'
import type { Schedule } from '../../../src/plugin/replicated/schedule-state.ts'
import { scheduleDefinition } from '../replicated/support/schedules.ts'

const startMs = Date.UTC(2026, 10, 28, 12)
const everySecond = cronSlots('* * * * * *', 'UTC')

/** A schedule that comes each second and has passed all slots up to the start. */
function scheduleWith (missed: 'skip' | 'one' | 'all'): Schedule {
  return {
    name: 's',
    definition: scheduleDefinition({ cron: '* * * * * *', missed }),
    revision: 1,
    cursorMs: startMs,
    lastSlotMs: null,
    paused: null,
    runs: [],
    queue: [],
    history: [],
    missed: 0,
    skipped: 0
  }
}

describe('a plan', () => {
  it.each(['skip', 'one'] as const)('passes 250 slots at most, and runs the newest of all alone: %s', (missed) => {
    let schedule = scheduleWith(missed)
    const passed: unknown[] = []
    for (;;) {
      const plan = planSlots(schedule, everySecond, startMs + 600_000)
      if (plan.kind !== 'pass') break
      const { throughMs, ...more } = plan.passed
      passed.push({ seconds: (throughMs - schedule.cursorMs) / 1_000, ...more })
      schedule = { ...schedule, cursorMs: throughMs }
    }
    expect(passed).toEqual([
      { seconds: 250, runs: false, missed: 250 },
      { seconds: 250, runs: false, missed: 250 },
      { seconds: 100, runs: true, missed: 99 }
    ])
  })
})
