import { describe, expect, it } from 'vitest'
import { startDueGrants } from '../../../src/plugin/primitives/due-grants.ts'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { startLockExpiry } from '../../../src/plugin/primitives/lock-expiry.ts'
import { createReadWriteLock, createSemaphore } from '../../../src/plugin/primitives/lock-kinds.ts'
import { processSession } from '../../../src/plugin/primitives/process-session.ts'
import { startSessionExpiry } from '../../../src/plugin/primitives/session-expiry.ts'
import { settle } from '../../support/manual-clock.ts'
import type { TestCluster, TestNode } from './support/primitives.ts'
import { startTestCluster } from './support/primitives.ts'

/** A cluster whose nodes end what is over, as those of an application do. */
function startCluster (size: number): TestCluster {
  const test = startTestCluster(size)
  for (const node of test.nodes) {
    startLockExpiry(node)
    startSessionExpiry(node)
    startDueGrants(node)
  }
  return test
}

function waitersOf ({ machine }: TestNode, name: string): number {
  return machine.locks.look({ name }).waiting.length
}

describe('a lock that the session owns', () => {
  it('is held for as long as the process lives, without an entry of its own', async () => {
    const { cluster, node, advance } = startCluster(2)
    const grants = await Promise.all(Array.from({ length: 50 }, (_, at) => createLock(node(1), `l${at}`).acquire()))
    const entries = cluster.log.length
    await advance(60_000)
    // Beats of one session.
    expect(cluster.log.length - entries).toBeLessThanOrEqual(18)
    for (const grant of grants) grant.check()
  })

  it('goes to the next who waits when its process is gone', async () => {
    const { node, advance } = startCluster(2)
    const grant = await createLock(node(1), 'l').acquire()
    const next = createLock(node(0), 'l').acquire({ timeoutMs: 60_000 })
    node(1).engine.isCutOff = true
    await advance(9_950)
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
    expect(grant.signal.reason).toMatchObject({ code: 'RAFT_LOCK_LOST' })
    expect(waitersOf(node(0), 'l')).toBe(1)
    await advance(200)
    expect(Number((await next).token)).toBeGreaterThan(Number(grant.token))
  })

  it('tells who was paused on waking, before any timer runs, and reports the loss of what ran under it', async () => {
    const { node } = startCluster(1)
    const work = createLock(node(0), 'l').using((grant) => {
      node(0).clock.block(10_000)
      expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
      return 'it ignored that'
    })
    await expect(work).rejects.toMatchObject({ code: 'RAFT_LOCK_LOST' })
  })

  it('goes on when its process closes in order', async () => {
    const { node } = startCluster(2)
    await createLock(node(1), 'l').acquire()
    await processSession(node(1)).end()
    ;(await createLock(node(0), 'l').tryAcquire())?.check()
    expect(node(0).machine.locks.get('l')?.owner).toBe('n1')
  })
})

describe('who waits for a lock', () => {
  it('is served in the order of arrival, across nodes', async () => {
    const { node } = startCluster(3)
    const served: number[] = []
    const first = await createLock(node(0), 'l').acquire()
    const all = Array.from({ length: 30 }, async (_, at) => {
      // One after the other, so that there is an order.
      await settleTimes(at)
      await createLock(node(at % 3), 'l').using(() => { served.push(at) })
    })
    await settleTimes(40)
    expect(waitersOf(node(0), 'l')).toBe(30)
    await first.release()
    await Promise.all(all)
    expect(served).toEqual([...served].sort((one, other) => one - other))
  })

  it('leaves the queue when its time is over, with another error than a lost lock', async () => {
    const { node, advance } = startCluster(2)
    const first = await createLock(node(0), 'l').acquire()
    const late = createLock(node(1), 'l').acquire({ timeoutMs: 1_000 })
    const next = createLock(node(0), 'l').acquire({ timeoutMs: 60_000 })
    const refused = expect(late).rejects.toMatchObject({ code: 'RAFT_LOCK_HELD', cause: { code: 'RAFT_TIMEOUT' } })
    await advance(1_100)
    await refused
    expect(waitersOf(node(0), 'l')).toBe(1)
    await first.release()
    ;(await next).check()
  })

  it('leaves the queue when its signal aborts', async () => {
    const { node } = startCluster(2)
    const first = await createLock(node(0), 'l').acquire()
    const leaving = new AbortController()
    const waiting = createLock(node(1), 'l').acquire({ signal: leaving.signal })
    await settle()
    expect(waitersOf(node(0), 'l')).toBe(1)
    leaving.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await settle()
    expect(waitersOf(node(0), 'l')).toBe(0)
    await first.release()
    expect(node(0).machine.locks.size).toBe(0)
  })

  it('leaves the queue with its session, and is told', async () => {
    const { node, advance } = startCluster(2)
    const first = await createLock(node(0), 'l').acquire()
    const waiting = createLock(node(1), 'l').acquire({ timeoutMs: 60_000 })
    const refused = expect(waiting).rejects.toMatchObject({ code: 'RAFT_SESSION_LOST' })
    await settle()
    node(1).engine.isCutOff = true
    await advance(10_100)
    await refused
    expect(waitersOf(node(0), 'l')).toBe(0)
    first.check()
  })

  it('with a time to live has its whole time from its turn on', async () => {
    const { node, advance } = startCluster(2)
    const first = await createLock(node(0), 'l').acquire()
    const waiting = createLock(node(1), 'l').acquire({ ttlMs: 30_000, timeoutMs: 60_000 })
    await advance(20_000)
    await first.release()
    const grant = await waiting
    expect(grant.expiresInMs).toBeGreaterThan(29_000)
    expect(node(0).machine.locks.get('l')).toMatchObject({ isOffered: false, ttlMs: 30_000 })
    await advance(60_000)
    grant.check()
  })

  it('all get what a dead process held, each with a token of its own', async () => {
    const { node, advance } = startCluster(3)
    const names = Array.from({ length: 40 }, (_, at) => `l${at}`)
    await Promise.all(names.map((name) => createLock(node(1), name).acquire()))
    const waiting = names.map((name) => createLock(node(2), name).acquire({ timeoutMs: 60_000 }))
    await settle()
    node(1).engine.isCutOff = true
    await advance(10_200)
    const tokens = (await Promise.all(waiting)).map(({ token }) => token)
    expect(new Set(tokens).size).toBe(40)
  })
})

