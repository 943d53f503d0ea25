import { describe, expect, it } from 'vitest'
import type { ScheduleOptions } from '../../../src/plugin/primitives/schedule-options.ts'
import { settle } from '../../support/manual-clock.ts'
import type { SchedulingCluster } from './support/scheduling.ts'
import { startSchedulingCluster } from './support/scheduling.ts'

/** Three nodes whose runs of "s" the test ends. */
async function startHolding (options: ScheduleOptions = {}, cron = '* * * * *'): Promise<SchedulingCluster> {
  const test = await startSchedulingCluster(3)
  for (const [at, node] of test.nodes.entries()) test.register(at, cron, options, test.hold(node))
  await settle()
  return test
}

describe('a schedule', () => {
  it('runs once at each slot, on the node that leads', async () => {
    const { started, registerAll, advance, cluster } = await startSchedulingCluster(3)
    const [first] = registerAll('* * * * *')
    await advance(59_999)
    expect(started).toEqual([])
    await advance(60_001)
    expect(started).toEqual(['n1 12:01:00', 'n1 12:02:00'])
    cluster.lead(2)
    await advance(120_000)
    expect(started).toEqual(['n1 12:01:00', 'n1 12:02:00', 'n3 12:03:00', 'n3 12:04:00'])
    expect(await first?.history()).toMatchObject([
      { scheduledFor: '2026-11-28T12:04:00.000Z', outcome: 'completed', node: 'n3', trigger: 'slot', attempt: 1 },
      { node: 'n3' }, { node: 'n1' }, { node: 'n1' }
    ])
    expect(await first?.status()).toMatchObject({
      name: 's',
      cron: '* * * * *',
      timeZone: 'UTC',
      lastSlot: '2026-11-28T12:04:00.000Z',
      nextAt: '2026-11-28T12:05:00.000Z',
      running: [],
      missedSlots: 0,
      skippedSlots: 0
    })
    expect(await first?.preview(2)).toEqual(['2026-11-28T12:05:00.000Z', '2026-11-28T12:06:00.000Z'])
  })

  it('runs no slot twice and none too few when clocks are minutes apart', async () => {
    const { started, registerAll, advance, cluster, node } = await startSchedulingCluster(3)
    registerAll('* * * * *', { missed: 'all' })
    node(1).clock.moveWall(150_000)
    node(2).clock.moveWall(-150_000)
    await advance(60_000)
    for (const next of [1, 2, 0, 2, 1, 0]) {
      cluster.lead(next)
      await advance(60_000)
    }
    await advance(300_000)
    const slots = started.map((entry) => entry.slice(3))
    expect(slots).toEqual([...new Set(slots)].sort())
    expect(slots).toEqual(Array.from({ length: slots.length }, (_, at) => `12:${String(at + 1).padStart(2, '0')}:00`))
    expect(slots.length).toBeGreaterThanOrEqual(12)
  })

  it('runs a slot that is applied while the leadership has ended for a time, and goes on behind it', async () => {
    const { started, registerAll, advance, node } = await startSchedulingCluster(1)
    registerAll('* * * * *')
    await settle()
    const { engine } = node(0)
    const leadership = engine.openLeadership()
    engine.fate = 'held'
    await advance(60_000)
    engine.setLeadership(null, null)
    engine.fate = 'applied'
    engine.deliverLate()
    await settle()
    expect(started).toEqual([])
    engine.setLeadership(leadership, null)
    await settle()
    expect(started).toEqual(['n1 12:01:00'])
    await advance(60_000)
    expect(started).toEqual(['n1 12:01:00', 'n1 12:02:00'])
  })

  it('all run that come due together, however many', async () => {
    const { schedules: [schedules], advance } = await startSchedulingCluster(1)
    const ran = new Map<string, number>()
    for (let at = 0; at < 1_100; at++) {
      const name = `s${at}`
      schedules?.register(name, '* * * * *', () => { ran.set(name, (ran.get(name) ?? 0) + 1) }, {})
    }
    await advance(2 * 60_000 + 1_000)
    expect(ran.size).toBe(1_100)
    expect(new Set(ran.values())).toEqual(new Set([2]))
  })

  it('gives its run the slot, the attempt, a token that fences, a signal and a logger', async () => {
    const { node, held, advance } = await startHolding()
    await advance(60_000)
    const { run } = held[0] ?? {}
    expect(run).toMatchObject({ scheduledFor: new Date('2026-11-28T12:01:00Z'), isLate: false, attempt: 1 })
    expect(run?.signal.aborted).toBe(false)
    expect(node(0).machine.schedules.hasToken(Number(run?.token))).toBe(true)
    run?.logger.info({ more: 1 }, 'from the run')
    expect(node(0).logger.lines.at(-1)).toMatchObject({
      details: { schedule: 's', scheduledFor: '2026-11-28T12:01:00.000Z', attempt: 1, more: 1 }
    })
  })

  it('logs and remembers what its run throws, and goes on', async () => {
    const { node, held, advance } = await startHolding()
    const faults: readonly unknown[] = [new Error('x'.repeat(500)), Object.create(null), 'text']
    for (const fault of faults) {
      await advance(60_000)
      held.at(-1)?.end(fault as Error)
      await settle()
    }
    expect(node(0).machine.schedules.get('s')?.history).toMatchObject([
      { outcome: 'failed', error: 'x'.repeat(300) },
      { outcome: 'failed', error: 'an error without a text' },
      { outcome: 'failed', error: 'text' }
    ])
    expect(node(0).logger.messages('error')).toHaveLength(3)
  })

  it('cancels its run when the leadership ends; at-most-once does not begin it again', async () => {
    const { cluster, held, started, advance, node } = await startHolding()
    await advance(60_000)
    cluster.lead(1)
    await settle()
    expect(held[0]?.run.signal.reason).toMatchObject({ code: 'RAFT_LEADERSHIP_LOST' })
    expect(node(1).machine.schedules.get('s')).toMatchObject({ runs: [], history: [{ outcome: 'cancelled' }] })
    await advance(60_000)
    expect(started).toEqual(['n1 12:01:00', 'n2 12:02:00'])
  })

  it('at-least-once: begins a cancelled run again at once, and a lost one after its grace', async () => {
    const { cluster, held, started, advance, node } = await startHolding({ delivery: 'at-least-once' })
    await advance(60_000)
    cluster.lead(1)
    await settle()
    expect(started).toEqual(['n1 12:01:00', 'n2 12:01:00'])
    expect(held[1]?.run).toMatchObject({ attempt: 2 })
    node(1).engine.isCutOff = true
    cluster.lead(2)
    await advance(4_900)
    expect(started).toHaveLength(2)
    await advance(200)
    expect(started.at(-1)).toBe('n3 12:01:00')
    const [, second, third] = held.map(({ run }) => run)
    expect(third).toMatchObject({ attempt: 3 })
    expect(Number(third?.token)).toBeGreaterThan(Number(second?.token))
    // The run that counts as lost has not heard of it, and can write nothing any more.
    expect(second?.signal.aborted).toBe(false)
    expect(node(2).machine.schedules.hasToken(Number(second?.token))).toBe(false)
  })

  it('skips no slot for a run that may be lost: it waits for the grace', async () => {
    const { cluster, started, advance, node } = await startHolding({}, '*/5 * * * * *')
    await advance(5_000)
    await advance(3_000)
    node(0).engine.isCutOff = true
    cluster.lead(1)
    await advance(4_000)
    expect(started).toEqual(['n1 12:00:05'])
    await advance(1_100)
    expect(started).toEqual(['n1 12:00:05', 'n2 12:00:10'])
    expect(node(1).machine.schedules.get('s')).toMatchObject({ skipped: 0, history: [{ outcome: 'lost' }] })
  })

  it('counts what was missed, and runs the newest, all of them or none', async () => {
    const outcomes = []
    for (const missed of ['skip', 'one', 'all'] as const) {
      const { cluster, started, registerAll, advance, node } = await startSchedulingCluster(2)
      registerAll('* * * * *', { missed })
      await advance(60_000)
      node(0).engine.setLeadership(null, null)
      await advance(200_000)
      cluster.lead(1)
      await settle()
      outcomes.push([started.slice(1), node(1).machine.schedules.get('s')?.missed])
    }
    expect(outcomes).toEqual([
      [[], 3],
      [['n2 12:04:00'], 2],
      [['n2 12:02:00', 'n2 12:03:00', 'n2 12:04:00'], 0]
    ])
  })

  it('takes no slot that is older than its window', async () => {
    const { cluster, started, registerAll, advance, node } = await startSchedulingCluster(2)
    registerAll('* * * * *', { missed: 'all', catchUpWindowMs: 90_000 })
    await settle()
    node(0).engine.setLeadership(null, null)
    await advance(200_000)
    cluster.lead(1)
    await settle()
    expect(started).toEqual(['n2 12:02:00', 'n2 12:03:00'])
    expect(node(1).machine.schedules.get('s')?.missed).toBe(1)
  })

  it('cancelOther: ends the run for the next slot', async () => {
    const { held, started, advance } = await startHolding({ overlap: 'cancelOther' })
    await advance(120_000)
    expect(started).toEqual(['n1 12:01:00', 'n1 12:02:00'])
    expect(held[0]?.run.signal.reason).toMatchObject({ code: 'RAFT_RUN_CANCELLED' })
  })

  it('catches up in order, one after another', async () => {
    const { cluster, held, started, advance, node } = await startHolding({ missed: 'all' })
    node(0).engine.setLeadership(null, null)
    await advance(190_000)
    cluster.lead(1)
    await settle()
    expect(started).toEqual(['n2 12:01:00'])
    expect(held[0]?.run.isLate).toBe(true)
    for (const _ of [1, 2]) {
      held.at(-1)?.end()
      await settle()
    }
    expect(started).toEqual(['n2 12:01:00', 'n2 12:02:00', 'n2 12:03:00'])
    expect(node(1).machine.schedules.get('s')?.skipped).toBe(0)
  })

  it('spreads its slots over the jitter, alike on each node', async () => {
    const { started, registerAll, advance, node } = await startSchedulingCluster(1)
    registerAll('* * * * *', { jitterMs: 50_000 })
    const delays: number[] = []
    for (let count = 0; count < 10; count++) {
      const slotMs = Date.UTC(2026, 10, 28, 12, count + 1)
      while (started.length === count) await advance(500)
      delays.push(node(0).clock.wallMs() - slotMs)
    }
    expect(delays.every((delayMs) => delayMs >= 0 && delayMs <= 51_000)).toBe(true)
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(15_000)
  })

  it('has slots between startAt and endAt alone', async () => {
    const { started, registerAll, advance } = await startSchedulingCluster(1)
    const [schedule] = registerAll('* * * * *', { startAt: '2026-11-28T12:02:00Z', endAt: new Date('2026-11-28T12:04:00Z') })
    await advance(600_000)
    expect(started).toEqual(['n1 12:02:00', 'n1 12:03:00'])
    expect(await schedule?.status()).toMatchObject({ nextAt: null, startAt: '2026-11-28T12:02:00.000Z' })
  })

  it('is run now, paused, resumed and filled up by any node', async () => {
    const { started, registerAll, advance } = await startSchedulingCluster(2)
    const [, schedule] = registerAll('* * * * *')
    await settle()
    await schedule?.run()
    await settle()
    expect(started).toEqual(['n1 12:00:00'])
    await schedule?.pause('a deploy')
    await advance(120_000)
    expect(started).toHaveLength(1)
    expect(await schedule?.status()).toMatchObject({ paused: { reason: 'a deploy' }, nextAt: null })
    await schedule?.resume()
    await advance(60_000)
    expect(started).toEqual(['n1 12:00:00', 'n1 12:03:00'])
    expect(await schedule?.backfill({ from: '2026-11-28T11:00:00Z', to: '2026-11-28T11:03:00Z' })).toBe(3)
    await settle()
    expect(started.slice(2)).toEqual(['n1 11:00:00', 'n1 11:01:00', 'n1 11:02:00'])
  })

  it('is what the leader registered last; copies that differ say so', async () => {
    const { cluster, node, register, advance, started } = await startSchedulingCluster(2)
    register(0, '* * * * *')
    await settle()
    register(1, '*/2 * * * *', { overlap: 'allowAll' })
    await settle()
    expect(node(1).logger.lines.at(-1)).toMatchObject({
      level: 'warn',
      details: { schedule: 's', differences: ['cron', 'overlap'] }
    })
    cluster.lead(1)
    await settle()
    expect(node(0).machine.schedules.get('s')?.definition.cron).toBe('*/2 * * * *')
    expect(node(0).logger.messages('warn')).toHaveLength(1)
    await advance(120_000)
    expect(started).toEqual(['n2 12:02:00'])
  })

  it('stops on this node: its run is asked to end, and the name is free again', async () => {
    const { register, hold, node, advance, held } = await startSchedulingCluster(1)
    const schedule = register(0, '* * * * *', {}, hold(node(0)))
    expect(() => register(0, '* * * * *')).toThrow(expect.objectContaining({ code: 'RAFT_SCHEDULE_EXISTS' }) as Error)
    await advance(60_000)
    await schedule.stop()
    expect(held[0]?.run.signal.reason).toMatchObject({ code: 'RAFT_STOPPED' })
    expect(node(0).machine.schedules.get('s')?.history).toMatchObject([{ outcome: 'cancelled' }])
    await advance(120_000)
    expect(held).toHaveLength(1)
    register(0, '* * * * *')
    await settle()
  })

  it('is begun by its entry, whatever becomes of the answer to it', async () => {
    const { started, registerAll, advance, node } = await startSchedulingCluster(1)
    registerAll('* * * * *')
    await advance(50_000)
    node(0).engine.fate = 'lost-answer'
    await advance(60_000)
    expect(started).toEqual(['n1 12:01:00'])
    node(0).engine.fate = 'applied'
    await advance(70_000)
    expect(started).toEqual(['n1 12:01:00', 'n1 12:02:00', 'n1 12:03:00'])
  })
})

