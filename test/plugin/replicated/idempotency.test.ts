import { describe, expect, it } from 'vitest'
import type { OnceCondition } from '../../../src/plugin/replicated/command.ts'
import { idempotencyDefaults, limits } from '../../../src/plugin/replicated/limits.ts'
import { RecentTable } from '../../../src/plugin/replicated/recent-table.ts'
import { once, TestMachine } from './support/apply.ts'

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
    ['another kind', (test: TestMachine) => test.delete('a', { idempotencyKey: 'i' })]
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

  it.each([
    ['maps', { map: 'x' }, {}],
    ['HTTP and code', {}, { origin: 'http' as const }],
    ['maps whose names run into the key', { map: 'm:1' }, { key: 'i' }]
  ])('of different %s never meet', (_case, where, more) => {
    const test = new TestMachine()
    test.apply({ kind: 'map-set', map: 'm', key: 'a', value: 1, ...once('1:i') })
    expect(test.apply({ kind: 'map-set', map: 'm', key: 'a', value: 2, ...where, ...once('1:i', more) }))
      .toMatchObject({ kind: 'written', revision: 2 })
    expect(test.machine.answers.size).toBe(2)
  })

  it('D28: are forgotten after the horizon that the command brought, in log time, and not before', () => {
    const test = new TestMachine()
    const set = (horizonMs: number) =>
      test.apply({ kind: 'map-set', map: 'm', key: 'a', value: 1, ...once('i', { horizonMs }) })
    set(5_000)
    test.timeMs += 4_999
    expect(set(1_000)).toMatchObject({ revision: 1 })
    test.timeMs++
    expect(set(1_000)).toMatchObject({ revision: 3 })
    expect(test.machine.answers.size).toBe(1)
  })

  it('have room for more than ten minutes by default', () => {
    expect(idempotencyDefaults.horizonMs).toBeGreaterThanOrEqual(600_000)
    const test = new TestMachine()
    test.set('a', 1, { idempotencyKey: 'first' })
    for (let at = 0; at < 20_000; at++) test.set('a', at, { idempotencyKey: `order-${at}` })
    test.timeMs += 599_999
    expect(test.set('a', 1, { idempotencyKey: 'first' })).toMatchObject({ kind: 'written', revision: 1 })
  })

  it('D28: that are new are refused while the remembered ones fill the room, and taken once those are old enough', () => {
    const test = new TestMachine()
    const room = { horizonMs: 60_000, maxBytes: 10_000 }
    const set = (key: string, more: Partial<OnceCondition> = {}) =>
      test.apply({ kind: 'map-set', map: 'm', key: 'a', value: key, ...once(key, { ...room, ...more }) })
    let taken = 0
    for (let answer = set('k0'); answer.kind === 'written'; answer = set(`k${taken}`)) {
      taken++
      test.timeMs += 1_000
    }
    expect(taken).toBeGreaterThan(10)
    expect(test.machine.answers.bytes).toBeLessThanOrEqual(room.maxBytes)
    expect(set('late')).toEqual({
      kind: 'refused',
      code: 'RAFT_BUSY',
      message: expect.stringContaining('fill 10000 bytes') as string
    })
    // Nothing was executed, and nothing was forgotten: not even for a command with less patience.
    expect(test.value('a')).toBe(`k${taken - 1}`)
    expect(set('late', { horizonMs: 1_000 })).toMatchObject({ code: 'RAFT_BUSY' })
    for (let at = 0; at < taken; at++) expect(set(`k${at}`)).toMatchObject({ kind: 'written', revision: at + 1 })
    // More room, and commands without a key.
    expect(set('wider', { maxBytes: 20_000 })).toMatchObject({ kind: 'written' })
    expect(test.set('a', 'plain')).toMatchObject({ kind: 'written' })
    test.timeMs = 1_000_000 + room.horizonMs + 2_000
    expect(set('late')).toMatchObject({ kind: 'written', revision: test.index })
  })

  it('count for a machine with the largest answer that it may give', () => {
    const test = new TestMachine()
    test.machine.machines.register('m', { version: 1, initial: () => 0, apply: (state) => ({ state, answer: 'a' }) })
    const propose = (maxBytes: number) =>
      test.apply({ kind: 'machine', machine: 'm', version: 1, command: 1, ...once('i', { maxBytes }) })
    expect(propose(limits.maxRememberedAnswerLength)).toMatchObject({ code: 'RAFT_BUSY' })
    expect(propose(2 * limits.maxRememberedAnswerLength)).toMatchObject({ kind: 'machine-answer' })
    expect(test.machine.answers.bytes).toBeLessThan(limits.maxRememberedAnswerLength / 4)
  })

  it('are forgotten a few at a time, and captured without a copy', () => {
    const test = new TestMachine()
    for (let at = 0; at < 5_000; at++) test.set('a', at, { idempotencyKey: `i${at}` })
    const captured = test.machine.answers.capture()
    test.timeMs += 600_000
    let size = test.machine.answers.size
    for (let at = 0; at < 1_000; at++) {
      test.set('a', at, { idempotencyKey: `j${at}` })
      expect(size - test.machine.answers.size).toBeLessThanOrEqual(15)
      size = test.machine.answers.size
    }
    expect(size).toBe(1_000)
    const keys = [...captured].map((record) => (JSON.parse(Buffer.from(record).toString()) as unknown[])[0])
    expect(keys).toHaveLength(5_000)
    expect([keys[0], keys.at(-1)]).toEqual(['api:map:1:m:i0', 'api:map:1:m:i4999'])
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
