import { describe, expect, it } from 'vitest'
import type { KeyEnd } from '../../../src/plugin/replicated/key-lives.ts'
import { KeyLives } from '../../../src/plugin/replicated/key-lives.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { MapChange } from '../../../src/plugin/replicated/map-history.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { TestMachine } from './support/apply.ts'

let requests = 0
function openSession (test: TestMachine): number {
  test.apply({ kind: 'session-open', owner: 'o', requestId: `s${requests++}`, ttlMs: 5_000 })
  return test.index
}

function set (test: TestMachine, key: string, end: KeyEnd, map = 'm') {
  return test.apply({ kind: 'map-set', map, key, value: 1, ...end })
}

/** All that a machine knows of the changes of its keys. */
function changesOf ({ machine: { history } }: TestMachine): MapChange[] {
  return [...history.after(history.forgottenRevision)]
}

describe('keys that end by themselves', () => {
  it('go when the log says that their time is over, unless they were written since', () => {
    const test = new TestMachine()
    for (const key of ['over', 'again', 'stays']) set(test, key, { ttlMs: 1_000 })
    set(test, 'again', { ttlMs: 1_000 })
    set(test, 'stays', {})
    expect(test.machine.maps.expiringKeys).toBe(2)
    const keys = [['m', 'over', 1], ['m', 'again', 2], ['m', 'stays', 5], ['n', 'x', 1]] as const
    expect(test.apply({ kind: 'map-expire', keys })).toEqual({ kind: 'keys-expired', keys: 1 })
    expect([test.value('over'), test.value('again'), test.value('stays')]).toEqual([undefined, 1, 1])
    expect(changesOf(test).at(-1)).toEqual({
      revision: 6,
      events: [{ map: 'm', key: 'over', kind: 'expired', valueJson: null }]
    })
    expect(test.machine.maps.expiringKeys).toBe(1)
    expect(test.apply({ kind: 'map-expire', keys: [['m', 'over', 1]] })).toEqual({ kind: 'keys-expired', keys: 0 })
    expect(test.machine.history.revision).toBe(7)
    expect(changesOf(test).at(-1)?.revision).toBe(6)
  })

  it('go with their session, all at one entry, in an order that no node has to itself', async () => {
    const test = new TestMachine()
    const session = openSession(test)
    const other = openSession(test)
    for (const key of ['c', 'a', 'b']) set(test, key, { session })
    set(test, 'z', { session }, 'l')
    set(test, 'other', { session: other })
    set(test, 'b', {})
    set(test, 'a', { session: other })
    set(test, 'a', { session })
    const restored = new TestMachine()
    await restored.machine.restore(streamOf(await bytesOf(test.machine.snapshot())))
    Object.assign(restored, { index: test.index, term: test.term })
    for (const one of [test, restored]) {
      one.apply({ kind: 'session-end', session })
      expect(changesOf(one).at(-1)?.events.map(({ map, key, kind }) => `${kind} ${map} ${key}`))
        .toEqual(['expired l z', 'expired m a', 'expired m c'])
      expect([one.value('b'), one.value('other'), one.value('a')]).toEqual([1, 1, undefined])
    }
    test.apply({ kind: 'session-expire', session: other, beat: 0 })
    expect([test.value('other'), test.machine.maps.expiringKeys]).toEqual([undefined, 0])
  })

  it('of a session that is over are not written, alone or in a transaction', () => {
    const test = new TestMachine()
    const session = openSession(test)
    test.apply({ kind: 'session-end', session })
    const gone = { kind: 'session-gone', session }
    expect(set(test, 'k', { session })).toEqual(gone)
    expect(test.apply({
      kind: 'map-transact',
      compare: [],
      then: [{ kind: 'set', map: 'm', key: 'a', value: 1 }, { kind: 'set', map: 'm', key: 'k', value: 1, session }],
      else: []
    })).toEqual(gone)
    expect(test.machine.maps.keys).toBe(0)
    // Nothing was done: the key of the request may be used with another session.
    const again = openSession(test)
    const once = { key: 'i', origin: 'api', horizonMs: 600_000, maxBytes: 1_000_000 } as const
    expect(test.apply({ kind: 'map-set', map: 'm', key: 'k', value: 1, session, once })).toEqual(gone)
    expect(test.apply({ kind: 'map-set', map: 'm', key: 'k', value: 1, session: again, once }))
      .toMatchObject({ kind: 'written' })
    expect(test.apply({ kind: 'map-set', map: 'm', key: 'k', value: 1, ttlMs: 1_000, once }))
      .toMatchObject({ code: 'RAFT_IDEMPOTENCY_CONFLICT' })
  })

  it('have one end, in its bounds', () => {
    const test = new TestMachine()
    const session = openSession(test)
    const { minKeyTtlMs, maxKeyTtlMs, maxKeysExpiredAtOnce } = limits
    for (const ttlMs of [minKeyTtlMs - 1, maxKeyTtlMs + 1, 1.5]) {
      expect(set(test, 'k', { ttlMs })).toMatchObject({ code: 'RAFT_MALFORMED_COMMAND' })
    }
    expect(set(test, 'k', { ttlMs: minKeyTtlMs, session })).toMatchObject({ code: 'RAFT_MALFORMED_COMMAND' })
    expect(test.apply({
      kind: 'map-transact',
      compare: [],
      then: [{ kind: 'set', map: 'm', key: 'k', value: 1, ttlMs: minKeyTtlMs, session }],
      else: []
    })).toMatchObject({ code: 'RAFT_MALFORMED_COMMAND' })
    const keys = Array.from({ length: maxKeysExpiredAtOnce + 1 }, () => ['m', 'k', 1] as const)
    expect(test.apply({ kind: 'map-expire', keys })).toMatchObject({ code: 'RAFT_MALFORMED_COMMAND' })
    for (const ttlMs of [minKeyTtlMs, maxKeyTtlMs]) expect(set(test, 'k', { ttlMs })).toMatchObject({ kind: 'written' })
  })

  it('are bounded, for a session and in all', () => {
    const lives = new KeyLives({ isOpen: () => true }, { maxExpiringKeys: 3, maxKeysOfSession: 2 })
    const life = (key: string, end: KeyEnd) => {
      return { map: 'm', key, revision: 1, sinceMs: 1, ttlMs: end.ttlMs ?? null, session: end.session ?? null }
    }
    const first = life('a', { session: 7 })
    for (const begun of [first, life('b', { session: 7 })]) {
      expect(lives.refusalOf([{ session: 7 }], [])).toBeNull()
      lives.begin(begun)
    }
    expect(lives.refusalOf([{ session: 7 }], []))
      .toMatchObject({ code: 'RAFT_BUSY', message: '2 keys end with session 7' })
    expect(lives.refusalOf([{ session: 7 }], [first])).toBeNull()
    lives.begin(life('c', { ttlMs: 1_000 }))
    expect(lives.refusalOf([{ ttlMs: 1_000 }], []))
      .toMatchObject({ code: 'RAFT_BUSY', message: '3 keys end by themselves' })
    expect(lives.refusalOf([{ session: 8 }], [first])).toBeNull()
    lives.end(first)
    expect([lives.size, lives.refusalOf([{ session: 7 }], [])]).toEqual([2, null])
  })

  it('are in snapshots that older releases cannot read, and nothing is there for them when there are none', async () => {
    const test = new TestMachine()
    set(test, 'k', {})
    expect(test.machine.maps.version).toBe(1)
    set(test, 'k', { ttlMs: 1_000 })
    expect(test.machine.maps.version).toBe(2)
    const restored = new TestMachine()
    const told: string[] = []
    restored.machine.onKeyLifeChange(({ kind, life }) => { told.push(`${kind} ${life.key} ${life.revision}`) })
    set(restored, 'gone', { ttlMs: 1_000 })
    await restored.machine.restore(streamOf(await bytesOf(test.machine.snapshot())))
    expect(told).toEqual(['begun gone 1', 'over gone 1', 'begun k 2'])
    expect(restored.state()).toBe(test.state())
    restored.index = test.index
    for (const one of [test, restored]) one.delete('k')
    expect(told.at(-1)).toBe('over k 2')
    expect([test.machine.maps.version, restored.machine.maps.version]).toEqual([1, 1])
  })
})
