import { describe, expect, it } from 'vitest'
import { HistoryRecorder } from './index.ts'

describe('HistoryRecorder', () => {
  it('records completed, unknown and open calls, and drops calls that were not executed', () => {
    let nowMs = 10
    const recorder = new HistoryRecorder<string, number>(() => nowMs++)
    const answered = recorder.invoke('a', 'one')
    const failed = recorder.invoke('b', 'two')
    const lost = recorder.invoke('c', 'three')
    recorder.invoke('d', 'four')
    failed.fail()
    lost.unknown()
    answered.complete(1)
    expect(recorder.history()).toEqual([
      { process: 'a', input: 'one', calledAt: 10, outcome: { kind: 'returned', output: 1, returnedAt: 14 } },
      { process: 'c', input: 'three', calledAt: 12, outcome: { kind: 'unknown' } },
      { process: 'd', input: 'four', calledAt: 13, outcome: { kind: 'unknown' } }
    ])
  })

  it('keeps the order of events while the clock stands still', () => {
    const recorder = new HistoryRecorder<string, number>(() => 900_000_000)
    recorder.invoke('a', 'first').complete(1)
    recorder.invoke('a', 'second').complete(2)
    const times = recorder
      .history()
      .flatMap(({ calledAt, outcome }) => [calledAt, outcome.kind === 'returned' ? outcome.returnedAt : NaN])
    expect(times).toEqual([...times].sort((left, right) => left - right))
    expect(new Set(times).size).toBe(4)
  })

  it('refuses a call that ends twice', () => {
    const recorder = new HistoryRecorder<string, number>(() => 1)
    const call = recorder.invoke('a', 'one')
    call.unknown()
    expect(() => { call.complete(1) }).toThrow('a call of a ended twice')
    expect(recorder.history()).toMatchObject([{ outcome: { kind: 'unknown' } }])
  })

  it('refuses a clock that goes back, or that is too large to tell moments apart', () => {
    const readings = [5, 4]
    const backwards = new HistoryRecorder<string, number>(() => readings.shift() ?? 0)
    backwards.invoke('a', 'one')
    expect(() => { backwards.invoke('a', 'two') }).toThrow('the clock went from 5 to 4')
    const late = new HistoryRecorder<string, number>(() => 2 ** 53)
    late.invoke('a', 'one')
    expect(() => { late.invoke('a', 'two') }).toThrow(RangeError)
  })
})