describe('a reentrant lock', () => {
  it('runs work inside of work under the same grant, where both say so', async () => {
    const { node } = startCluster(1)
    const lock = createLock(node(0), 'l')
    const tokens = await lock.using(async (outer) => {
      const inner = await createLock(node(0), 'l').using((grant) => grant.token, { reentrant: true })
      outer.check()
      return [outer.token, inner]
    }, { reentrant: true })
    expect(tokens[0]).toBe(tokens[1])
    expect(node(0).machine.locks.size).toBe(0)
    await expect(lock.using(async () => await lock.acquire({ timeoutMs: 0 }), { reentrant: true }))
      .rejects.toMatchObject({ code: 'RAFT_LOCK_HELD' })
  })

  it('is none for other work, nor for other locks', async () => {
    const { node } = startCluster(1)
    await createLock(node(0), 'l').using(async (grant) => {
      const other = await createLock(node(0), 'other').using(({ token }) => token, { reentrant: true })
      expect(other).not.toBe(grant.token)
    }, { reentrant: true })
    const around = createLock(node(0), 'l').using(async () => await settleTimes(5), { reentrant: true })
    const outside = createLock(node(0), 'l').using(() => 'done', { reentrant: true, timeoutMs: 0 })
    await expect(outside).rejects.toMatchObject({ code: 'RAFT_LOCK_HELD' })
    await around
  })
})

describe('a read-write lock', () => {
  it('lets readers in together and writers alone', async () => {
    const { node } = startCluster(2)
    const [one, other] = [createReadWriteLock(node(0), 'l'), createReadWriteLock(node(1), 'l')]
    const readers = [await one.read.acquire(), await other.read.acquire()]
    expect(await one.write.tryAcquire()).toBeNull()
    const writing = other.write.acquire()
    await settle()
    expect(await one.read.tryAcquire()).toBeNull()
    for (const reader of readers) await reader.release()
    const writer = await writing
    const reading = [one.read.acquire(), other.read.acquire()]
    await writer.release()
    for (const reader of await Promise.all(reading)) reader.check()
  })
})

describe('a semaphore', () => {
  it('lets in as many as it has permits, in the whole cluster', async () => {
    const { node } = startCluster(3)
    let inside = 0
    let most = 0
    await Promise.all(Array.from({ length: 12 }, (_, at) => createSemaphore(node(at % 3), 's', { permits: 3 }).using(async () => {
      most = Math.max(most, ++inside)
      await settleTimes(2)
      inside--
    })))
    expect(most).toBe(3)
  })

  it.each([[{ permits: 0 }], [{ permits: 1_000_001 }], [{ permits: 2, takes: 3 }], [{ permits: 1.5 }]])('is none with %o', (options) => {
    const { node } = startCluster(1)
    expect(() => createSemaphore(node(0), 's', options)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
  })
})

async function settleTimes (times: number): Promise<void> {
  for (let time = 0; time < times; time++) await settle()
}
