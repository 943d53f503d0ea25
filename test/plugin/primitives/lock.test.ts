import { describe, expect, it } from 'vitest'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { startLockExpiry } from '../../../src/plugin/primitives/lock-expiry.ts'
import type { LockGrant } from '../../../src/plugin/primitives/lock-grant.ts'
import { systemTimers } from '../../../src/raft/runtime/timers.ts'
import { settle } from '../../support/manual-clock.ts'
import { startTestCluster } from './support/primitives.ts'

function granted (grant: LockGrant | null): LockGrant {
  if (grant === null) throw new Error('the lock is held')
  return grant
}

describe('lock', () => {
  it('has one holder at a time in the whole cluster, with rising tokens', async () => {
    const { cluster, node } = startTestCluster(3)
    let last = 0
    for (let round = 0; round < 9; round++) {
      const grant = granted(await createLock(node(round % 3), 'l').tryAcquire())
      expect(Number(grant.token)).toBeGreaterThan(last)
      last = Number(grant.token)
      for (const other of [0, 1, 2]) expect(await createLock(node(other), 'l').tryAcquire()).toBeNull()
      cluster.lead((round + 1) % 3)
      grant.check()
      await grant.release()
    }
  })

  it('tells who holds it, and for how long at least', async () => {
    const { node } = startTestCluster()
    const grant = granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 1_010, owner: 'me' }))
    expect(grant).toMatchObject({ name: 'l', owner: 'me', token: '2' })
    expect(grant.expiresInMs).toBeCloseTo(1_000)
    node(0).clock.block(400)
    expect(grant.expiresInMs).toBeCloseTo(600)
    expect(granted(await createLock(node(0), 'other').tryAcquire()).owner).toBe('n1')
  })

  it('counts its time from before the request was sent', async () => {
    const { node } = startTestCluster()
    const { engine, clock } = node(0)
    engine.fate = 'held'
    const pending = createLock(node(0), 'l').tryAcquire({ ttlMs: 1_010 })
    await settle()
    clock.block(300)
    engine.fate = 'applied'
    engine.deliverLate()
    expect(granted(await pending).expiresInMs).toBeCloseTo(700)
  })

  it('gives up a grant that arrives after its time', async () => {
    const { node } = startTestCluster()
    const { engine, clock, machine } = node(0)
    engine.fate = 'held'
    const pending = createLock(node(0), 'l').tryAcquire({ ttlMs: 1_000 })
    await settle()
    clock.block(1_001)
    engine.fate = 'applied'
    engine.deliverLate()
    await expect(pending).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
    await settle()
    expect(machine.locks.get('l')).toBeUndefined()
  })

  it('gives out functions that work by themselves', async () => {
    const { node } = startTestCluster()
    const { check, release } = granted(await createLock(node(0), 'l').tryAcquire())
    check()
    await release()
    expect(check).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
  })

  it('is not held after release, and reports that', async () => {
    const { node } = startTestCluster()
    const grant = granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 10_000 }))
    const release = grant.release()
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
    await release
    await grant.release()
    expect(grant.expiresInMs).toBe(0)
    expect(grant.signal.aborted).toBe(false)
    expect(node(0).clock.timers).toBe(0)
    expect(await createLock(node(0), 'l').tryAcquire()).not.toBeNull()
  })

  it('C: an earlier holder cannot release the lock of the next holder', async () => {
    const { node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    const old = granted(await createLock(node(1), 'l').tryAcquire({ ttlMs: 1_000 }))
    node(1).engine.isCutOff = true
    await advance(1_500)
    const next = granted(await createLock(node(0), 'l').tryAcquire())
    node(1).engine.heal()
    await expect(old.release()).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST', statusCode: 412 })
    await settle()
    next.check()
    expect(node(0).machine.locks.get('l')?.token).toBe(Number(next.token))
  })

  it('renews itself for as long as it is held', async () => {
    const { node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    const grant = granted(await createLock(node(1), 'l').tryAcquire({ ttlMs: 300 }))
    await advance(10_000)
    grant.check()
    expect(grant.signal.aborted).toBe(false)
    expect(node(0).machine.locks.get('l')?.renewal).toBeGreaterThan(30)
    await grant.release()
    const entries = node(0).engine.status().lastIndex
    await advance(1_000)
    expect(node(0).engine.status().lastIndex).toBe(entries)
  })

  it('keeps its lock over refusals and unknown outcomes that pass in time', async () => {
    const { node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    const grant = granted(await createLock(node(1), 'l').tryAcquire({ ttlMs: 3_000 }))
    for (const fate of ['busy', 'dropped', 'lost-answer'] as const) {
      node(1).engine.fate = fate
      await advance(2_200)
      node(1).engine.fate = 'applied'
      await advance(2_200)
      grant.check()
    }
    expect(grant.signal.aborted).toBe(false)
  })

  it('is lost when renewals fail, before the cluster grants it to the next holder', async () => {
    const { node, advance } = startTestCluster(2)
    startLockExpiry(node(0))
    const grant = granted(await createLock(node(1), 'l').tryAcquire({ ttlMs: 1_000 }))
    const waiting = createLock(node(0), 'l').acquire({ timeoutMs: 5_000 })
    let lostAtMs = 0
    grant.signal.addEventListener('abort', () => { lostAtMs = node(1).clock.monotonicMs() })
    let nextAtMs = 0
    const next = waiting.then((nextGrant) => {
      nextAtMs = node(0).clock.monotonicMs()
      return nextGrant
    })
    node(1).engine.isCutOff = true
    await advance(3_000)
    expect((await next).token > grant.token).toBe(true)
    expect(lostAtMs).toBeGreaterThan(0)
    expect(lostAtMs).toBeLessThan(nextAtMs)
    expect(grant.signal.reason).toMatchObject({ code: 'RAFT_LOCK_LOST' })
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
  })

  it('is lost behind a blocked event loop before any signal fires', async () => {
    const { node } = startTestCluster()
    const grant = granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 1_000 }))
    node(0).clock.block(1_000)
    expect(grant.signal.aborted).toBe(false)
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
    expect(grant.expiresInMs).toBe(0)
    await node(0).clock.advance(0)
    expect(grant.signal.aborted).toBe(true)
  })

  it('is lost after a suspend, during which the monotonic clock stood still', async () => {
    const { node } = startTestCluster()
    const grant = granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 1_000 }))
    node(0).clock.moveWall(60_000)
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
    const other = granted(await createLock(node(0), 'other').tryAcquire({ ttlMs: 1_000 }))
    node(0).clock.moveWall(-60_000)
    other.check()
  })

  it('is lost when an entry of the log ends it', async () => {
    const { node } = startTestCluster()
    const grant = granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 10_000 }))
    const { token, renewal } = node(0).machine.locks.get('l') ?? { token: 0, renewal: 0 }
    await node(0).engine.propose(Buffer.from(JSON.stringify({ kind: 'lock-expire', name: 'l', token, renewal })))
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
    await settle()
    expect(grant.signal.reason).toMatchObject({ code: 'RAFT_LOCK_LOST' })
    expect(node(0).clock.timers).toBe(0)
  })

  it('waits for release without polling', async () => {
    const { cluster, node, advance } = startTestCluster(2)
    const first = granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 3_600_000 }))
    const waiting = createLock(node(1), 'l').acquire({ timeoutMs: 60_000 })
    await settle()
    const entries = cluster.log.length
    await advance(30_000)
    // The beats of the session of the node that waits.
    expect(cluster.log).toHaveLength(entries + 8)
    await first.release()
    const second = await waiting
    expect(Number(second.token)).toBeGreaterThan(Number(first.token))
  })

  it('does not sleep through a release that comes between the answer "held" and the wait', async () => {
    const { node } = startTestCluster(2)
    const first = granted(await createLock(node(0), 'l').tryAcquire())
    const waiting = createLock(node(1), 'l').acquire({ timeoutMs: 60_000 })
    await Promise.all([first.release(), waiting])
    ;(await waiting).check()
  })

  it('goes to each of many waiters, one after the other', async () => {
    const { node } = startTestCluster(3)
    let holders = 0
    let most = 0
    const tokens: number[] = []
    await Promise.all(Array.from({ length: 12 }, (_, at) => createLock(node(at % 3), 'l').using(async (grant) => {
      most = Math.max(most, ++holders)
      tokens.push(Number(grant.token))
      await settle()
      holders--
    })))
    expect(most).toBe(1)
    expect(tokens).toHaveLength(12)
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b))
  })

  it('stops waiting after the timeout', async () => {
    const { node } = startTestCluster()
    granted(await createLock(node(0), 'l').tryAcquire({ ttlMs: 3_600_000 }))
    const waiting = createLock(node(0), 'l').acquire({ timeoutMs: 500 })
    const outcome = expect(waiting).rejects.toMatchObject({
      code: 'RAFT_LOCK_HELD',
      statusCode: 409,
      cause: { code: 'RAFT_TIMEOUT' }
    })
    await settle()
    await node(0).clock.advance(500)
    await outcome
    await expect(createLock(node(0), 'l').acquire({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'RAFT_LOCK_HELD' })
  })

  it('stops waiting when the signal aborts, and leaves nothing behind', async () => {
    const { node } = startTestCluster()
    const holder = granted(await createLock(node(0), 'l').tryAcquire())
    const timers = node(0).clock.timers
    const controller = new AbortController()
    const waiting = createLock(node(0), 'l').acquire({ timeoutMs: 500, signal: controller.signal })
    await settle()
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(node(0).clock.timers).toBe(timers)
    await holder.release()
    expect(node(0).machine.locks.get('l')).toBeUndefined()
    await expect(createLock(node(0), 'l').tryAcquire({ signal: controller.signal })).rejects.toThrow('enough')
  })

  it.each(['lost-answer', 'late'] as const)('undoes an attempt of unknown outcome (%s)', async (fate) => {
    const { node } = startTestCluster()
    const { engine, machine } = node(0)
    engine.fate = fate
    const pending = createLock(node(0), 'l').tryAcquire({ ttlMs: 3_600_000 })
    pending.catch(() => { engine.fate = 'applied' })
    await expect(pending).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    await settle()
    engine.fate = 'applied'
    engine.deliverLate()
    await settle()
    expect(machine.locks.get('l')).toBeUndefined()
    expect(await createLock(node(0), 'l').tryAcquire()).not.toBeNull()
  })

  it('undoes an attempt that was aborted while under way, although it arrives only after its undoing', async () => {
    const { node } = startTestCluster()
    const { engine, machine } = node(0)
    const controller = new AbortController()
    engine.fate = 'held'
    const pending = createLock(node(0), 'l').tryAcquire({ signal: controller.signal })
    await settle()
    engine.fate = 'applied'
    controller.abort(new Error('enough'))
    await expect(pending).rejects.toThrow('enough')
    await settle()
    engine.deliverLate()
    await settle()
    expect(machine.locks.get('l')).toBeUndefined()
  })

  it('logs when an attempt cannot be undone, and throws nothing unhandled', async () => {
    const { node } = startTestCluster()
    node(0).engine.fate = 'dropped'
    await expect(createLock(node(0), 'l').tryAcquire()).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    await settle()
    expect(node(0).logger.messages('warn')).toHaveLength(1)
  })

  it('does not undo an attempt that was not executed', async () => {
    const { cluster, node } = startTestCluster()
    node(0).engine.fate = 'busy'
    await expect(createLock(node(0), 'l').tryAcquire()).rejects.toMatchObject({ code: 'RAFT_BUSY' })
    node(0).engine.isCutOff = true
    await expect(createLock(node(0), 'l').acquire({ timeoutMs: 5 })).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    await settle()
    expect(cluster.log).toHaveLength(1)
    expect(node(0).logger.lines).toHaveLength(0)
  })

  it('can be released again when the first attempt failed', async () => {
    const { node } = startTestCluster()
    const grant = granted(await createLock(node(0), 'l').tryAcquire())
    node(0).engine.fate = 'lost-answer'
    await expect(grant.release()).rejects.toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    node(0).engine.fate = 'applied'
    await grant.release()
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it.each([{ ttlMs: 99 }, { ttlMs: 3_600_001 }, { ttlMs: 1_000.5 }, { owner: '' }, { owner: 'o'.repeat(201) }])(
    'refuses %j',
    async (options) => {
      await expect(createLock(startTestCluster().node(0), 'l').tryAcquire(options)).rejects.toMatchObject({
        code: 'RAFT_INVALID_OPTIONS'
      })
    }
  )

  it('waits without end, on the timers of the process too', async () => {
    const { node } = startTestCluster()
    const first = granted(await createLock(node(0), 'l').tryAcquire())
    const waiting = createLock({ ...node(0), timers: systemTimers }, 'l').acquire({ timeoutMs: Infinity })
    let waited = true
    waiting.catch(() => { waited = false })
    await new Promise<void>((resolve) => { systemTimers.after(20, resolve) })
    expect(waited).toBe(true)
    await first.release()
    await (await waiting).release()
  })

  it.each(['closes', 'fails'])('ends with the node: waits, renewals and signals, when it %s', async (how) => {
    const { node } = startTestCluster(2)
    const closing = new AbortController()
    const context = { ...node(0), closed: closing.signal }
    const grant = await createLock(context, 'l').acquire({ ttlMs: 3_000 })
    const waiting = createLock(context, 'l').acquire({ timeoutMs: Infinity })
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await settle()
    if (how === 'closes') closing.abort()
    else node(0).engine.events.emit('failed', new Error('the disk is gone'))
    await outcome
    expect(grant.signal.reason).toMatchObject({ code: 'RAFT_STOPPED' })
    expect(node(0).clock.timers).toBe(0)
    // Held by the clocks, and renewed no more.
    grant.check()
    await node(0).clock.advance(2_990)
    expect(node(0).machine.locks.get('l')?.renewal).toBe(0)
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
  })

  it('can be released while the node closes', async () => {
    const { node } = startTestCluster()
    const closing = new AbortController()
    const context = { ...node(0), closed: closing.signal }
    const grant = await createLock(context, 'l').acquire()
    closing.abort()
    await grant.release()
    expect(node(0).machine.locks.get('l')).toBeUndefined()
    expect(node(0).engine.events.listenerCount('failed')).toBe(0)
    const late = createLock(context, 'l')
    const other = await createLock(node(0), 'l').acquire()
    await expect(late.acquire()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await other.release()
  })

  it('refuses an invalid timeout, and leaves nothing to undo', async () => {
    const { cluster, node } = startTestCluster()
    for (const timeoutMs of [-1, NaN]) {
      await expect(createLock(node(0), 'l').tryAcquire({ timeoutMs })).rejects.toMatchObject({
        code: 'RAFT_INVALID_OPTIONS'
      })
      await expect(createLock(node(0), 'l').acquire({ timeoutMs })).rejects.toMatchObject({
        code: 'RAFT_INVALID_OPTIONS'
      })
    }
    await settle()
    expect(cluster.log).toHaveLength(1)
  })

  it('refuses a bad name', () => {
    for (const name of ['', 'l'.repeat(201)]) {
      expect(() => createLock(startTestCluster().node(0), name)).toThrow(
        expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' })
      )
    }
  })
})

describe('lock with automatic release', () => {
  it('using: gives the value and releases', async () => {
    const { node } = startTestCluster()
    expect(await createLock(node(0), 'l').using(async (grant) => { grant.check(); return 42 })).toBe(42)
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it('using: passes on the error of the work unchanged, and releases', async () => {
    const { node } = startTestCluster()
    const fault = new Error('mine')
    await expect(createLock(node(0), 'l').using(() => { throw fault })).rejects.toBe(fault)
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it('using: reports a lock that was lost meanwhile, never success', async () => {
    const { node } = startTestCluster()
    await expect(createLock(node(0), 'l').using(async () => {
      node(0).engine.isCutOff = true
      await node(0).clock.advance(10_000)
      return 'done'
    })).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
  })

  it.each([false, true])('using: looks at the clock before it reports success (cluster out of reach: %s)', async (isCutOff) => {
    const { node } = startTestCluster()
    const signals: AbortSignal[] = []
    await expect(createLock(node(0), 'l').using(({ signal }) => {
      signals.push(signal)
      node(0).engine.isCutOff = isCutOff
      // No timer runs meanwhile, so that nobody has noticed.
      node(0).clock.block(10_000)
      return 'done'
    })).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
    expect(signals.map(({ reason }) => reason as unknown)).toMatchObject([{ code: 'RAFT_LOCK_LOST' }])
  })

  it('release: looks at the clock before it reports success', async () => {
    const { node } = startTestCluster()
    const grant = await createLock(node(0), 'l').acquire({ ttlMs: 1_000 })
    node(0).clock.block(1_000)
    await expect(grant.release()).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
    await settle()
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it('gives up a grant that is not surely held any more when it arrives', async () => {
    const { node } = startTestCluster()
    node(0).engine.fate = 'held'
    const attempt = createLock(node(0), 'l').tryAcquire({ ttlMs: 1_000 })
    const outcome = expect(attempt).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
    await settle()
    // Less than the time to live, and more than what the holder may count on.
    node(0).clock.block(995)
    node(0).engine.fate = 'applied'
    node(0).engine.deliverLate()
    await outcome
    await settle()
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })

  it('using: keeps the value when only the release fails', async () => {
    const { node } = startTestCluster()
    expect(await createLock(node(0), 'l').using(() => {
      node(0).engine.isCutOff = true
      return 'done'
    })).toBe('done')
    expect(node(0).logger.messages('warn')).toEqual(['could not release the lock; it ends by itself'])
  })

  it('await using: releases at the end of the block', async () => {
    const { node } = startTestCluster()
    {
      await using grant = await createLock(node(0), 'l').acquire()
      grant.check()
      expect(node(0).machine.locks.get('l')).toBeDefined()
    }
    expect(node(0).machine.locks.get('l')).toBeUndefined()
  })
})
