import { afterEach, describe, expect, it } from 'vitest'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

async function start (size: number): Promise<EngineCluster> {
  const cluster = new EngineCluster()
  clusters.push(cluster)
  await cluster.start(size)
  return cluster
}

/** The UUID that all nodes know. */
async function uuidOf (cluster: EngineCluster): Promise<string> {
  return await until('all know one UUID', () => {
    const [first, ...others] = [...cluster.nodes.values()].map(({ engine }) => engine.clusterUuid())
    return others.every((uuid) => uuid === first) ? first : null
  })
}

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

describe('the UUID of a cluster', () => {
  it('is the same on all nodes, for ever, and another one in each cluster', async () => {
    const [one, other] = [await start(3), await start(1)]
    const [n1] = one.nodes.values()
    const uuid = await uuidOf(one)
    expect(uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(await uuidOf(other)).not.toBe(uuid)
    expect(n1?.engine.status().clusterUuid).toBe(uuid)
    for (const node of [...one.nodes.values()]) await node.close()
    const again = await one.restart('n1')
    // Known from the log, without a leader.
    expect(again.engine.clusterUuid()).toBe(uuid)
    await one.restart('n2')
    await one.restart('n3')
    await until('a leader', () => one.leaders[0])
    expect(await uuidOf(one)).toBe(uuid)
  }, 30_000)
})
