import { describe, expect, it } from 'vitest'
import type { Answer } from '../../../src/plugin/replicated/answer.ts'
import type { LockAcquireCommand } from '../../../src/plugin/replicated/command.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { TestMachine } from './support/apply.ts'

/** Opens a session, and takes or waits for locks under it. */
class Owner {
  readonly #test: TestMachine
  readonly session: number

  constructor (test: TestMachine, name: string) {
    this.#test = test
    const answer = test.apply({ kind: 'session-open', owner: name, requestId: name, ttlMs: 10_000 })
    this.session = answer.kind === 'session-opened' ? answer.session : 0
  }

  take (name: string, requestId: string, more: Partial<LockAcquireCommand> = {}): Answer {
    return this.#test.apply({
      kind: 'lock-acquire', name, owner: 'someone', requestId, session: this.session, waits: true, ...more
    })
  }

  end (): Answer {
    return this.#test.apply({ kind: 'session-end', session: this.session })
  }
}

function holders (test: TestMachine, name: string, pool: 'lock' | 'read-write' | 'semaphore' = 'lock'): string[] {
  return test.machine.locks.look({ pool, name }).held.map(({ requestId }) => requestId)
}

function queue (test: TestMachine, name: string): string[] {
  return test.machine.locks.look({ name }).waiting.map(({ requestId }) => requestId)
}

function release (test: TestMachine, name: string): Answer {
  const { pool = 'lock', token = 0 } = test.machine.locks.get(name) ?? {}
  return test.apply({ kind: 'lock-release', pool, name, token })
}

describe('the queue of a lock', () => {
  it('is served in the order of arrival, each at the entry that frees the lock', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    expect(owner.take('l', 'r1')).toMatchObject({ kind: 'granted', token: 2, ttlMs: null })
    expect(owner.take('l', 'r2')).toEqual({ kind: 'queued', name: 'l', position: 1 })
    expect(owner.take('l', 'r3')).toEqual({ kind: 'queued', name: 'l', position: 2 })
    expect(owner.take('l', 'r2')).toEqual({ kind: 'queued', name: 'l', position: 1 })
    for (const [at, next] of ['r2', 'r3'].entries()) {
      expect(release(test, 'l')).toMatchObject({ kind: 'released' })
      expect(holders(test, 'l')).toEqual([next])
      expect(test.machine.locks.get('l')).toMatchObject({ token: 6 + at, session: 1, isOffered: false })
    }
  })

  it('lets nobody pass, not even who does not wait', () => {
    const test = new TestMachine()
    const [owner, other] = [new Owner(test, 'a'), new Owner(test, 'b')]
    owner.take('l', 'r1')
    other.take('l', 'r2')
    expect(owner.take('l', 'r3', { waits: false })).toMatchObject({ kind: 'held', token: 3 })
    release(test, 'l')
    expect(holders(test, 'l')).toEqual(['r2'])
    expect(owner.take('l', 'r4', { waits: false })).toMatchObject({ kind: 'held' })
  })

  it('is left by who gives up, also when its turn came meanwhile', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    for (const requestId of ['r1', 'r2', 'r3', 'r4']) owner.take('l', requestId)
    test.apply({ kind: 'lock-abandon', name: 'l', requestId: 'r2' })
    expect(queue(test, 'l')).toEqual(['r3', 'r4'])
    expect(owner.take('l', 'r2')).toEqual({ kind: 'stale', name: 'l' })
    release(test, 'l')
    test.apply({ kind: 'lock-abandon', name: 'l', requestId: 'r3' })
    expect(holders(test, 'l')).toEqual(['r4'])
  })

  it('ends with the session of who waits, and what the session held goes to the next ones', () => {
    const test = new TestMachine()
    const [gone, other] = [new Owner(test, 'a'), new Owner(test, 'b')]
    gone.take('l', 'r1')
    gone.take('l', 'r2')
    other.take('l', 'r3')
    gone.take('l', 'r4')
    gone.end()
    expect(holders(test, 'l')).toEqual(['r3'])
    expect(queue(test, 'l')).toEqual([])
    expect(test.machine.locks.hasToken(3)).toBe(false)
    expect(gone.take('l', 'r5')).toEqual({ kind: 'session-gone', session: gone.session })
  })

  it('grants one lock at an entry, so that no two grants have one token', () => {
    const test = new TestMachine()
    const [gone, other] = [new Owner(test, 'a'), new Owner(test, 'b')]
    for (const name of ['x', 'y', 'z']) gone.take(name, 'r1')
    for (const name of ['x', 'y', 'z']) other.take(name, 'r2')
    gone.end()
    expect(test.machine.locks).toMatchObject({ size: 1, due: 2 })
    // Free for the next one, and for nobody else.
    expect(other.take('y', 'r3', { waits: false })).toMatchObject({ kind: 'held', token: 0 })
    test.apply({ kind: 'lock-grant' })
    expect(test.machine.locks).toMatchObject({ size: 3, due: 0 })
    const tokens = [...test.machine.locks.all()].map(({ token }) => token)
    expect(new Set(tokens).size).toBe(3)
  })

  it('gives what it offers with a time to live only to who is still there', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    owner.take('l', 'r1')
    owner.take('l', 'r2', { ttlMs: 60_000 })
    owner.take('l', 'r3', { ttlMs: 60_000 })
    release(test, 'l')
    const { token = 0, ttlMs } = test.machine.locks.get('l') ?? {}
    expect(test.machine.locks.get('l')).toMatchObject({ requestId: 'r2', isOffered: true, session: null })
    expect(ttlMs).toBe(limits.lockOfferMs)
    expect(test.apply({ kind: 'lock-renew', name: 'l', token, ttlMs: 60_000 })).toMatchObject({ kind: 'stale' })
    test.apply({ kind: 'lock-expire', name: 'l', token, renewal: 0 })
    expect(owner.take('l', 'r3', { ttlMs: 60_000 })).toMatchObject({ kind: 'granted', ttlMs: 60_000 })
    expect(test.machine.locks.get('l')).toMatchObject({ requestId: 'r3', isOffered: false, ttlMs: 60_000, renewal: 1 })
    expect(owner.take('l', 'r2', { ttlMs: 60_000 })).toMatchObject({ kind: 'stale' })
  })

  it('keeps the place of who asks again through another session', () => {
    const test = new TestMachine()
    const [first, second] = [new Owner(test, 'a'), new Owner(test, 'b')]
    first.take('l', 'r1')
    first.take('l', 'r2', { ttlMs: 1_000 })
    second.take('l', 'r3')
    expect(second.take('l', 'r2', { ttlMs: 1_000 })).toMatchObject({ kind: 'queued', position: 1 })
    first.end()
    expect(holders(test, 'l')).toEqual(['r2'])
    expect(queue(test, 'l')).toEqual(['r3'])
  })

  it('holds a bounded number of requests', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    owner.take('l', 'first')
    for (let at = 0; at < limits.maxLockWaiters; at++) owner.take('l', `r${at}`)
    expect(owner.take('l', 'one more')).toMatchObject({ kind: 'refused', code: 'RAFT_BUSY' })
    expect(owner.take('other', 'one more')).toMatchObject({ kind: 'granted' })
    owner.end()
    expect(test.machine.locks).toMatchObject({ size: 0, waiters: 0, due: 0 })
  })

  it('is for sessions: a time to live alone waits for nothing', () => {
    const test = new TestMachine()
    for (const more of [{}, { waits: true }, { ttlMs: 1_000, waits: true }, { ttlMs: 1_000, permits: 2 }]) {
      expect(test.apply({ kind: 'lock-acquire', name: 'l', owner: 'o', requestId: 'r', ...more }))
        .toMatchObject({ kind: 'refused', code: 'RAFT_MALFORMED_COMMAND' })
    }
  })
})

