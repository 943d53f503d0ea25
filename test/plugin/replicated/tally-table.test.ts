import { describe, expect, it } from 'vitest'
import type { Answer } from '../../../src/plugin/replicated/answer.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { TestMachine } from './support/apply.ts'

function add (test: TestMachine, name: string, by: number, tally: 'counter' | 'latch' = 'counter'): Answer {
  return test.apply({ kind: 'tally-add', tally, name, by })
}

function take (test: TestMachine, takes: number, capacity = 10, fillMs = 1_000, name = 'b'): Answer {
  return test.apply({ kind: 'bucket-take', name, takes, capacity, fillMs })
}

describe('numbers', () => {
  it('are added to, exactly, and forgotten', () => {
    const test = new TestMachine()
    expect(add(test, 'n', 5)).toEqual({ kind: 'tallied', value: 5, existed: false })
    expect(add(test, 'n', -7)).toEqual({ kind: 'tallied', value: -2, existed: true })
    expect(add(test, 'n', 1, 'latch')).toEqual({ kind: 'tallied', value: 1, existed: false })
    expect(add(test, '__proto__', Number.MAX_SAFE_INTEGER)).toMatchObject({ kind: 'tallied' })
    expect(add(test, '__proto__', 1)).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
    expect(test.apply({ kind: 'tally-remove', tally: 'counter', name: 'n' })).toEqual({ kind: 'tallied', value: -2, existed: true })
    expect(test.machine.tallies.get('counter', 'n')).toBeUndefined()
    expect(test.machine.tallies.get('latch', 'n')).toBe(1)
  })

  it('are told to those who wait for one of them', () => {
    const test = new TestMachine()
    let told = 0
    const stop = test.machine.onTallyChange('counter n', () => { told++ })
    add(test, 'n', 1)
    add(test, 'other', 1)
    stop()
    add(test, 'n', 1)
    expect(told).toBe(1)
  })

  it('are a bounded number', () => {
    const test = new TestMachine()
    for (let at = 0; at < limits.maxTallies; at++) add(test, `n${at}`, 1)
    expect(add(test, 'one more', 1)).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    expect(add(test, 'n0', 1)).toMatchObject({ value: 2 })
  })
})

describe('a bucket', () => {
  it('is full at first, fills by log time, and gives all that is asked for or nothing', () => {
    const test = new TestMachine()
    expect(take(test, 8)).toEqual({ kind: 'bucket', isTaken: true, remaining: 2, retryAfterMs: 0 })
    expect(take(test, 3)).toEqual({ kind: 'bucket', isTaken: false, remaining: 2, retryAfterMs: 100 })
    test.timeMs += 99
    expect(take(test, 3)).toMatchObject({ isTaken: false, retryAfterMs: 1 })
    test.timeMs++
    expect(take(test, 3)).toMatchObject({ isTaken: true, remaining: 0 })
    test.timeMs += 1_000_000
    expect(take(test, 10)).toMatchObject({ isTaken: true, remaining: 0 })
  })

  it('never gives more than its size and what has filled since', () => {
    const test = new TestMachine()
    let given = 0
    const startMs = test.timeMs
    for (let step = 0; step < 2_000; step++) {
      test.timeMs += step % 7
      const answer = take(test, 1 + step % 3, 7, 333)
      if (answer.kind === 'bucket' && answer.isTaken) given += 1 + step % 3
    }
    expect(given).toBeLessThanOrEqual(7 + 7 * (test.timeMs - startMs) / 333)
    expect(given).toBeGreaterThan(6 * (test.timeMs - startMs) / 333)
  })

  it('gives all that it has one by one as well', () => {
    const test = new TestMachine()
    const taken = Array.from({ length: 8 }, () => take(test, 1, 7, 333))
    expect(taken.map((answer) => answer.kind === 'bucket' && answer.isTaken)).toEqual([true, true, true, true, true, true, true, false])
    expect(taken.map((answer) => answer.kind === 'bucket' ? answer.remaining : -1)).toEqual([6, 5, 4, 3, 2, 1, 0, 0])
  })

  it('may change its size', () => {
    const test = new TestMachine()
    take(test, 10)
    expect(take(test, 1, 100)).toMatchObject({ isTaken: false })
    test.timeMs += 10
    expect(take(test, 1, 100)).toMatchObject({ isTaken: true })
  })

  it('that is full takes no room when there is none left', () => {
    const test = new TestMachine()
    for (let at = 0; at < limits.maxTallies; at++) take(test, 1, 1, 60_000, `b${at}`)
    expect(take(test, 1, 1, 60_000, 'one more')).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    test.timeMs += 60_000
    expect(take(test, 1, 1, 60_000, 'one more')).toMatchObject({ isTaken: true })
    expect(test.machine.tallies.size).toBe(1)
  })
})
