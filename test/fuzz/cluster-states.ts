import { ClusterStateMachine } from '../../src/plugin/replicated/cluster-state-machine.ts'
import type { Command } from '../../src/plugin/replicated/command.ts'
import { encodeCommand } from '../../src/plugin/replicated/command.ts'
import type { MapComparison } from '../../src/plugin/replicated/map-transaction.ts'
import type { ScheduleDefinition } from '../../src/plugin/replicated/schedule-definition.ts'
import type { SimRandom } from '../sim/random.ts'
import { edgeCount, strangeText } from './values.ts'

/** A command of any kind, on names that may exist. */
export function anyCommand (random: SimRandom): Command {
  const key = random.chance(0.7) ? random.pick(['a', 'b', 'c']) : strangeText(random) || 'x'
  const name = random.chance(0.7) ? random.pick(['held', 'free']) : strangeText(random) || 'x'
  const token = random.chance(0.5) ? 3 : edgeCount(random, 3)
  const condition = {
    ...(random.chance(0.2) ? { ifRevision: edgeCount(random, 1) } : {}),
    ...(random.chance(0.1) ? { fence: token } : {}),
    ...(random.chance(0.2)
      ? { once: { key: random.pick(['k1', 'k2']), origin: 'http' as const, horizonMs: 600_000, maxBytes: 1_000_000 } }
      : {})
  }
  const value = random.pick<unknown>([null, 1, 'x', [1, { a: [] }], { __proto__: 1, constructor: 2 }, 'y'.repeat(2_000)])
  const run = random.pick(['r1', 'r2'])
  switch (random.between(0, 16)) {
    case 14: return random.chance(0.7)
      ? { kind: 'place-join', name, node: random.pick(['n1', 'n2']), session: random.pick([7, token]), workers: random.between(1, 3) }
      : { kind: 'place-leave', name, session: token }
    case 15:
    case 16: return anyScheduleCommand(random, name, token)
    case 12: return {
      kind: 'map-transact',
      compare: random.pick<readonly MapComparison[]>([
        [], [{ map: 'kv', key, value }], [{ map: 'kv', key, exists: false }, { map: name, key, revision: token }]
      ]),
      then: [{ kind: 'set', map: 'kv', key, value, session: 7 }, { kind: 'delete', map: 'kv', key: 'z' }],
      else: [{ kind: 'delete', map: 'kv', key }]
    }
    case 13: return random.chance(0.5)
      ? { kind: 'once-begin', name, version: '1', node: 'n1', run, session: token }
      : { kind: 'once-finish', name, version: '1', run, failed: random.chance(0.5), text: '1' }
    case 0: return { kind: 'map-set', map: 'kv', key, value, ...condition }
    case 1: return random.chance(0.7)
      ? { kind: 'map-set', map: 'kv', key, value, ...random.pick([{ ttlMs: 1_000 }, { session: 7 }, { session: token }]) }
      : { kind: 'map-expire', keys: [['kv', key, token || 1], ['kv', 'mortal', 17]] }
    case 2: return { kind: 'map-delete', map: 'kv', key, ...condition }
    case 3: return {
      kind: 'lock-acquire',
      name,
      owner: 'o',
      requestId: random.pick(['r1', 'r2']),
      ...random.pick([{ ttlMs: 10_000 }, { session: 7, waits: true }, { session: 7, ttlMs: 10_000, waits: true }]),
      ...random.pick([{}, { pool: 'read-write' as const, permits: 1_000_000 }, { pool: 'semaphore' as const, capacity: 2 }])
    }
    case 4: return { kind: 'lock-renew', name, token, ttlMs: 10_000 }
    case 5: return { kind: 'lock-release', name, token }
    case 11: return { kind: 'broadcast', topic: random.pick(['prices', '__proto__']), from: 'n2', message: value }
    case 6: return random.chance(0.5)
      ? { kind: 'lock-abandon', name, requestId: 'r1' }
      : { kind: 'lock-expire', name, token, renewal: random.between(0, 1) }
    case 7: return random.chance(0.5)
      ? {
          kind: 'task-start',
          name,
          node: 'n1',
          run,
          ...random.pick([{ fence: 90 }, { session: 7 }, { session: 7, worker: 1 }]),
          ...(random.chance(0.5) ? { over: token } : {})
        }
      : { kind: 'task-stop', name, run }
    case 8: return { kind: 'session-open', owner: 'o', requestId: random.pick(['r1', 'r2']), ttlMs: 10_000, log: name }
    case 9: return random.chance(0.5)
      ? { kind: 'session-keep', beats: [[token || 1, 1 + edgeCount(random, 1)]] }
      : random.chance(0.5) ? { kind: 'session-end', session: token } : { kind: 'session-expire', session: token, beat: 0 }
    case 10: return random.pick([
      { kind: 'tally-add', tally: 'counter', name, by: edgeCount(random, 3) },
      { kind: 'tally-remove', tally: 'latch', name },
      { kind: 'bucket-take', name, takes: 1, capacity: 2, fillMs: 1_000 }
    ])
    default: return { kind: 'machine', machine: name, version: 1, command: value, ...condition }
  }
}

