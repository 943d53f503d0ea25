import { describe, expect, it } from 'vitest'
import type { MapFollower } from '../../../src/plugin/replicated/map-history.ts'
import { historyLimits, MapHistory } from '../../../src/plugin/replicated/map-history.ts'

/** A history fed by hand. */
class TestHistory {
  index = 0
  readonly history: MapHistory

  constructor (bounds: Partial<Record<keyof typeof historyLimits, number>> = {}) {
    this.history = new MapHistory(() => this.index, { ...historyLimits, ...bounds })
  }

  set (key: string, valueJson = '1', map = 'm'): number {
    this.history.add({ revision: ++this.index, events: [{ map, key, kind: 'set', valueJson }] })
    return this.index
  }
}

/** What a follower gives until there is no more, as `revision:key` each. */
function rest (follower: MapFollower): string[] {
  const seen: string[] = []
  for (let change = follower.next(); change !== null; change = follower.next()) {
    seen.push(`${change.revision}:${change.events.map(({ key }) => key).join('+')}`)
  }
  return seen
}

describe('the history of the maps', () => {
  it('shows each change of the keys that are followed once, from the revision named on', () => {
    const test = new TestHistory()
    for (const key of ['a/1', 'b/1', 'a/2']) test.set(key)
    test.set('a/1', '1', 'other')
    const all = test.history.follow('m', { prefix: '' }, 0)
    const fromTwo = test.history.follow('m', { prefix: 'a/' }, 1)
    const exact = test.history.follow('m', { key: 'a/1' }, 0)
    const fromNow = test.history.follow('m', { prefix: '' })
    expect(rest(all)).toEqual(['1:a/1', '2:b/1', '3:a/2'])
    expect(rest(fromTwo)).toEqual(['3:a/2'])
    expect(rest(exact)).toEqual(['1:a/1'])
    expect(rest(fromNow)).toEqual([])
    test.set('a/11')
    expect([all, fromTwo, exact, fromNow].map(rest)).toEqual([['5:a/11'], ['5:a/11'], [], ['5:a/11']])
  })

  it('gives what one entry did as one change, without the keys that are not followed', () => {
    const { history } = new TestHistory()
    const follower = history.follow('m', { prefix: 'a' }, 0)
    history.add({
      revision: 7,
      events: ['a1', 'b1', 'a2'].map((key) => ({ map: 'm', key, kind: 'deleted' as const, valueJson: null }))
    })
    expect(rest(follower)).toEqual(['7:a1+a2'])
  })

  it('wakes those whom a change concerns, and nobody else', () => {
    const test = new TestHistory()
    const woken: string[] = []
    const followers = [
      { key: 'a' }, { key: 'ab' }, { prefix: '' }, { prefix: 'a' }, { prefix: 'ab' }, { prefix: 'abc' }
    ].map((keys) => ({ name: JSON.stringify(keys), follower: test.history.follow('m', keys) }))
    const waitAll = (): void => {
      for (const { name, follower } of followers) follower.wait(() => { woken.push(name) })
    }
    waitAll()
    test.set('ab', '1', 'other')
    expect(woken).toEqual([])
    test.set('ab')
    expect(woken.splice(0)).toEqual(['{"key":"ab"}', '{"prefix":""}', '{"prefix":"a"}', '{"prefix":"ab"}'])
    test.set('ab')
    expect(woken.splice(0)).toEqual([])
    waitAll()
    for (const { follower } of followers) follower.end()
    test.set('ab')
    expect(woken).toEqual([])
    expect(test.history.followers).toBe(0)
  })

  it('lets who is woken wait again at once', () => {
    const test = new TestHistory()
    const follower = test.history.follow('m', { prefix: '' })
    let count = 0
    const again = (): void => {
      count++
      follower.wait(again)
    }
    follower.wait(again)
    test.set('a')
    test.set('a')
    test.history.restart()
    expect(count).toBe(3)
  })

  it.each([
    ['changes', { maxHistoryEvents: 3 }],
    ['bytes of keys and values', { maxHistoryBytes: 6 }]
  ])('keeps so many %s, and tells a reader that is too slow where to go on', (_what, bounds) => {
    const test = new TestHistory(bounds)
    const slow = test.history.follow('m', { prefix: '' }, 0)
    const quick = test.history.follow('m', { prefix: '' }, 0)
    for (const key of ['a', 'b', 'c']) test.set(key)
    expect(rest(quick)).toEqual(['1:a', '2:b', '3:c'])
    test.set('d')
    expect(rest(quick)).toEqual(['4:d'])
    const compacted = expect.objectContaining({ code: 'RAFT_COMPACTED', statusCode: 410, revision: 1 }) as unknown
    expect(() => slow.next()).toThrow(compacted)
    expect(() => test.history.follow('m', { prefix: '' }, 0)).toThrow(compacted)
    expect(rest(test.history.follow('m', { prefix: '' }, 1))).toEqual(['2:b', '3:c', '4:d'])
  })

  it('holds no more than the limit over many changes', () => {
    const test = new TestHistory({ maxHistoryEvents: 10 })
    for (let count = 0; count < 1_000; count++) test.set(`k${count}`)
    expect(test.history.forgottenRevision).toBe(990)
    const kept = Array.from({ length: 10 }, (_item, at) => 991 + at)
    expect([...test.history.after(990)].map(({ revision }) => revision)).toEqual(kept)
    expect([...test.history.after(998)].map(({ revision }) => revision)).toEqual([999, 1_000])
  })

  it('takes a reader that waits along over changes that do not concern it', () => {
    const test = new TestHistory({ maxHistoryEvents: 2 })
    const follower = test.history.follow('m', { prefix: 'a' }, 0)
    expect(follower.next()).toBeNull()
    let woken = 0
    follower.wait(() => { woken++ })
    for (let count = 0; count < 10; count++) test.set('other')
    expect(follower.revision).toBe(10)
    test.set('a')
    expect(woken).toBe(1)
    expect(follower.revision).toBe(10)
    expect(rest(follower)).toEqual(['11:a'])
    expect(follower.revision).toBe(11)
  })

  it('has nothing of before a snapshot, and tells all who follow', () => {
    const test = new TestHistory()
    test.set('a')
    const reading = test.history.follow('m', { prefix: '' }, 0)
    const waiting = test.history.follow('m', { prefix: '' })
    let woken = 0
    waiting.wait(() => { woken++ })
    test.index = 50
    test.history.restart()
    expect(woken).toBe(1)
    for (const follower of [reading, waiting]) {
      expect(() => follower.next()).toThrow(expect.objectContaining({ code: 'RAFT_COMPACTED', revision: 50 }) as Error)
    }
    const anew = test.history.follow('m', { prefix: '' }, 50)
    test.set('b')
    expect(rest(anew)).toEqual(['51:b'])
  })

  it('refuses more followers than it may have until one ends', () => {
    const { history } = new TestHistory({ maxFollowers: 1 })
    const first = history.follow('m', { prefix: '' })
    expect(() => history.follow('m', { prefix: '' })).toThrow(expect.objectContaining({ code: 'RAFT_BUSY' }) as Error)
    first.end()
    first.end()
    history.follow('m', { prefix: '' }).end()
    expect(history.followers).toBe(0)
  })
})
