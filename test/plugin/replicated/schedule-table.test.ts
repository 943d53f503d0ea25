import { describe, expect, it } from 'vitest'
import type { Command } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { ScheduleDefinition } from '../../../src/plugin/replicated/schedule-definition.ts'
import type { Schedule } from '../../../src/plugin/replicated/schedule-state.ts'
import type { ScheduleChange } from '../../../src/plugin/replicated/schedule-table.ts'
import { TestMachine } from './support/apply.ts'
import { scheduleDefinition } from './support/schedules.ts'

/** A machine with one schedule "s", and a leadership. */
class TestSchedule extends TestMachine {
  leadership = this.lead()
  readonly changes: ScheduleChange[] = []

  constructor (more: Partial<ScheduleDefinition> = {}) {
    super()
    this.define(more)
    this.machine.onScheduleChange((change) => { this.changes.push(change) })
  }

  get now (): Schedule {
    const schedule = this.machine.schedules.get('s')
    if (schedule === undefined) throw new Error('no schedule')
    return schedule
  }

  get running (): readonly number[] { return this.now.runs.map(({ slotMs }) => slotMs) }
  get queued (): readonly number[] { return this.now.queue.map(({ slotMs }) => slotMs) }

  define (more: Partial<ScheduleDefinition> = {}): string {
    const definition = scheduleDefinition(more)
    return this.apply({ kind: 'schedule-define', name: 's', definition, leadership: this.leadership }).kind
  }

  /** The slot comes, so many milliseconds behind the last one that was passed. */
  fire (afterMs = 1_000, more: Partial<Extract<Command, { readonly kind: 'schedule-fire' }>> = {}): string {
    const { cursorMs: fromMs, revision } = this.now
    const by = { node: 'n1', leadership: this.leadership }
    const passed = { fromMs, throughMs: fromMs + afterMs, runs: true, missed: 0 }
    return this.apply({ kind: 'schedule-fire', name: 's', revision, ...passed, ...by, ...more }).kind
  }

  next (): string {
    return this.apply({ kind: 'schedule-next', name: 's', node: 'n1', leadership: this.leadership }).kind
  }

  finish (outcome: 'completed' | 'failed' | 'cancelled' = 'completed', token = this.now.runs[0]?.token ?? 0): string {
    const error = outcome === 'failed' ? 'why' : null
    return this.apply({ kind: 'schedule-finish', name: 's', token, outcome, error }).kind
  }

  lose (): string {
    const token = this.now.runs[0]?.token ?? 0
    return this.apply({ kind: 'schedule-lose', name: 's', token, leadership: this.leadership }).kind
  }
}

describe('a slot of a schedule', () => {
  it('is passed once: a second command for it, or one from before, changes nothing', () => {
    const test = new TestSchedule()
    const fromMs = test.now.cursorMs
    expect(fromMs).toBe(test.timeMs)
    expect(test.fire()).toBe('schedule-done')
    const before = test.machine.schedules.get('s')
    expect(test.fire(1_000, { fromMs })).toBe('schedule-stale')
    expect(test.fire(1_000, { fromMs, throughMs: fromMs + 500 })).toBe('schedule-stale')
    expect(test.fire(0)).toBe('schedule-stale')
    expect(test.fire(-1)).toBe('schedule-stale')
    expect(test.machine.schedules.get('s')).toBe(before)
    expect(test.now).toMatchObject({ cursorMs: fromMs + 1_000, lastSlotMs: fromMs + 1_000 })
  })

  it('is passed by the leadership of the last entry alone, and under the definition in force', () => {
    const test = new TestSchedule()
    const old = test.leadership
    test.leadership = test.lead()
    expect(test.fire(1_000, { leadership: old })).toBe('schedule-stale')
    expect(test.fire(1_000, { revision: test.now.revision + 1 })).toBe('schedule-stale')
    expect(test.fire(1_000, { name: 'other' })).toBe('schedule-stale')
    expect(test.fire()).toBe('schedule-done')
    test.leadership = old
    expect([test.define(), test.next(), test.lose()]).toEqual(['schedule-stale', 'schedule-stale', 'schedule-stale'])
  })

  it('that does not run is counted as missed', () => {
    const test = new TestSchedule()
    test.fire(5_000, { runs: false, missed: 5 })
    test.fire(5_000, { missed: 4 })
    expect(test.now).toMatchObject({ missed: 9, skipped: 0 })
    expect(test.running).toEqual([test.now.cursorMs])
  })

  it('has the index of its entry as its token, which fences writes until the run is over', () => {
    const test = new TestSchedule()
    test.fire()
    const token = test.index
    expect(test.now.runs[0]).toMatchObject({ token, node: 'n1', attempt: 1, leadership: test.leadership })
    expect(test.set('a', 1, { fence: token })).toMatchObject({ kind: 'written' })
    test.lead()
    expect(test.set('a', 2, { fence: token })).toMatchObject({ kind: 'written' })
    test.finish()
    expect(test.set('a', 3, { fence: token })).toEqual({ kind: 'fenced', token })
    expect(test.value('a')).toBe(2)
  })
})

