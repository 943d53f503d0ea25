import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { RecentTable } from '../../../src/plugin/replicated/recent-table.ts'
import { TestMachine } from './support/apply.ts'

describe('idempotency keys', () => {
  it('apply a command once and give the first answer again', () => {
    const test = new TestMachine()
    const first = test.set('a', 1, { idempotencyKey: 'i' })
    test.set('a', 2)
    expect(test.set('a', 1, { idempotencyKey: 'i' })).toEqual(first)
    expect(test.value('a')).toBe(2)
  })

  it('give a mismatch again, although the write would apply now', () => {
    const test = new TestMachine()
    test.set('a', 1)
    expect(test.set('a', 2, { ifRevision: 0, idempotencyKey: 'i' })).toMatchObject({ kind: 'mismatch', revision: 1 })
    test.delete('a')
    expect(test.set('a', 2, { ifRevision: 0, idempotencyKey: 'i' })).toMatchObject({ kind: 'mismatch', revision: 1 })
  })

  it.each([
    ['another value', (test: TestMachine) => test.set('a', 2, { idempotencyKey: 'i' })],
    ['another key', (test: TestMachine) => test.set('b', 1, { idempotencyKey: 'i' })],
    ['another condition', (test: TestMachine) => test.set('a', 1, { ifRevision: 1, idempotencyKey: 'i' })],
    ['another kind', (test: TestMachine) => test.delete('a', { idempotencyKey: 'i' })],
    [
      'another map',
      (test: TestMachine) => test.apply({ kind: 'map-set', map: 'x', key: 'a', value: 1, idempotencyKey: 'i' })
    ]
  ])('refuse %s under the same key', (_case, again) => {
    const test = new TestMachine()
    test.set('a', 1, { idempotencyKey: 'i' })
    expect(again(test)).toMatchObject({ kind: 'refused', code: 'RAFT_IDEMPOTENCY_CONFLICT' })
    expect(test.value('a')).toBe(1)
    expect(test.machine.maps.keys).toBe(1)
  })

  it('let the next leader repeat the work of the last one under its own fence', () => {
    const test = new TestMachine()
    const old = test.lead()
    const first = test.set('order', 'sent', { fence: old, idempotencyKey: 'order' })
    const fence = test.lead()
    expect(test.set('order', 'sent', { fence, idempotencyKey: 'order' })).toEqual(first)
  })

  it('do not remember a write that was fenced or refused', () => {
    const test = new TestMachine()
    const old = test.lead()
    const fence = test.lead()
    expect(test.set('a', 1, { fence: old, idempotencyKey: 'i' })).toEqual({ kind: 'fenced', token: old })
    expect(test.set('a', 1, { fence, idempotencyKey: 'i' })).toMatchObject({ kind: 'written' })
    expect(test.set('b', 'v'.repeat(limits.maxValueBytes), { idempotencyKey: 'j' })).toMatchObject({ kind: 'refused' })
    expect(test.set('b', 1, { idempotencyKey: 'j' })).toMatchObject({ kind: 'written' })
  })

  it('are forgotten after an hour of log time, and not before', () => {
    const test = new TestMachine()
    test.set('a', 1, { idempotencyKey: 'i' })
    test.timeMs += limits.idempotencyWindowMs - 1
    expect(test.set('a', 1, { idempotencyKey: 'i' })).toMatchObject({ revision: 1 })
    test.timeMs++
    expect(test.set('a', 1, { idempotencyKey: 'i' })).toMatchObject({ revision: 3 })
  })

  it('are bounded in number; the oldest goes first', () => {
    const test = new TestMachine()
    for (let at = 0; at <= limits.maxIdempotencyKeys; at++) test.set('a', at, { idempotencyKey: `i${at}` })
    expect(test.machine.answers.size).toBe(limits.maxIdempotencyKeys)
    expect(test.set('a', 1, { idempotencyKey: 'i1' })).toMatchObject({ kind: 'written', revision: 2 })
    expect(test.set('a', 'x', { idempotencyKey: 'i0' })).toMatchObject({ kind: 'written', revision: test.index })
  })
})

describe('recent table', () => {
  const at = (timeMs: number) => ({ index: 1, term: 1, timeMs })

  it('keeps the first value of a key', () => {
    const table = new RecentTable<string>({ maxKeys: 2, windowMs: 10 })
    table.add('a', 'first', at(0))
    table.add('a', 'second', at(5))
    expect(table.get('a', at(9))).toBe('first')
    expect(table.get('a', at(10))).toBeUndefined()
    table.add('a', 'third', at(10))
    expect(table.get('a', at(10))).toBe('third')
  })

  it('drops the oldest of too many', () => {
    const table = new RecentTable<number>({ maxKeys: 2, windowMs: 10 })
    for (const [at_, key] of ['a', 'b', 'c'].entries()) table.add(key, at_, at(0))
    expect(table.size).toBe(2)
    expect(table.get('a', at(0))).toBeUndefined()
    expect(table.get('b', at(0))).toBe(1)
  })
})
