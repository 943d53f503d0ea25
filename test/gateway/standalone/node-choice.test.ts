import { describe, expect, it } from 'vitest'
import { Ejection } from '../../../src/gateway/standalone/ejection.ts'
import { chooseNode, nearestNodes } from '../../../src/gateway/standalone/node-choice.ts'

describe('the power of two choices', () => {
  const of = (load: Readonly<Record<string, number>>, ...randoms: number[]) =>
    chooseNode(Object.keys(load), (url) => load[url] ?? 0, () => randoms.shift() ?? 0)

  it('takes the one with less to do of two that are drawn, never the same twice', () => {
    expect(of({ a: 5, b: 3, c: 0 }, 0, 0)).toBe('b')
    expect(of({ a: 5, b: 3, c: 0 }, 0, 0.99)).toBe('c')
    expect(of({ a: 1, b: 3, c: 9 }, 0.99, 0)).toBe('a')
    // The first one where both have as much.
    expect(of({ a: 1, b: 1 }, 0, 0)).toBe('a')
    expect(of({ a: 1, b: 1 }, 0.99, 0)).toBe('b')
  })

  it('takes the only one, and none of none', () => {
    expect(of({ a: 7 }, 0.99, 0.99)).toBe('a')
    expect(of({})).toBeUndefined()
  })

  it('spreads a load evenly, without asking all nodes', () => {
    const load = new Map(['a', 'b', 'c', 'd', 'e'].map((url) => [url, 0]))
    for (let count = 0; count < 5_000; count++) {
      const url = chooseNode([...load.keys()], (each) => load.get(each) ?? 0, Math.random) ?? ''
      load.set(url, (load.get(url) ?? 0) + 1)
    }
    for (const count of load.values()) expect(Math.abs(count - 1_000)).toBeLessThan(50)
  })
})

describe('the nearest nodes', () => {
  const near = (latencies: Readonly<Record<string, number>>) =>
    nearestNodes(Object.keys(latencies), (url) => latencies[url] ?? Infinity)

  it('are those that take about as long as the fastest', () => {
    expect(near({ a: 1, b: 2, c: 30 })).toEqual(['a', 'b'])
    expect(near({ a: 40, b: 90, c: 30 })).toEqual(['a', 'c'])
    expect(near({ a: 0.1, b: 0.6 })).toEqual(['a', 'b'])
    expect(near({ a: Infinity, b: 3 })).toEqual(['b'])
    expect(near({ a: Infinity, b: Infinity })).toEqual(['a', 'b'])
  })
})

describe('the ejection of a node', () => {
  it('comes after failures in a row, and ends with time; the next one lasts twice as long', () => {
    let nowMs = 0
    const ejection = new Ejection({ afterFailures: 3, ejectMs: 100, nowMs: () => nowMs })
    const fail = (times: number): boolean => {
      for (let count = 0; count < times; count++) ejection.failed('a')
      return ejection.isEjected('a')
    }
    expect(fail(2)).toBe(false)
    ejection.answered('a')
    expect(fail(2)).toBe(false)
    expect(fail(1)).toBe(true)
    expect(ejection.admitted(['a', 'b'])).toEqual(['b'])
    // Requests that were under way fail, too.
    expect(fail(5)).toBe(true)
    nowMs = 100
    expect(ejection.isEjected('a')).toBe(false)
    // On trial: one more is enough.
    expect(fail(1)).toBe(true)
    nowMs = 299
    expect(ejection.isEjected('a')).toBe(true)
    nowMs = 300
    expect(ejection.isEjected('a')).toBe(false)
    ejection.answered('a')
    expect(fail(2)).toBe(false)
    expect(ejection.count).toBe(2)
  })

  it('never leaves nobody', () => {
    const ejection = new Ejection({ afterFailures: 1, ejectMs: 100, nowMs: () => 0 })
    ejection.failed('a')
    ejection.failed('b')
    expect(ejection.admitted(['a', 'b'])).toEqual(['a', 'b'])
  })
})