/** Of the schedules that {@link populated} has, mostly as its leader would write it. */
function anyScheduleCommand (random: SimRandom, name: string, token: number): Command {
  const leadership = random.chance(0.8) ? led.index : token || 1
  const by = { name, node: random.pick(['n1', '__proto__']), leadership }
  const run = random.chance(0.8) ? led.index + 3 : token
  const instantMs = random.chance(0.8) ? led.timeOfDayMs : edgeCount(random, 1)
  const revision = random.chance(0.8) ? led.index + 2 : token || 1
  const outcome = random.pick(['completed', 'failed', 'cancelled'] as const)
  switch (random.between(0, 9)) {
    case 0: return { kind: 'schedule-define', name, definition: { ...definition, overlap: 'cancelOther' }, leadership }
    case 1: return { kind: 'schedule-run', name }
    case 2: return { kind: 'schedule-backfill', name, revision, slotsMs: [1, 2, 3] }
    case 3: return { kind: 'schedule-pause', name, reason: strangeText(random).slice(0, 200) }
    case 4: return { kind: 'schedule-resume', name }
    case 5: return { kind: 'schedule-lose', name, token: run, leadership }
    case 6: return { kind: 'schedule-finish', name, token: run, outcome, error: random.pick([null, 'x'.repeat(300)]) }
    case 7: return { kind: 'schedule-next', ...by }
    case 8: return { kind: 'schedule-remove', name }
    default: {
      const passed = { fromMs: instantMs, throughMs: instantMs + 1_000, missed: edgeCount(random, 1) }
      return { kind: 'schedule-fire', ...by, revision, ...passed, runs: random.chance(0.8) }
    }
  }
}

/** Where the leadership of {@link populated} begins. */
const led = { index: 90, term: 4, timeMs: 50_000, timeOfDayMs: 50_000 }
const definition: ScheduleDefinition = {
  cron: '* * * * *',
  timeZone: 'UTC',
  delivery: 'at-least-once',
  overlap: 'bufferOne',
  missed: 'all',
  catchUpWindowMs: 86_400_000,
  jitterMs: 0,
  startAtMs: null,
  endAtMs: null,
  pauseOnFailure: true,
  stopGraceMs: 5_000
}
const firstSlot = { fromMs: led.timeOfDayMs, throughMs: led.timeOfDayMs + 1_000, runs: true, missed: 0 }
/** What its leader writes. */
const ledCommands: readonly Command[] = [
  { kind: 'task-start', name: 'held', node: 'n1', run: 'r1', fence: led.index },
  { kind: 'schedule-define', name: 'held', definition, leadership: led.index },
  { kind: 'schedule-fire', name: 'held', node: 'n1', leadership: led.index, revision: led.index + 2, ...firstSlot },
  { kind: 'schedule-backfill', name: 'held', revision: led.index + 2, slotsMs: [1, 2] },
  { kind: 'schedule-define', name: 'free', definition, leadership: led.index },
  { kind: 'schedule-pause', name: 'free', reason: 'ä' }
]
const commands: readonly Command[] = [
  {
    kind: 'map-set',
    map: 'kv',
    key: 'a',
    value: { n: [1, null, 'ä'] },
    once: { key: 'k1', origin: 'http', horizonMs: 600_000, maxBytes: 1_000_000 }
  },
  { kind: 'map-set', map: 'kv', key: '__proto__', value: 'text' },
  { kind: 'lock-acquire', name: 'held', owner: 'o', ttlMs: 3_600_000, requestId: 'r1' },
  { kind: 'map-set', map: 'other', key: 'b', value: 1 },
  { kind: 'lock-acquire', name: 'gone', owner: 'o', ttlMs: 10_000, requestId: 'r3' },
  { kind: 'lock-release', name: 'gone', token: 5 },
  { kind: 'session-open', owner: 'o', requestId: 'r1', ttlMs: 10_000, log: 'log' },
  { kind: 'session-keep', beats: [[7, 1]] },
  { kind: 'tally-add', tally: 'counter', name: 'held', by: 2 },
  { kind: 'bucket-take', name: 'held', takes: 1, capacity: 2, fillMs: 1_000 },
  { kind: 'lock-acquire', name: 'mine', owner: 'o', session: 7, requestId: 'r4' },
  { kind: 'lock-acquire', name: 'held', owner: 'o', session: 7, ttlMs: 10_000, waits: true, requestId: 'r5' },
  { kind: 'lock-acquire', pool: 'semaphore', capacity: 2, name: 'free', owner: 'o', session: 7, requestId: 'r6' },
  { kind: 'broadcast', topic: 'prices', from: 'n2', message: 1 },
  { kind: 'place-join', name: 'placed', node: 'n1', session: 7, workers: 2 },
  { kind: 'task-start', name: 'placed', worker: 1, node: 'n1', run: 'r1', session: 7 },
  { kind: 'map-set', map: 'kv', key: 'mortal', value: 1, ttlMs: 60_000 },
  { kind: 'map-set', map: 'kv', key: 'ephemeral', value: 1, session: 7 }
]

/** A state with something of each kind in it, always the same. */
export function populated (): ClusterStateMachine {
  const machine = new ClusterStateMachine()
  for (const [at, command] of commands.entries()) {
    machine.apply(encodeCommand(command), { index: at + 1, term: 3, timeMs: 1_000 * at, timeOfDayMs: 1_000 * at })
  }
  machine.leadershipStarted(led)
  for (const [at, command] of ledCommands.entries()) {
    machine.apply(encodeCommand(command), { ...led, index: led.index + 1 + at })
  }
  return machine
}
