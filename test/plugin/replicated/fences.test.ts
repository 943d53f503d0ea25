import { describe, expect, it } from 'vitest'
import { TestMachine } from './support/apply.ts'

describe('fences', () => {
  it('let the current leadership write, and a deposed one never', () => {
    const test = new TestMachine()
    const old = test.lead()
    expect(test.set('a', 'old', { fence: old })).toMatchObject({ kind: 'written' })
    const next = test.lead()
    expect(test.set('a', 'late', { fence: old })).toEqual({ kind: 'fenced', token: old })
    expect(test.delete('a', { fence: old })).toEqual({ kind: 'fenced', token: old })
    expect(test.value('a')).toBe('old')
    expect(test.set('a', 'new', { fence: next })).toMatchObject({ kind: 'written' })
    expect(test.delete('a', { fence: next })).toMatchObject({ kind: 'deleted', existed: true })
  })

  it('let the holder of a lock write, until it is released or expired', () => {
    const test = new TestMachine()
    test.lead()
    test.acquire('l', 'r1')
    expect(test.set('a', 1, { fence: 2 })).toMatchObject({ kind: 'written' })
    test.lead()
    expect(test.set('a', 2, { fence: 2 })).toMatchObject({ kind: 'written' })
    test.apply({ kind: 'lock-release', name: 'l', token: 2 })
    expect(test.set('a', 3, { fence: 2 })).toEqual({ kind: 'fenced', token: 2 })
    test.acquire('l', 'r2')
    const token = test.index
    expect(test.set('a', 4, { fence: token })).toMatchObject({ kind: 'written' })
    test.apply({ kind: 'lock-expire', name: 'l', token, renewal: 0 })
    expect(test.set('a', 5, { fence: token })).toEqual({ kind: 'fenced', token })
    expect(test.value('a')).toBe(4)
  })

  it('refuse guessed tokens', () => {
    const test = new TestMachine()
    const token = test.lead()
    for (const guess of [token + 1, token + 2, Number.MAX_SAFE_INTEGER]) {
      expect(test.set('a', 1, { fence: guess })).toEqual({ kind: 'fenced', token: guess })
    }
  })

  it('are judged before the revision', () => {
    const test = new TestMachine()
    const old = test.lead()
    test.lead()
    expect(test.set('a', 1, { fence: old, ifRevision: 9 })).toEqual({ kind: 'fenced', token: old })
  })
})
