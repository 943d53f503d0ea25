import type { ClusterStateMachine } from '../../../../src/plugin/replicated/cluster-state-machine.ts'
import type { ScheduleCommand } from '../../../../src/plugin/replicated/schedule-command.ts'
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

/** A command about a schedule, mostly one that the state takes. */
export function randomScheduleCommand (
  random: (below: number) => number,
  { schedules, fences }: ClusterStateMachine,
  name: string
): ScheduleCommand {
  const known = schedules.get(name)
  const run = known?.runs[random(2)]
  const leadership = Math.max(1, fences.leadershipToken - (random(8) === 0 ? 1 : 0))
  const by = { name, node: `n${1 + random(2)}`, leadership }
  const fromMs = known?.cursorMs ?? 0
  const outcome = (['completed', 'failed', 'cancelled'] as const)[random(3)] ?? 'completed'
  const overlap = (['skip', 'bufferOne', 'cancelOther', 'allowAll'] as const)[random(4)] ?? 'skip'
  const delivery = random(2) === 0 ? 'at-most-once' : 'at-least-once'
  switch (known === undefined ? 0 : random(14)) {
    case 0: {
      const definition = scheduleDefinition({ overlap, delivery, pauseOnFailure: random(2) === 0 })
      return { kind: 'schedule-define', name, definition, leadership }
    }
    case 1: return { kind: 'schedule-run', name }
    case 2: return { kind: 'schedule-backfill', name, revision: known?.revision ?? 1, slotsMs: [random(9), 9 + random(9)] }
    case 3: return random(4) === 0 ? { kind: 'schedule-remove', name } : { kind: 'schedule-pause', name, reason: 'r' }
    case 4: return { kind: 'schedule-resume', name }
    case 5: return { kind: 'schedule-lose', name, token: run?.token ?? 1, leadership }
    case 6:
    case 7:
    case 8: return { kind: 'schedule-finish', name, token: run?.token ?? 1, outcome, error: outcome === 'failed' ? 'e' : null }
    case 9: return { kind: 'schedule-next', ...by }
    default: {
      const passed = { fromMs, throughMs: fromMs + random(60_000), runs: random(4) > 0, missed: random(3) }
      return { kind: 'schedule-fire', ...by, revision: known?.revision ?? 1, ...passed }
    }
  }
}