describe('locks that are shared', () => {
  it('readers share, a writer is alone, and neither starves', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    const take = (requestId: string, permits: number): Answer => owner.take('l', requestId, { pool: 'read-write', permits })
    take('read 1', 1)
    take('read 2', 1)
    take('write', limits.maxPermits)
    take('read 3', 1)
    take('read 4', 1)
    expect(holders(test, 'l', 'read-write')).toEqual(['read 1', 'read 2'])
    for (const token of [2, 3]) test.apply({ kind: 'lock-release', pool: 'read-write', name: 'l', token })
    expect(holders(test, 'l', 'read-write')).toEqual(['write'])
    test.apply({ kind: 'lock-release', pool: 'read-write', name: 'l', token: 8 })
    expect(holders(test, 'l', 'read-write')).toEqual(['read 3'])
    test.apply({ kind: 'lock-grant' })
    expect(holders(test, 'l', 'read-write')).toEqual(['read 3', 'read 4'])
    expect(owner.take('l', 'lock')).toMatchObject({ kind: 'granted' })
  })

  it('a semaphore has as many permits as the latest call says', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    const take = (requestId: string, capacity: number, permits = 1): Answer =>
      owner.take('s', requestId, { pool: 'semaphore', capacity, permits })
    expect(take('r1', 2)).toMatchObject({ kind: 'granted' })
    expect(take('r2', 2)).toMatchObject({ kind: 'granted' })
    expect(take('r3', 2)).toMatchObject({ kind: 'queued' })
    expect(take('r4', 3)).toMatchObject({ kind: 'queued', position: 2 })
    expect(holders(test, 's', 'semaphore')).toEqual(['r1', 'r2', 'r3'])
    expect(take('r5', 1)).toMatchObject({ kind: 'queued' })
    test.apply({ kind: 'lock-release', pool: 'semaphore', name: 's', token: 2 })
    expect(holders(test, 's', 'semaphore')).toEqual(['r2', 'r3'])
    expect(take('r6', 4, 5)).toMatchObject({ kind: 'refused' })
  })

  it('C: are neither renewed nor released by the token of a lock of the same name', () => {
    const test = new TestMachine()
    const owner = new Owner(test, 'a')
    owner.take('l', 'r1')
    owner.take('l', 'r1', { pool: 'semaphore', capacity: 1 })
    expect(test.apply({ kind: 'lock-release', name: 'l', token: 3 })).toEqual({ kind: 'stale', name: 'l' })
    expect(test.apply({ kind: 'lock-release', pool: 'semaphore', name: 'l', token: 2 })).toEqual({ kind: 'stale', name: 'l' })
    expect(test.machine.locks.size).toBe(2)
  })
})

describe('a snapshot of locks', () => {
  it('has the version that older releases read, unless it needs another', () => {
    const test = new TestMachine()
    test.acquire('l', 'r1')
    expect(test.machine.locks.version).toBe(1)
    new Owner(test, 'a').take('other', 'r2')
    expect(test.machine.locks.version).toBe(2)
  })
})
