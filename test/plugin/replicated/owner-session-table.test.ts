import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { TestMachine } from './support/apply.ts'

function open (test: TestMachine, requestId: string, log?: string) {
  return test.apply({
    kind: 'session-open', owner: 'n1', requestId, ttlMs: 10_000, ...(log === undefined ? {} : { log })
  })
}

describe('sessions that own things', () => {
  it('are known by the log index of their opening, and opened once for a request', () => {
    const test = new TestMachine()
    test.lead()
    expect(open(test, 'r1')).toEqual({ kind: 'session-opened', session: 2 })
    expect(open(test, 'r1')).toEqual({ kind: 'session-opened', session: 2 })
    expect(open(test, 'r2')).toEqual({ kind: 'session-opened', session: 4 })
    expect(test.machine.sessions.get(2)).toMatchObject({ owner: 'n1', ttlMs: 10_000, beat: 0 })
  })

  it('end when the next process opens one on the same log, and only then', () => {
    const test = new TestMachine()
    open(test, 'r1', 'log a')
    open(test, 'r2', 'log b')
    open(test, 'r3', 'log a')
    open(test, 'r4')
    open(test, 'r5')
    expect([...test.machine.sessions.all()].map(({ id }) => id)).toEqual([2, 3, 4, 5])
  })

  it('take the beats of many of them in one entry, and name those that are over', () => {
    const test = new TestMachine()
    open(test, 'r1')
    open(test, 'r2')
    expect(test.apply({ kind: 'session-keep', beats: [[1, 3], [2, 1], [9, 1]] })).toEqual({ kind: 'sessions-kept', gone: [9] })
    test.apply({ kind: 'session-keep', beats: [[1, 2]] })
    expect([...test.machine.sessions.all()].map(({ beat }) => beat)).toEqual([3, 1])
  })

  it('expire only when no beat came since', () => {
    const test = new TestMachine()
    open(test, 'r1')
    test.apply({ kind: 'session-keep', beats: [[1, 1]] })
    expect(test.apply({ kind: 'session-expire', session: 1, beat: 0 })).toEqual({ kind: 'session-gone', session: 1 })
    expect(test.apply({ kind: 'session-expire', session: 1, beat: 1 })).toEqual({ kind: 'session-ended', session: 1 })
    expect(test.apply({ kind: 'session-end', session: 1 })).toEqual({ kind: 'session-gone', session: 1 })
    expect(test.machine.sessions.size).toBe(0)
  })

  it('D24: do not end by themselves, however much log time passes', () => {
    const test = new TestMachine()
    open(test, 'r1')
    test.timeMs += 365 * 24 * 3_600_000
    expect(test.apply({ kind: 'session-keep', beats: [[1, 1]] })).toEqual({ kind: 'sessions-kept', gone: [] })
  })

  it('are told to listeners, with what ended them', () => {
    const test = new TestMachine()
    const seen: string[] = []
    const stop = test.machine.onSessionChange(({ kind, session }) => { seen.push(`${kind} ${session.id}.${session.beat}`) })
    open(test, 'r1', 'log')
    test.apply({ kind: 'session-keep', beats: [[1, 4]] })
    open(test, 'r2', 'log')
    test.apply({ kind: 'session-expire', session: 3, beat: 0 })
    stop()
    open(test, 'r3')
    expect(seen).toEqual(['opened 1.0', 'kept 1.4', 'ended 1.4', 'opened 3.0', 'expired 3.0'])
  })

  it('are a bounded number', () => {
    const test = new TestMachine()
    for (let at = 0; at < limits.maxOwnerSessions; at++) open(test, `r${at}`)
    expect(open(test, 'one more')).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    test.apply({ kind: 'session-end', session: 1 })
    expect(open(test, 'one more')).toMatchObject({ kind: 'session-opened' })
  })
})
