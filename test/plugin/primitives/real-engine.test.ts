import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLock } from '../../../src/plugin/primitives/lock.ts'
import { createMap } from '../../../src/plugin/primitives/map.ts'
import { createSingleton, pauseSingletons } from '../../../src/plugin/primitives/singleton.ts'
import { until } from '../../support/until.ts'
import { untilAborted } from './support/primitives.ts'
import type { RealNode } from './support/real-cluster.ts'
import { leaderOf, startRealCluster } from './support/real-cluster.ts'

describe('primitives on the real engine', () => {
  let nodes: RealNode[] = []
  beforeEach(async () => { nodes = await startRealCluster(3) })
  afterEach(async () => { await Promise.all(nodes.map((node) => node.close())) })

  const others = (...not: RealNode[]): RealNode[] => nodes.filter((node) => !not.includes(node))

  it('a read on any node sees the write through any other', async () => {
    await leaderOf(nodes)
    for (const writer of nodes) {
      const { revision } = await createMap<string>(writer, 'm').set('k', writer.id)
      for (const reader of nodes) {
        expect(await createMap<string>(reader, 'm').get('k')).toEqual({ key: 'k', value: writer.id, revision })
      }
    }
  })

  it('of many that create the same key at once, one wins', async () => {
    await leaderOf(nodes)
    const outcomes = await Promise.allSettled(
      nodes.flatMap((node) =>
        [1, 2, 3, 4].map((n) => createMap(node, 'm').set('k', `${node.id}.${n}`, { ifRevision: 0 }))
      )
    )
    const wins = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    expect(wins).toHaveLength(1)
    expect((await createMap(nodes[0] as RealNode, 'm').get('k'))?.value).toBe(wins[0]?.value.value)
  })

  it('a lock counts up safely from all nodes', async () => {
    await leaderOf(nodes)
    const tokens: number[] = []
    await Promise.all(nodes.flatMap((node) => [1, 2, 3].map(() => createLock(node, 'l').using(async (grant) => {
      const map = createMap<number>(node, 'm')
      const seen = (await map.get('count'))?.value ?? 0
      await map.set('count', seen + 1, { fence: grant.token })
      tokens.push(Number(grant.token))
    }, { timeoutMs: 10_000 }))))
    expect((await createMap<number>(nodes[0] as RealNode, 'm').get('count'))?.value).toBe(9)
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b))
  })

  it('the lock of a node that is gone goes to the next after its time, with a higher token', async () => {
    const leader = await leaderOf(nodes)
    const [holder, waiter] = others(leader) as [RealNode, RealNode]
    const first = await createLock(holder, 'l').acquire({ ttlMs: 600 })
    await holder.close()
    const second = await createLock(waiter, 'l').acquire({ timeoutMs: 5_000 })
    expect(Number(second.token)).toBeGreaterThan(Number(first.token))
    expect(() => { first.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LOCK_LOST' }))
    await expect(createMap(waiter, 'm').set('k', 1, { fence: first.token })).rejects.toMatchObject({
      code: 'RAFT_FENCED'
    })
    await second.release()
  })

  it('a lock outlives the leader that granted it, and its holder keeps renewing', async () => {
    const leader = await leaderOf(nodes)
    const [holder, other] = others(leader) as [RealNode, RealNode]
    const grant = await createLock(holder, 'l').acquire({ ttlMs: 3_000 })
    await leader.close()
    await leaderOf([holder, other])
    const renewals = (): number => other.machine.locks.get('l')?.renewal ?? 0
    const before = renewals()
    await until('a renewal under the new leader', () => renewals() > before)
    expect(await createLock(other, 'l').tryAcquire()).toBeNull()
    grant.check()
    await grant.release()
    await (await createLock(other, 'l').acquire()).release()
  })

  it('a singleton starts with the leadership, and moves with it', async () => {
    const startedMs = new Map<string, number>()
    const ledMs = new Map<string, number>()
    const singletons = nodes.map((node) => {
      node.engine.events.on('leadership', (leadership) => {
        if (leadership !== null) {
          ledMs.set(node.id, performance.now())
        }
      })
      return createSingleton(node, 's', async (signal, grant) => {
        startedMs.set(node.id, performance.now())
        await createMap(node, 'm').set('runner', node.id, { fence: grant.token })
        await untilAborted(signal)
      })
    })
    const first = await leaderOf(nodes)
    await until('the first run', () => startedMs.has(first.id))
    await pauseSingletons(first).known
    await first.close()
    const second = await leaderOf(others(first))
    await until('the second run', () => startedMs.has(second.id))
    for (const id of [first.id, second.id]) {
      // The aim is 100 ms, and it takes 8 to 84 here; beside other work of the machine a start has taken 113.
      expect((startedMs.get(id) ?? Infinity) - (ledMs.get(id) ?? 0)).toBeLessThan(500)
    }
    await until('its write', async () => (await createMap(second, 'm').get('runner'))?.value === second.id)
    await Promise.all(singletons.map((singleton) => singleton.stop()))
  })
})
