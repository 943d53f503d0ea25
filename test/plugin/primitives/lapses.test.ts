import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Coordinator } from '../../../src/plugin/cluster/coordinator.ts'
import type { LeadershipGrant } from '../../../src/plugin/primitives/grant.ts'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { createSingleton } from '../../../src/plugin/primitives/singleton.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'
import { untilAborted } from './support/primitives.ts'
import type { RealNode } from './support/real-cluster.ts'
import { leaderOf, startRealCluster } from './support/real-cluster.ts'

/** A lease of 267 ms, and long enough until the next leader for a stall on a busy machine. */
const timing = { heartbeatMs: 100, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 3_000 }

/** Blocks the event loop of all nodes: no message, no timer. */
function stall (forMs: number): void {
  const endMs = performance.now() + forMs
  while (performance.now() < endMs);
}

function coordinatorOf (node: RealNode): Coordinator {
  return new Coordinator({
    nodeId: node.id,
    clusterId: 'test',
    context: node,
    control: node.engine,
    ownOrigin: () => null,
    ownUrl: '',
    memberReach: { anywhere: false, onlyHttps: false },
    joiner: null,
    handOverAfterMs: 1_000,
    auditLogger: new MemoryLogger(),
    hasStarted: () => true,
    leave: () => Promise.reject(new Error('only a node of an application can leave')),
    drain: () => Promise.resolve()
  })
}

describe('lapses of the lease in one term', () => {
  let nodes: RealNode[] = []
  beforeEach(async () => { nodes = await startRealCluster(3, timing) })
  afterEach(async () => { await Promise.all(nodes.map((node) => node.close())) })

  it('D26: suspend the leadership and end no work under it', async () => {
    const leader = await leaderOf(nodes)
    const { engine } = leader
    const grants: LeadershipGrant[] = []
    const singleton = createSingleton(leader, 's', async (signal, grant) => {
      grants.push(grant)
      await untilAborted(signal)
    })
    await until('the run', () => grants.length === 1)
    const before = engine.currentLeadership()
    const told: boolean[] = []
    engine.events.on('lease', (isHeld) => { told.push(isHeld) })
    for (let round = 0; round < 5; round++) {
      stall(600)
      expect(engine.currentLeadership()).toBeNull()
      expect(() => { grants[0]?.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LEADERSHIP_LOST' }))
      await until('the lease is back', () => engine.currentLeadership() !== null)
      expect(grants.map(({ signal }) => signal.aborted)).toEqual([false])
      await until('that is told', () => told.filter(Boolean).length === round + 1)
    }
    expect(engine.currentLeadership()).toEqual(before)
    expect(grants.map(({ signal }) => signal.aborted)).toEqual([false])
    grants[0]?.check()
    await singleton.stop()
  })

  it('D26: are no loss for work that ends behind one, since a majority is asked', async () => {
    const leader = await leaderOf(nodes)
    const cluster = coordinatorOf(leader)
    const { token } = leader.engine.currentLeadership() ?? { token: 0 }
    const result = await cluster.executeIfLeader(() => {
      stall(600)
      return 'done'
    })
    expect(result).toEqual({ status: 'completed', value: 'done', token: String(token) })
    cluster.close()
  })

  it('D26: do not keep a leader that leaves from handing over', async () => {
    const leader = await leaderOf(nodes)
    await until('the others know it', () => nodes.every(({ engine }) => engine.leader()?.id === leader.id))
    stall(600)
    expect(leader.engine.currentLeadership()).toBeNull()
    await leader.engine.handOver()
    expect(leader.engine.leader()?.id).toMatch(/^n[1-3]$/)
    expect(leader.engine.leader()?.id).not.toBe(leader.id)
  })

  it('D26: leave the count of a lock whose holder is gone as it is', async () => {
    const leader = await leaderOf(nodes)
    const [holder] = nodes.filter((node) => node !== leader) as [RealNode]
    await createLock(holder, 'l').acquire({ ttlMs: 2_000 })
    await holder.close()
    const { token } = leader.engine.currentLeadership() ?? { token: 0 }
    // A second of leadership after each stall is less than the lock's time: a count that started anew would never end.
    let stalls = 0
    while (leader.machine.locks.get('l') !== undefined && stalls < 15) {
      stall(600)
      stalls++
      await until('the lease is back', () => leader.engine.currentLeadership() !== null)
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    expect(stalls).toBeLessThan(15)
    expect(leader.engine.currentLeadership()?.token).toBe(token)
  })
})
