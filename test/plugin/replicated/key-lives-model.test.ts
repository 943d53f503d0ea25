import { describe, expect, it } from 'vitest'
import type { Command } from '../../../src/plugin/replicated/command.ts'
import type { KeyEnd } from '../../../src/plugin/replicated/key-lives.ts'
import { bytesOf, streamOf } from '../../support/byte-streams.ts'
import { seededRandom, TestMachine } from './support/apply.ts'

const keys = ['a', 'b', 'c', '__proto__', 'd/1', 'd/2']

/** A key as anybody would write it down. */
interface ModelKey extends KeyEnd {
  readonly value: unknown
  readonly revision: number
}

/** What one entry changes, by a list of all keys that is gone through each time. */
class KeyModel {
  readonly keys = new Map<string, ModelKey>()
  readonly sessions = new Set<number>()

  set (key: string, value: unknown, revision: number, end: KeyEnd): boolean {
    if (end.session !== undefined && !this.sessions.has(end.session)) return false
    this.keys.set(key, { value, revision, ...end })
    return true
  }

  /** Removes the keys for which it holds, and returns their names. */
  remove (isOver: (key: string, entry: ModelKey) => boolean): string[] {
    const over = [...this.keys].filter(([key, entry]) => isOver(key, entry)).map(([key]) => key)
    for (const key of over) this.keys.delete(key)
    return over.sort()
  }
}

function stateOf ({ machine }: TestMachine): unknown {
  return new Map([...machine.maps.walk('m', { prefix: '' })].map(({ key, valueJson, revision, life }) => [key, {
    value: JSON.parse(valueJson) as unknown,
    revision,
    ...(life?.ttlMs == null ? {} : { ttlMs: life.ttlMs }),
    ...(life?.session == null ? {} : { session: life.session })
  }]))
}

describe('keys that end by themselves, beside a list of all keys', () => {
  it.each([1, 2, 3, 4, 5, 6])('are in the map as they are in the list, and watches show each end (seed %i)', async (seed) => {
    const random = seededRandom(seed)
    const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T
    let test = new TestMachine()
    const model = new KeyModel()
    const ids: number[] = [1]
    let expirations = 0
    for (let step = 0; step < 3_000; step++) {
      const revision = test.index + 1
      const key = pick(keys)
      const end: KeyEnd = pick([{}, { ttlMs: 1_000 }, { session: pick(ids.slice(-3)) }])
      let command: Command
      let over: string[] = []
      switch (random(8)) {
        case 0:
          command = { kind: 'session-open', owner: 'o', requestId: `s${step}`, ttlMs: 5_000 }
          model.sessions.add(revision)
          ids.push(revision)
          break
        case 1: {
          const session = pick(ids.slice(-3))
          command = { kind: 'session-end', session }
          if (model.sessions.delete(session)) over = model.remove((_key, entry) => entry.session === session)
          break
        }
        case 2: {
          // Of the keys some are named at the revision that they are at.
          const named = [...new Set([key, pick(keys), pick(keys)])].map((one): [string, string, number] =>
            ['m', one, random(3) === 0 ? revision : model.keys.get(one)?.revision ?? 1])
          command = { kind: 'map-expire', keys: named }
          over = model.remove((one, entry) => entry.ttlMs !== undefined &&
            named.some(([, name, at]) => name === one && at === entry.revision))
          break
        }
        case 3:
          command = { kind: 'map-delete', map: 'm', key }
          model.keys.delete(key)
          break
        case 4: {
          const [one = '', other = ''] = random(2) === 0 ? ['a', 'b'] : ['b', 'c']
          command = {
            kind: 'map-transact',
            compare: [{ map: 'm', key, exists: true }],
            then: [{ kind: 'set', map: 'm', key: one, value: step, ...end }, { kind: 'delete', map: 'm', key: other }],
            else: [{ kind: 'set', map: 'm', key: other, value: step }]
          }
          if (!model.keys.has(key)) model.set(other, step, revision, {})
          else if (model.set(one, step, revision, end)) model.keys.delete(other)
          break
        }
        default:
          command = { kind: 'map-set', map: 'm', key, value: step, ...end }
          model.set(key, step, revision, end)
      }
      const follower = test.machine.history.follow('m', { prefix: '' })
      test.apply(command)
      const shown = follower.next()?.events.filter(({ kind }) => kind === 'expired').map((event) => event.key) ?? []
      follower.end()
      expect(shown.sort()).toEqual(over)
      expirations += over.length
      expect(stateOf(test)).toEqual(model.keys)
      const entries = [...model.keys.values()]
      const timed = entries.filter(({ ttlMs }) => ttlMs !== undefined).length
      expect([...test.machine.maps.lives()]).toHaveLength(timed)
      const owned = entries.filter(({ session }) => session !== undefined).length
      expect(test.machine.maps.expiringKeys).toBe(timed + owned)
      if (random(100) > 0) continue
      const next = new TestMachine()
      await next.machine.restore(streamOf(await bytesOf(test.machine.snapshot())))
      Object.assign(next, { index: test.index, term: test.term, timeMs: test.timeMs })
      test = next
    }
    expect(expirations).toBeGreaterThan(100)
  })
})
