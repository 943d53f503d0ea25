import { describe, expect, it } from 'vitest'
import { SimRandom } from '../sim/random.ts'
import type { Operation, RegisterInput, RegisterOutput } from './index.ts'
import { checkHistory, describeViolation, keyValueModel, registerModel } from './index.ts'
import { returned, unanswered } from './support/at.ts'
import { simulatedKeyValue, simulatedRegister, simulatedUniqueRegister } from './support/objects.ts'
import { simulateHistory } from './support/simulate.ts'

type RegisterOperation = Operation<RegisterInput, RegisterOutput>

function write (calledAt: number, returnedAt: number, value: number): RegisterOperation {
  return returned(calledAt, returnedAt, { kind: 'write', value }, { kind: 'written' })
}
function lostWrite (calledAt: number, value: number): RegisterOperation {
  return unanswered(calledAt, { kind: 'write', value })
}
function read (calledAt: number, returnedAt: number, value: number | null): RegisterOperation {
  return returned(calledAt, returnedAt, { kind: 'read' }, { kind: 'read', value })
}
function verdictOf (...history: readonly RegisterOperation[]): string {
  return checkHistory(registerModel, history).verdict
}

describe('checkHistory', () => {
  it('accepts a history without operations, and one without answers', () => {
    expect(verdictOf()).toBe('linearizable')
    expect(verdictOf(lostWrite(0, 1))).toBe('linearizable')
  })

  it('lets a read see a concurrent write or not', () => {
    expect(verdictOf(write(0, 10, 1), read(2, 3, 1))).toBe('linearizable')
    expect(verdictOf(write(0, 10, 1), read(2, 3, null))).toBe('linearizable')
  })

  it('refuses a read that does not see a write which has returned', () => {
    expect(verdictOf(write(0, 1, 1), read(2, 3, null))).toBe('violation')
  })

  it('refuses a second read that goes back in time, though both overlap the write', () => {
    expect(verdictOf(write(0, 10, 1), read(2, 3, 1), read(4, 5, null))).toBe('violation')
  })

  it('counts calls that only touch as concurrent', () => {
    expect(verdictOf(write(0, 2, 1), read(2, 3, null))).toBe('linearizable')
  })

  it('lets an operation without an answer take effect late, or never', () => {
    expect(verdictOf(lostWrite(0, 1), write(1, 2, 2), read(3, 4, 2), read(5, 6, 1))).toBe('linearizable')
    expect(verdictOf(lostWrite(0, 1), write(1, 2, 2), read(3, 4, 2), read(5, 6, 2))).toBe('linearizable')
  })

  it('lets an operation without an answer take effect once only, and not before its call', () => {
    expect(verdictOf(lostWrite(0, 1), read(1, 2, 1), write(3, 4, 2), read(5, 6, 1))).toBe('violation')
    expect(verdictOf(read(1, 2, 1), lostWrite(3, 1))).toBe('violation')
  })

  it('lets two equal operations without an answer take effect once each', () => {
    const history = [lostWrite(0, 1), lostWrite(0, 1), read(1, 2, 1), write(3, 4, 2), read(5, 6, 1)]
    expect(verdictOf(...history)).toBe('linearizable')
    expect(verdictOf(...history, write(7, 8, 2), read(9, 10, 1))).toBe('violation')
  })

  it('names the answer that made an order impossible, and leaves out what came later', () => {
    const history = [write(0, 1, 1), write(2, 3, 2), read(4, 5, 2), read(6, 7, 1), write(8, 9, 3), read(10, 11, 3)]
    const answer = checkHistory(registerModel, history)
    if (answer.verdict !== 'violation') throw new Error(answer.verdict)
    expect(answer.culprit).toBe(history[3])
    expect(answer.history).toEqual(history.slice(0, 4))
    expect(answer.longestPrefix.map(({ operation }) => operation)).toEqual(history.slice(0, 3))
    expect(answer.unexplained).toEqual([history[3]])
    expect(describeViolation(registerModel, answer, 2)).toBe([
      'not linearizable in "register": no order explains the answer of',
      '  p: {"kind":"read"} gave {"kind":"read","value":1} (6 to 7)',
      'the furthest order, 3 operations, without the first 1:',
      '  p: {"kind":"write","value":2} gave {"kind":"written"} (2 to 3)  now 2',
      '  p: {"kind":"read"} gave {"kind":"read","value":2} (4 to 5)  now 2',
      'in state 2 it leaves unexplained:',
      '  p: {"kind":"read"} gave {"kind":"read","value":1} (6 to 7)'
    ].join('\n'))
  })

  it.each([0, 15, 16, 17, 63, 64, 70, 99])(
    'finds the first bad answer of several in a long history: number %i',
    (bad) => {
      const history = Array.from({ length: 100 }, (_, at) =>
        read(2 * at, 2 * at + 1, at === bad || at === 99 ? 7 : null)
      )
      expect(checkHistory(registerModel, history)).toMatchObject({
        verdict: 'violation',
        culprit: history[bad],
        unexplained: [history[bad]]
      })
    }
  )

  it('is undecided at its bound, and never accepts there', () => {
    const history = simulateHistory(new SimRandom(3), simulatedRegister, { processes: 5, operations: 50, unknown: 0.1 })
    expect(checkHistory(registerModel, history, { maxConfigurations: 10 })).toMatchObject({
      verdict: 'undecided',
      partitions: ['register']
    })
    expect(checkHistory(registerModel, history).verdict).toBe('linearizable')
  })

  it('finds a violation in one partition though another is undecided', () => {
    const hard = simulateHistory(new SimRandom(1), simulatedKeyValue, { processes: 6, operations: 60, unknown: 0 })
    const bad = returned(0, 1, { kind: 'get', key: 'c' } as const, { kind: 'got', value: 'never put' } as const)
    expect(checkHistory(keyValueModel, hard, { maxConfigurations: 5 })).toMatchObject({
      verdict: 'undecided',
      partitions: expect.arrayContaining(['a', 'b']) as unknown
    })
    expect(checkHistory(keyValueModel, [...hard, bad], { maxConfigurations: 5 })).toMatchObject({
      verdict: 'violation',
      partition: 'c',
      culprit: bad
    })
  })

  it('gives the same answer for the same history', () => {
    const history = [
      ...simulateHistory(new SimRandom(5), simulatedRegister, { processes: 4, operations: 40, unknown: 0.2 }),
      read(1_000, 1_001, 9)
    ]
    const answer = checkHistory(registerModel, history)
    expect(answer.verdict).toBe('violation')
    expect(checkHistory(registerModel, history)).toEqual(answer)
  })

  it('refuses a history that cannot have happened', () => {
    expect(() => verdictOf(read(3, 2, null))).toThrow(RangeError)
    expect(() => verdictOf(read(NaN, 2, null))).toThrow(RangeError)
    expect(() => verdictOf(read(0, Infinity, null))).toThrow(RangeError)
  })

  it('handles a long history with many operations without an answer', () => {
    const history = simulateHistory(new SimRandom(2), simulatedUniqueRegister, {
      processes: 5,
      operations: 1_500,
      unknown: 0.03
    })
    expect(history.filter(({ outcome }) => outcome.kind === 'unknown').length).toBeGreaterThan(30)
    expect(checkHistory(registerModel, history).verdict).toBe('linearizable')
    expect(checkHistory(registerModel, [...history, read(100_000, 100_001, -1)]).verdict).toBe('violation')
  })
})