describe('bad input', () => {
  it.each<readonly [string, string, ScheduleOptions, string]>([
    ['an expression that cannot be read', 'every day', {}, 'RAFT_CRON_INVALID'],
    ['an expression that never comes due', '0 0 30 2 *', {}, 'RAFT_CRON_NEVER'],
    ['a zone that is none', '* * * * *', { timeZone: 'Mars/Olympus' }, 'RAFT_TIME_ZONE'],
    ['an option that is none', '* * * * *', { jitter: 1 } as ScheduleOptions, 'RAFT_INVALID_OPTIONS'],
    ['a value of another kind', '* * * * *', { overlap: 'queue' } as unknown as ScheduleOptions, 'RAFT_INVALID_OPTIONS'],
    ['an instant without an offset', '* * * * *', { startAt: '2026-11-28T12:00:00' }, 'RAFT_INVALID_OPTIONS'],
    ['a date that is none', '* * * * *', { endAt: new Date(NaN) }, 'RAFT_INVALID_OPTIONS'],
    ['an end before the start', '* * * * *', { startAt: '2027-01-01T00:00Z', endAt: '2026-01-01T00:00Z' }, 'RAFT_INVALID_OPTIONS']
  ])('%s is refused when it is registered', async (_case, cron, options, code) => {
    const { register } = await startSchedulingCluster(1)
    expect(() => register(0, cron, options)).toThrow(expect.objectContaining({ code }) as Error)
  })

  it.each([
    ['catchUpWindowMs', 31_622_400_000],
    ['jitterMs', 3_600_000],
    ['stopGraceMs', 3_600_000]
  ] as const)('%s is bounded', async (name, mostMs) => {
    const { register } = await startSchedulingCluster(1)
    expect(() => register(0, '* * * * *', { [name]: mostMs + 1 })).toThrow(new RegExp(name))
    expect(register(0, '* * * * *', { [name]: mostMs }).name).toBe('s')
  })

  it('its bounds are instants before the year 10000', async () => {
    const { register } = await startSchedulingCluster(1)
    const last = new Date(253_402_300_799_999)
    expect(() => register(0, '* * * * *', { endAt: new Date(last.getTime() + 1) })).toThrow(/endAt/)
    expect(register(0, '* * * * *', { endAt: last }).name).toBe('s')
  })

  it('its name has 1 to 100 characters', async () => {
    const { schedules: [schedules] } = await startSchedulingCluster(1)
    for (const name of ['', 'x'.repeat(101)]) {
      expect(() => schedules?.register(name, '* * * * *', () => {}, {}))
        .toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }) as Error)
    }
    expect(schedules?.register('x'.repeat(100), '* * * * *', () => {}, {})).toBeTypeOf('function')
  })

  it('names every fault of the options', async () => {
    const { register } = await startSchedulingCluster(1)
    const options = { missed: 'some', jitterMs: -1, pauseOnFailure: 1 } as unknown as ScheduleOptions
    expect(() => register(0, '* * * * *', options)).toThrow(/missed .*; jitterMs .*; pauseOnFailure/)
  })

  it('of a call has a code of its own', async () => {
    const { register, hold, node, advance } = await startSchedulingCluster(1)
    const schedule = register(0, '* * * * *', {}, hold(node(0)))
    await expect(schedule.run()).rejects.toMatchObject({ code: 'RAFT_SCHEDULE_UNKNOWN', statusCode: 404 })
    await advance(60_000)
    await expect(schedule.run()).rejects.toMatchObject({ code: 'RAFT_SCHEDULE_RUNNING', statusCode: 409 })
    for (const count of [0, 1_001]) {
      await expect(schedule.preview(count)).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    }
    expect(await schedule.preview(1_000)).toHaveLength(1_000)
    await expect(schedule.pause('x'.repeat(201))).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    const years = { from: '2026-01-01T00:00Z', to: '2027-01-01T00:00Z' }
    await expect(schedule.backfill(years)).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
  })
})