describe('the overlap rule', () => {
  it('skip: a slot that meets a run does not run', () => {
    const test = new TestSchedule()
    test.fire()
    const first = test.now.cursorMs
    test.fire()
    expect(test.running).toEqual([first])
    expect(test.now).toMatchObject({ skipped: 1, missed: 0, queue: [] })
    test.finish()
    test.fire()
    expect(test.running).toEqual([test.now.cursorMs])
  })

  it('bufferOne: the first of those slots runs next', () => {
    const test = new TestSchedule({ overlap: 'bufferOne' })
    test.fire()
    test.fire()
    const second = test.now.cursorMs
    test.fire()
    expect(test.queued).toEqual([second])
    expect(test.next()).toBe('schedule-stale')
    test.finish()
    expect(test.next()).toBe('schedule-done')
    expect([test.running, test.queued, test.now.skipped]).toEqual([[second], [], 1])
  })

  it('cancelOther: the run is asked to end, and the newest of those slots runs next', () => {
    const test = new TestSchedule({ overlap: 'cancelOther', delivery: 'at-least-once' })
    test.fire()
    const { token = 0 } = test.now.runs[0] ?? {}
    test.fire()
    test.fire()
    expect(test.changes.filter(({ kind }) => kind === 'cancelled')).toContainEqual({ kind: 'cancelled', name: 's', token })
    expect(test.queued).toEqual([test.now.cursorMs])
    test.finish('cancelled')
    // It was meant to end: not even at-least-once repeats it.
    expect(test.queued).toEqual([test.now.cursorMs])
    test.next()
    expect([test.running, test.now.skipped]).toEqual([[test.now.cursorMs], 1])
  })

  it('allowAll: slots run beside each other, up to the limit of runs', () => {
    const test = new TestSchedule({ overlap: 'allowAll' })
    for (let count = 0; count <= limits.maxScheduleRuns; count++) test.fire()
    expect(test.now.runs).toHaveLength(limits.maxScheduleRuns)
    expect(new Set(test.now.runs.map(({ token }) => token)).size).toBe(limits.maxScheduleRuns)
    expect(test.now.skipped).toBe(1)
  })
})

describe('a run that is cut', () => {
  it.each(['lost', 'cancelled'] as const)('%s: at-most-once remembers it, at-least-once repeats it first', (outcome) => {
    const cut = (test: TestSchedule): string => outcome === 'lost' ? test.lose() : test.finish('cancelled')
    const once = new TestSchedule()
    once.fire()
    cut(once)
    expect(once.now).toMatchObject({ runs: [], queue: [], history: [{ outcome, attempt: 1, error: null }] })
    const again = new TestSchedule({ delivery: 'at-least-once', overlap: 'bufferOne' })
    again.fire()
    again.fire()
    const [first, second] = [...again.running, ...again.queued]
    cut(again)
    expect(again.queued).toEqual([first, second])
    again.next()
    expect(again.now.runs).toMatchObject([{ slotMs: first, attempt: 2, trigger: 'slot' }])
    again.finish()
    expect(again.now.history).toMatchObject([{ outcome, attempt: 1 }, { outcome: 'completed', attempt: 2 }])
    expect(again.finish('completed', 9_999)).toBe('schedule-stale')
  })

  it('is not repeated because it failed, and pauses the schedule if it is to', () => {
    const test = new TestSchedule({ delivery: 'at-least-once', pauseOnFailure: true })
    test.fire()
    test.finish('failed')
    expect(test.now).toMatchObject({
      queue: [],
      history: [{ outcome: 'failed', error: 'why' }],
      paused: { reason: 'a run failed', sinceMs: test.timeMs }
    })
    expect(test.fire()).toBe('schedule-stale')
    const other = new TestSchedule()
    other.fire()
    other.finish('failed')
    expect(other.now.paused).toBeNull()
  })
})

