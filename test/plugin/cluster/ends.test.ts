import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { LeadershipGrant } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, wholeMembership } from '../support/cluster-of-three.ts'

/** Everything that a leader hands out and that must end with its leadership. */
interface Handed {
  readonly leader: Node
  readonly others: readonly Node[]
  readonly grant: LeadershipGrant
  /** The reasons of all signals, once they have aborted. */
  readonly reasons: () => Promise<unknown[]>
}

async function leaderAtWork (): Promise<Handed> {
  const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, options) })
  const leader = await agreedLeader(nodes)
  const signals: AbortSignal[] = []
  leader.app.cluster.singleton('s', async (signal) => {
    signals.push(signal)
    await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve() }) })
  })
  const work = leader.app.cluster.executeIfLeader(async (signal) => {
    signals.push(signal)
    await new Promise<void>((resolve) => { signal.addEventListener('abort', () => { resolve() }) })
  })
  const grant = await leader.app.cluster.waitForLeadership()
  signals.push(grant.signal)
  await until('all are at work', () => signals.length === 3)
  return {
    leader,
    others: nodes.filter((node) => node !== leader),
    grant,
    reasons: async () => {
      await until('all signals have aborted', () => signals.every(({ aborted }) => aborted), 20_000)
      expect(await work).toMatchObject({ status: 'lost' })
      return [...new Set(signals.map(({ reason }) => (reason as { readonly code: string }).code))].sort()
    }
  }
}

describe('a leadership that ends', () => {
  it('by a transfer says so to all work', async () => {
    const { leader, reasons } = await leaderAtWork()
    await leader.app.cluster.transferLeadership()
    expect(await reasons()).toEqual(['RAFT_HANDOVER', 'RAFT_LEADERSHIP_TRANSFERRED'])
  })

  it('by a step-down says so to all work', async () => {
    const { leader, grant, reasons } = await leaderAtWork()
    await leader.app.cluster.stepDown()
    expect(await reasons()).toEqual(['RAFT_HANDOVER', 'RAFT_LEADERSHIP_LOST'])
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LEADERSHIP_LOST' }))
  })

  it('by the removal of its node says so to all work', async () => {
    const { leader, others, reasons } = await leaderAtWork()
    await wholeMembership([leader, ...others])
    const removal = leader.app.cluster.removeMember(leader.id)
    expect(await reasons()).toEqual(['RAFT_HANDOVER', 'RAFT_NOT_VOTER'])
    await removal.catch(() => {})
  })

  it('for want of a majority says so to all work', async () => {
    const { others, reasons } = await leaderAtWork()
    await Promise.all(others.map(({ app }) => app.close()))
    // A machine that is busy just then looks like one that could not run, which is told by another code. Which of them
    // it is stands with a clock of its own in leadership-watch.test.ts.
    expect([['RAFT_QUORUM_LOST'], ['RAFT_LEASE_LOST']]).toContainEqual(await reasons())
  })
})

describe('a node that closes', () => {
  it('ends all signals and waits that it has handed out, with a reason', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster)
    await app.ready()
    const grant = await app.cluster.waitForLeadership()
    const lock = await app.cluster.lock('l').acquire()
    const acquiring = app.cluster.lock('l').acquire({ timeoutMs: Infinity })
    const reasons: unknown[] = []
    acquiring.catch((error: unknown) => { reasons.push(error) })
    for (const { signal } of [grant, lock]) signal.addEventListener('abort', () => { reasons.push(signal.reason) })
    await app.close()
    expect(reasons).toMatchObject(Array.from({ length: 3 }, () => ({ code: 'RAFT_STOPPED' })))
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_STOPPED' }))
  })
})
