import type { ScheduleDefinition } from '../../../../src/plugin/replicated/schedule-definition.ts'

/** A definition with the defaults of the options. */
export function scheduleDefinition (more: Partial<ScheduleDefinition> = {}): ScheduleDefinition {
  return {
    cron: '* * * * *',
    timeZone: 'UTC',
    delivery: 'at-most-once',
    overlap: 'skip',
    missed: 'one',
    catchUpWindowMs: 86_400_000,
    jitterMs: 0,
    startAtMs: null,
    endAtMs: null,
    pauseOnFailure: false,
    stopGraceMs: 5_000,
    ...more
  }
}
