import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { LockChange } from '../../../src/plugin/replicated/lock-table.ts'
import { TestMachine } from './support/apply.ts'

describe('lock table', () => {
  it('grants a free lock with the log index as token, and to nobody else while it is held', () => {
    const test = new TestMachine()
    test.lead()
    expect(test.acquire('l', 'r1')).toEqual({ kind: 'granted', name: 'l', owner: 'someone', token: 2, ttlMs: 1_000 })
    expect(test.acquire('l', 'r2')).toEqual({ kind: 'held', name: 'l', owner: 'someone', token: 2 })
    expect(test.acquire('other', 'r2')).toMatchObject({ kind: 'granted', token: 4 })
  })

  it('grants the same request the same token, and counts its time anew', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    expect(test.acquire('l', 'r1')).toMatchObject({ kind: 'granted', token: 1 })
    expect(test.machine.locks.get('l')?.renewal).toBe(1)
    expect(test.apply({ kind: 'lock-expire', name: 'l', token: 1, renewal: 0 })).toMatchObject({ kind: 'stale' })
  })

  it('does not grant a request again after its grant is over', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    test.apply({ kind: 'lock-release', name: 'l', token: 1 })
    expect(test.acquire('l', 'r1')).toEqual({ kind: 'stale', name: 'l' })
    expect(test.machine.locks.get('l')).toBeUndefined()
    expect(test.acquire('other', 'r1')).toMatchObject({ kind: 'granted' })
  })

  it('gives every grant a higher token, across releases, expiries and leaders', () => {
    const test = new TestMachine()
    let last = test.lead()
    for (let round = 0; round < 20; round++) {
      const answer = test.acquire('l', `r${round}`)
      if (answer.kind !== 'granted') throw new Error(answer.kind)
      expect(answer.token).toBeGreaterThan(last)
      last = answer.token
      if (round % 3 === 0) test.lead()
      if (round % 2 === 0) test.apply({ kind: 'lock-release', name: 'l', token: last })
      else test.apply({ kind: 'lock-expire', name: 'l', token: last, renewal: 0 })
    }
  })

  it('renews and releases for the holder', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    expect(test.apply({ kind: 'lock-renew', name: 'l', token: 1, ttlMs: 500 })).toEqual({
      kind: 'renewed',
      name: 'l',
      token: 1,
      ttlMs: 500
    })
    expect(test.machine.locks.get('l')).toMatchObject({ token: 1, ttlMs: 500, renewal: 1 })
    expect(test.apply({ kind: 'lock-release', name: 'l', token: 1 })).toEqual({ kind: 'released', name: 'l' })
    expect(test.machine.locks.get('l')).toBeUndefined()
    expect(test.apply({ kind: 'lock-release', name: 'l', token: 1 })).toEqual({ kind: 'stale', name: 'l' })
  })

  it('C: neither renews nor releases for anybody else', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    test.apply({ kind: 'lock-release', name: 'l', token: 1 })
    test.acquire('l', 'r2')
    test.acquire('mine', 'r3')
    const before = JSON.stringify(test.machine.locks)
    for (const token of [1, 2, 4, 5, Number.MAX_SAFE_INTEGER]) {
      expect(test.apply({ kind: 'lock-renew', name: 'l', token, ttlMs: 1_000 })).toEqual({ kind: 'stale', name: 'l' })
      expect(test.apply({ kind: 'lock-release', name: 'l', token })).toEqual({ kind: 'stale', name: 'l' })
      expect(test.apply({ kind: 'lock-expire', name: 'l', token, renewal: 0 })).toEqual({ kind: 'stale', name: 'l' })
    }
    expect(JSON.stringify(test.machine.locks)).toBe(before)
  })

  it('expires only what was not renewed since', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    test.apply({ kind: 'lock-renew', name: 'l', token: 1, ttlMs: 1_000 })
    expect(test.apply({ kind: 'lock-expire', name: 'l', token: 1, renewal: 0 })).toEqual({ kind: 'stale', name: 'l' })
    expect(test.apply({ kind: 'lock-expire', name: 'l', token: 1, renewal: 1 })).toEqual({ kind: 'expired', name: 'l' })
    expect(test.apply({ kind: 'lock-renew', name: 'l', token: 1, ttlMs: 1_000 })).toEqual({ kind: 'stale', name: 'l' })
  })

  it('D24: nothing expires by itself, however much log time passes', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1', 100)
    test.timeMs += 365 * 24 * 3_600_000
    expect(test.acquire('l', 'r2')).toMatchObject({ kind: 'held', token: 1 })
    expect(test.apply({ kind: 'lock-renew', name: 'l', token: 1, ttlMs: 100 })).toMatchObject({ kind: 'renewed' })
  })

  it('abandons what a request was granted, and what it might be granted later', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    expect(test.apply({ kind: 'lock-abandon', name: 'l', requestId: 'r1' })).toEqual({ kind: 'released', name: 'l' })
    expect(test.machine.locks.get('l')).toBeUndefined()
    test.apply({ kind: 'lock-abandon', name: 'l', requestId: 'r2' })
    expect(test.acquire('l', 'r2')).toEqual({ kind: 'stale', name: 'l' })
    expect(test.acquire('l', 'r3')).toMatchObject({ kind: 'granted' })
    test.apply({ kind: 'lock-abandon', name: 'l', requestId: 'r4' })
    expect(test.machine.locks.get('l')?.requestId).toBe('r3')
  })

  it('holds a bounded number of locks', () => {
    const test = new TestMachine()
    for (let at = 0; at < limits.maxLocksHeld; at++) test.acquire(`l${at}`, 'r')
    expect(test.machine.locks.size).toBe(limits.maxLocksHeld)
    expect(test.acquire('more', 'r')).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    test.apply({ kind: 'lock-release', name: 'l0', token: 1 })
    expect(test.acquire('more', 'r')).toMatchObject({ kind: 'granted' })
  })

  it('remembers a bounded number of requests whose grant is over', () => {
    const test = new TestMachine()
    const pass = (at: number): void => {
      test.acquire('l', `r${at}`)
      test.apply({ kind: 'lock-release', name: 'l', token: 2 * at + 1 })
    }
    for (let at = 0; at < limits.maxLockRequests; at++) pass(at)
    expect(test.acquire('l', 'r0')).toMatchObject({ kind: 'stale' })
    test.apply({ kind: 'lock-abandon', name: 'l', requestId: 'one more' })
    expect(test.acquire('l', 'r0')).toMatchObject({ kind: 'granted' })
  })

  it('tells its listeners of every change, until they leave', () => {
    const test = new TestMachine()
    const seen: string[] = []
    const stop = test.machine.onLockChange((change: LockChange) => {
      seen.push(`${change.kind} ${change.lock.token}.${change.lock.renewal}`)
    })
    test.acquire('__proto__', 'r1')
    test.acquire('__proto__', 'r2')
    test.apply({ kind: 'lock-renew', name: '__proto__', token: 1, ttlMs: 1_000 })
    test.apply({ kind: 'lock-expire', name: '__proto__', token: 1, renewal: 1 })
    test.acquire('__proto__', 'r3')
    test.apply({ kind: 'lock-release', name: '__proto__', token: 5 })
    stop()
    test.acquire('__proto__', 'r4')
    expect(seen).toEqual(['granted 1.0', 'renewed 1.1', 'expired 1.1', 'granted 5.0', 'released 5.0'])
  })
})
