import { describe, expect, it } from 'vitest'
import { ProcessSession, processSession } from '../../../src/plugin/primitives/process-session.ts'
import { startSessionExpiry } from '../../../src/plugin/primitives/session-expiry.ts'
import { settle } from '../../support/manual-clock.ts'
import type { TestNode } from './support/primitives.ts'
import { startTestCluster } from './support/primitives.ts'

function openSessions ({ machine }: TestNode): number[] {
  return [...machine.sessions.all()].map(({ id }) => id)
}

describe('the session of a process', () => {
  it('is one for all that asks for it, opened when it is needed first', async () => {
    const { node } = startTestCluster()
    expect(processSession(node(0)).current).toBeNull()
    expect(openSessions(node(0))).toEqual([])
    const [one, two] = await Promise.all([processSession(node(0)).open(), processSession(node(0)).open()])
    expect(one).toBe(two)
    expect(await processSession(node(0)).open()).toBe(one)
    expect(openSessions(node(0))).toEqual([one.id])
    expect(node(0).machine.sessions.get(one.id)).toMatchObject({ owner: 'n1', ttlMs: 10_000 })
  })

  it('lives as long as its process beats, over changes of leader', async () => {
    const { cluster, node, advance } = startTestCluster(3)
    for (const at of [0, 1, 2]) startSessionExpiry(node(at))
    const session = await processSession(node(1)).open()
    for (let round = 0; round < 6; round++) {
      await advance(9_000)
      cluster.lead(round % 3)
    }
    expect(session.signal.aborted).toBe(false)
    expect(session.expiresInMs).toBeGreaterThan(5_000)
    expect(openSessions(node(0))).toEqual([session.id])
  })

  it('writes one entry for each third of its time to live', async () => {
    const { node, advance } = startTestCluster()
    await processSession(node(0)).open()
    const before = node(0).engine.status().lastIndex
    await advance(60_000)
    expect(node(0).engine.status().lastIndex - before).toBeGreaterThanOrEqual(17)
    expect(node(0).engine.status().lastIndex - before).toBeLessThanOrEqual(18)
  })

  it('is lost by its own clocks before the cluster ends it, and the next one is another', async () => {
    const { node, advance } = startTestCluster(2)
    startSessionExpiry(node(0))
    const session = await processSession(node(1)).open()
    node(1).engine.isCutOff = true
    await advance(9_850)
    expect(session.expiresInMs).toBeGreaterThan(0)
    await advance(100)
    expect(session.expiresInMs).toBe(0)
    expect(session.signal.reason).toMatchObject({ code: 'RAFT_SESSION_LOST' })
    expect(openSessions(node(0))).toEqual([session.id])
    await advance(200)
    expect(openSessions(node(0))).toEqual([])
    node(1).engine.heal()
    const next = await processSession(node(1)).open()
    expect(next.id).toBeGreaterThan(session.id)
    expect(openSessions(node(0))).toEqual([next.id])
  })

  it('a process that was paused learns on waking that it lost, before any timer runs', async () => {
    const { node } = startTestCluster()
    const session = await processSession(node(0)).open()
    node(0).clock.block(10_000)
    expect(session.expiresInMs).toBe(0)
    expect(processSession(node(0)).current).toBeNull()
    // A suspended machine, whose monotonic clock stood still.
    const other = startTestCluster().node(0)
    const suspended = await processSession(other).open()
    other.clock.moveWall(10_000)
    expect(suspended.expiresInMs).toBe(0)
  })

  it('beats again soon after a beat was lost', async () => {
    const { node, advance } = startTestCluster(2)
    startSessionExpiry(node(0))
    const session = await processSession(node(1)).open()
    for (const fate of ['busy', 'dropped', 'lost-answer', 'late'] as const) {
      node(1).engine.fate = fate
      await advance(8_000)
      node(1).engine.fate = 'applied'
      await advance(2_000)
      node(1).engine.deliverLate()
    }
    expect(session.signal.aborted).toBe(false)
    expect(openSessions(node(0))).toEqual([session.id])
  })

  it('is not kept alive by a beat that was sent long before it arrived', async () => {
    const { node } = startTestCluster()
    const session = await processSession(node(0)).open()
    node(0).engine.fate = 'held'
    await node(0).clock.advance(3_400)
    node(0).clock.block(5_000)
    node(0).engine.deliverLate()
    await settle()
    expect(session.expiresInMs).toBeGreaterThan(4_000)
    expect(session.expiresInMs).toBeLessThan(5_000)
  })

  it('tells its owner when the cluster has ended it', async () => {
    const { node } = startTestCluster(2)
    const session = await new ProcessSession({ ...node(0), incarnation: 'log' }).open()
    const next = await new ProcessSession({ ...node(0), incarnation: 'log' }).open()
    await settle()
    expect(session.signal.reason).toMatchObject({ code: 'RAFT_SESSION_LOST' })
    expect(session.expiresInMs).toBe(0)
    expect(openSessions(node(1))).toEqual([next.id])
  })

  it('ends at once when its process needs it no more, and leaves no timer behind', async () => {
    const { node } = startTestCluster()
    const session = await processSession(node(0)).open()
    await processSession(node(0)).end()
    expect(openSessions(node(0))).toEqual([])
    expect(session.expiresInMs).toBe(0)
    expect(node(0).clock.timers).toBe(0)
  })

  it('does not open when nobody leads, nor on a node that is closed', async () => {
    const { node } = startTestCluster()
    node(0).engine.isCutOff = true
    await expect(processSession(node(0)).open()).rejects.toMatchObject({ code: 'RAFT_NO_LEADER' })
    const closed = { ...startTestCluster().node(0), closed: AbortSignal.abort() }
    await expect(processSession(closed).open()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
  })

  it('keeps nobody waiting for longer than asked for', async () => {
    const { node } = startTestCluster()
    node(0).engine.fate = 'held'
    const waiting = processSession(node(0)).open({ timeoutMs: 100 })
    const aborted = processSession(node(0)).open({ signal: AbortSignal.timeout(0) })
    const outcomes = Promise.allSettled([waiting, aborted])
    await settle()
    await node(0).clock.advance(200)
    expect(await outcomes).toMatchObject([{ reason: { code: 'RAFT_NO_LEADER' } }, { reason: { name: 'TimeoutError' } }])
  })
})
