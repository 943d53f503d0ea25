import { describe, expect, it } from 'vitest'
import type { Command } from '../../../src/plugin/replicated/command.ts'
import { decodeCommand, encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { once, TestMachine } from './support/apply.ts'

function bytes (text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}

function withOnce (more: object): string {
  return JSON.stringify({ kind: 'map-set', map: 'm', key: 'k', value: 1, once: { ...once('i').once, ...more } })
}

function nested (depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth)
}

describe('commands', () => {
  const commands: Command[] = [
    { kind: 'map-set', map: 'm', key: 'k', value: { a: [1, null, 'ü'] }, ifRevision: 0, fence: 7, ...once('i') },
    { kind: 'map-set', map: 'm', key: 'k', value: null },
    { kind: 'map-delete', map: 'm', key: '__proto__', ifRevision: 3 },
    { kind: 'lock-acquire', name: 'l', owner: 'o', ttlMs: 100, requestId: 'r' },
    { kind: 'lock-renew', name: 'l', token: 1, ttlMs: 3_600_000 },
    { kind: 'lock-release', name: 'l', token: 1 },
    { kind: 'lock-abandon', name: 'l', requestId: 'r' },
    { kind: 'lock-expire', name: 'l', token: 1, renewal: 0 },
    { kind: 'task-start', name: 't', node: 'n1', run: 'r', fence: 1, over: 2 },
    { kind: 'task-start', name: 't', worker: 255, node: 'n1', run: 'r', session: 1 },
    { kind: 'place-join', name: 't', node: 'n1', session: 1, workers: 256 },
    { kind: 'place-leave', name: 't', session: 1 },
    { kind: 'task-stop', name: 't', run: 'r' },
    { kind: 'broadcast', topic: 't', from: 'n1', message: { a: [1] } },
    { kind: 'once-begin', name: 'o', version: '1', node: 'n1', run: 'r', session: 3 },
    { kind: 'once-finish', name: 'o', version: '1', run: 'r', failed: false, text: '{}' },
    { kind: 'once-forget', name: 'o', version: '1' }
  ]

  it.each(commands)('decode what was encoded: $kind', (command) => {
    expect(decodeCommand(encodeCommand(command))).toEqual(command)
  })

  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['an array', '[]'],
    ['a number', '1'],
    ['no kind', '{}'],
    ['an unknown kind', '{"kind":"lock-steal","name":"l"}'],
    ['a kind off the prototype', '{"kind":"constructor"}'],
    ['a kind that is no string', '{"kind":["lock-abandon"],"name":1}'],
    ['a kind that nests deeply', `{"kind":${nested(400_000)}}`],
    ['a missing member', '{"kind":"lock-release","name":"l"}'],
    ['an unknown member', '{"kind":"lock-release","name":"l","token":1,"force":true}'],
    ['a __proto__ member', '{"kind":"lock-release","name":"l","__proto__":{"token":1}}'],
    ['a set without a value', '{"kind":"map-set","map":"m","key":"k"}'],
    ['an empty key', '{"kind":"map-set","map":"m","key":"","value":1}'],
    ['a key that is no string', '{"kind":"map-set","map":"m","key":1,"value":1}'],
    ['a negative revision', '{"kind":"map-set","map":"m","key":"k","value":1,"ifRevision":-1}'],
    ['a revision that is no integer', '{"kind":"map-set","map":"m","key":"k","value":1,"ifRevision":1.5}'],
    ['a revision over 2^53', '{"kind":"map-set","map":"m","key":"k","value":1,"ifRevision":9007199254740992}'],
    ['a fence of 0', '{"kind":"map-set","map":"m","key":"k","value":1,"fence":0}'],
    ['a null fence', '{"kind":"map-set","map":"m","key":"k","value":1,"fence":null}'],
    ['an empty idempotency key', withOnce({ key: '' })],
    ['a long idempotency key', withOnce({ key: 'i'.repeat(201) })],
    ['an idempotency key of another origin', withOnce({ origin: 'mail' })],
    ['an idempotency key with a short horizon', withOnce({ horizonMs: 999 })],
    ['an idempotency key with a long horizon', withOnce({ horizonMs: 604_800_001 })],
    ['an idempotency key without room', withOnce({ maxBytes: undefined })],
    ['an idempotency key with an unknown member', withOnce({ forever: true })],
    ['an idempotency key alone', '{"kind":"map-set","map":"m","key":"k","value":1,"once":"i"}'],
    ['a long map name', `{"kind":"map-set","map":"${'m'.repeat(201)}","key":"k","value":1}`],
    ['a long lock name', `{"kind":"lock-release","name":"${'l'.repeat(201)}","token":1}`],
    ['a long owner', `{"kind":"lock-acquire","name":"l","owner":"${'o'.repeat(201)}","ttlMs":1000,"requestId":"r"}`],
    ['a short ttl', '{"kind":"lock-renew","name":"l","token":1,"ttlMs":99}'],
    ['a long ttl', '{"kind":"lock-renew","name":"l","token":1,"ttlMs":3600001}'],
    ['a token of 0', '{"kind":"lock-release","name":"l","token":0}'],
    ['a token in a string', '{"kind":"lock-release","name":"l","token":"1"}']
  ])('refuse %s, and change nothing', (_case, text) => {
    const test = new TestMachine()
    const before = test.state()
    expect(test.applyBytes(bytes(text))).toMatchObject({ kind: 'refused', code: 'RAFT_MALFORMED_COMMAND' })
    expect(test.state()).toBe(before)
  })

  it('refuse bytes that are no UTF-8', () => {
    expect(decodeCommand(Uint8Array.of(0x22, 0xff, 0x22))).toMatchObject({
      kind: 'refused',
      code: 'RAFT_MALFORMED_COMMAND'
    })
  })

  it('refuse what is over a size', () => {
    const test = new TestMachine()
    expect(test.set('ü'.repeat(256), 1)).toMatchObject({ kind: 'written' })
    expect(test.set('ü'.repeat(257), 1)).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
    expect(test.delete('k'.repeat(513))).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
    expect(test.set('k', 'v'.repeat(limits.maxValueBytes - 2))).toMatchObject({ kind: 'written' })
    expect(test.set('k', 'v'.repeat(limits.maxValueBytes - 1))).toMatchObject({
      kind: 'refused',
      code: 'RAFT_TOO_LARGE'
    })
    expect(test.applyBytes(new Uint8Array(limits.maxCommandBytes + 1))).toMatchObject({
      kind: 'refused',
      code: 'RAFT_TOO_LARGE'
    })
  })

  it('refuse a value so deep that writing it out would overflow the stack', () => {
    const test = new TestMachine()
    const set = (value: string) => test.applyBytes(bytes(`{"kind":"map-set","map":"m","key":"k","value":${value}}`))
    expect(set(nested(400_000))).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
    expect(set(nested(limits.maxValueDepth + 1))).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
    expect(set(nested(limits.maxValueDepth))).toMatchObject({ kind: 'written' })
  })

  it('refuse a command for a state machine that is as deep, also with an idempotency key', () => {
    const test = new TestMachine()
    const once = '{"key":"i","origin":"api","horizonMs":1000,"maxBytes":1000}'
    const command = `{"kind":"machine","machine":"m","version":1,"command":${nested(400_000)},"once":${once}}`
    expect(test.applyBytes(bytes(command))).toMatchObject({ kind: 'refused', code: 'RAFT_TOO_LARGE' })
  })
})