describe('a schedule', () => {
  it('goes on where it was when only its rules change, and from now on when its slots do', () => {
    const test = new TestSchedule()
    const { cursorMs, revision } = test.now
    test.timeMs += 60_000
    test.define({ overlap: 'allowAll' })
    expect(test.now).toMatchObject({ cursorMs, definition: { overlap: 'allowAll' } })
    expect(test.now.revision).toBeGreaterThan(revision)
    test.define({ cron: '0 * * * *' })
    expect(test.now.cursorMs).toBe(test.timeMs)
    test.fire(3_600_000)
    const passed = test.now.cursorMs
    // Never back.
    test.define({ cron: '1 * * * *' })
    expect(test.now.cursorMs).toBe(passed)
  })

  it('that is paused passes nothing, runs what somebody asks for, and goes on from its end', () => {
    const test = new TestSchedule({ overlap: 'bufferOne' })
    test.fire()
    test.fire()
    test.apply({ kind: 'schedule-pause', name: 's', reason: 'a deploy' })
    expect(test.now).toMatchObject({ queue: [], skipped: 1, paused: { reason: 'a deploy', sinceMs: test.timeMs } })
    test.apply({ kind: 'schedule-pause', name: 's', reason: 'another' })
    expect(test.now.paused?.reason).toBe('a deploy')
    expect(test.fire()).toBe('schedule-stale')
    test.finish()
    test.apply({ kind: 'schedule-run', name: 's' })
    expect(test.next()).toBe('schedule-done')
    expect(test.now.runs).toMatchObject([{ trigger: 'manual', slotMs: test.timeMs }])
    test.timeMs += 3_600_000
    test.apply({ kind: 'schedule-resume', name: 's' })
    expect(test.now).toMatchObject({ paused: null, cursorMs: test.timeMs, missed: 0 })
  })

  it('refuses a run now where a slot would be skipped, and queues it otherwise', () => {
    const test = new TestSchedule()
    expect(test.apply({ kind: 'schedule-run', name: 's' }).kind).toBe('schedule-done')
    expect(test.apply({ kind: 'schedule-run', name: 's' }).kind).toBe('schedule-busy')
    test.next()
    expect(test.apply({ kind: 'schedule-run', name: 's' }).kind).toBe('schedule-busy')
    test.define({ overlap: 'bufferOne' })
    expect(test.apply({ kind: 'schedule-run', name: 's' }).kind).toBe('schedule-done')
    test.define({ overlap: 'cancelOther' })
    test.apply({ kind: 'schedule-run', name: 's' })
    expect(test.now.runs).toMatchObject([{ isCancelled: true }])
    expect(test.now.queue).toHaveLength(2)
  })

  it('runs slots of the past in order, of the definition that they were worked out from', () => {
    const test = new TestSchedule()
    const { revision } = test.now
    const backfill = (slotsMs: readonly number[], of = revision): string =>
      test.apply({ kind: 'schedule-backfill', name: 's', revision: of, slotsMs }).kind
    expect(backfill([1_000, 2_000], revision + 1)).toBe('schedule-stale')
    expect(backfill([1_000, 2_000])).toBe('schedule-done')
    test.next()
    expect([test.running, test.queued]).toEqual([[1_000], [2_000]])
    expect(backfill([2_000, 1_000])).toBe('refused')
    expect(backfill(Array.from({ length: limits.maxScheduleQueue }, (_, at) => at))).toBe('refused')
    expect(test.queued).toEqual([2_000])
  })

  it('that nobody knows gets no command through, and one that is removed is gone with its tokens', () => {
    const test = new TestSchedule()
    const commands: readonly Command[] = [
      { kind: 'schedule-run', name: 'x' },
      { kind: 'schedule-pause', name: 'x', reason: '' },
      { kind: 'schedule-resume', name: 'x' },
      { kind: 'schedule-backfill', name: 'x', revision: 1, slotsMs: [1] },
      { kind: 'schedule-remove', name: 'x' }
    ]
    expect(commands.map((command) => test.apply(command).kind)).toEqual(commands.map(() => 'schedule-unknown'))
    test.fire()
    const token = test.index
    test.apply({ kind: 'schedule-remove', name: 's' })
    expect(test.changes.at(-1)).toEqual({ kind: 'changed', name: 's' })
    expect(test.machine.schedules.hasToken(token)).toBe(false)
    expect(test.machine.schedules.size).toBe(0)
  })

  it('remembers its last runs, and no more', () => {
    const test = new TestSchedule()
    for (let count = 0; count < limits.maxScheduleHistory + 5; count++) {
      test.fire()
      test.finish()
    }
    expect(test.now.history).toHaveLength(limits.maxScheduleHistory)
    expect(test.now.history.at(-1)?.slotMs).toBe(test.now.cursorMs)
  })

  it('cannot be one more than the limit', () => {
    const test = new TestSchedule()
    const define = (name: string) =>
      test.apply({ kind: 'schedule-define', name, definition: scheduleDefinition(), leadership: test.leadership })
    for (let count = 1; count < limits.maxSchedules; count++) define(`s${count}`)
    expect(test.machine.schedules.size).toBe(limits.maxSchedules)
    expect(define('one more')).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    expect(define('s')).toMatchObject({ kind: 'schedule-done' })
  })
})
