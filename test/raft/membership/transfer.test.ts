import { afterEach, describe, expect, it } from 'vitest'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

async function start (size: number) {
  const cluster = new EngineCluster()
  clusters.push(cluster)
  await cluster.start(size)
  return { cluster, leader: await until('a leader', () => cluster.leaders[0]) }
}

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

describe('leadership transfer', () => {
  it('moves leadership to the named member, with a higher token, while writes go on', async () => {
    const { cluster, leader } = await start(3)
    const to = await until('a follower', () => [...cluster.nodes.values()].find((node) => node !== leader))
    const tokenBefore = leader.engine.currentLeadership()?.token ?? 0
    const writes = Array.from({ length: 300 }, async (_, number) => {
      await new Promise((resolve) => setTimeout(resolve, number))
      await cluster.node(`n${number % 3 + 1}`).engine.propose(Buffer.from(`w${number}`))
    })
    await until('some are applied', () => leader.machine.journal.length > 50)
    const next = await leader.engine.transferLeadership(to.id)
    expect(next.id).toBe(to.id)
    expect(leader.engine.currentLeadership()).toBeNull()
    await until('it leads', () => to.engine.currentLeadership() !== null)
    expect(to.engine.currentLeadership()?.token).toBeGreaterThan(tokenBefore)
    await Promise.all(writes)
    await until('all applied', () => [...cluster.nodes.values()].every((node) => node.machine.journal.length === 300))
    expect(new Set(to.machine.journal).size).toBe(300)
  })

  it('picks a successor itself, and hands over before it stops', async () => {
    const { cluster, leader } = await start(3)
    await until('both follow', () =>
      [...cluster.nodes.values()].every((node) => node.engine.leader()?.id === leader.id)
    )
    const { term } = leader.engine.status()
    const others = [...cluster.nodes.values()].filter((node) => node !== leader)
    await leader.close()
    // The successor has taken over by the time the old leader is gone: nobody waited for a timeout.
    expect(others.some((node) => node.engine.leader() !== null && node.engine.status().term === term + 1)).toBe(true)
    await others[0]?.engine.propose(Buffer.from('goes on'))
  })

  it('hands over once before this node leaves; on a follower, or without a successor, that changes nothing', async () => {
    const { cluster, leader } = await start(3)
    await until('both follow', () =>
      [...cluster.nodes.values()].every((node) => node.engine.leader()?.id === leader.id)
    )
    const { term } = leader.engine.status()
    await leader.engine.handOver()
    const next = leader.engine.leader()
    expect(next?.id).not.toBe(leader.id)
    expect(next?.term).toBe(term + 1)
    await leader.engine.handOver()
    expect(leader.engine.status().term).toBe(term + 1)

    const alone = await start(1)
    await alone.leader.engine.handOver()
    expect(alone.leader.engine.currentLeadership()).not.toBeNull()
  })

  it('refuses an unknown target, a follower that is asked, and a target that is gone, and changes nothing', async () => {
    const { cluster, leader } = await start(3)
    const followers = [...cluster.nodes.values()].filter((node) => node !== leader)
    await expect(leader.engine.transferLeadership('nobody')).rejects.toMatchObject({
      code: 'RAFT_UNKNOWN_MEMBER',
      statusCode: 404
    })
    await expect(leader.engine.transferLeadership(leader.id)).rejects.toMatchObject({ code: 'RAFT_UNKNOWN_MEMBER' })
    await expect(followers[0]?.engine.transferLeadership(null)).rejects.toMatchObject({ code: 'RAFT_NOT_LEADER' })
    const [gone] = followers
    await gone?.close()
    await leader.engine.propose(Buffer.from('notices'))
    await until('the loss is noticed', () =>
      leader.engine.transferLeadership(gone?.id ?? '', { timeoutMs: 100 }).then(
        () => false,
        (error: unknown) => (error as { code: string }).code === 'RAFT_MEMBER_LAGGING'
      )
    )
    expect(leader.engine.currentLeadership()).not.toBeNull()
    await leader.engine.propose(Buffer.from('still leads'))
  })

  it('is waited for no longer than the node runs', async () => {
    const { cluster, leader } = await start(3)
    const to = await until('a follower', () => [...cluster.nodes.values()].find((node) => node !== leader))
    await until('it follows', () => to.engine.leader()?.id === leader.id)
    // A target that cannot store its vote takes nothing over.
    to.storage.hang()
    const transfer = leader.engine.transferLeadership(to.id, { timeoutMs: Infinity })
    const outcome = expect(transfer).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await leader.close()
    await outcome
    to.storage.goOn()
  })

  it('steps down without a successor; a node leads again with a higher token', async () => {
    const { cluster, leader } = await start(3)
    const token = leader.engine.currentLeadership()?.token ?? 0
    await leader.engine.stepDown()
    expect(leader.engine.currentLeadership()).toBeNull()
    const next = await until('somebody leads', () => cluster.leaders[0])
    expect(next.engine.currentLeadership()?.token).toBeGreaterThan(token)
    const follower = [...cluster.nodes.values()].find((node) => node !== next)
    await expect(follower?.engine.stepDown()).rejects.toMatchObject({ code: 'RAFT_NOT_LEADER' })
  })
})
