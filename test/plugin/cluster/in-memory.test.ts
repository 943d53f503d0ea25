import { describe, expect, it } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import { agreedLeader, clusterOfThree, startNode, wholeMembership } from '../support/cluster-of-three.ts'

describe('a cluster in memory', () => {
  it('A25 loses a member that is started again: that member stops with the reason, the others go on, and it can join again after a removal', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, options)
    })
    const members = nodes.map(({ id, url }) => ({ id, url }))
    const leader = await agreedLeader(nodes)
    await wholeMembership(nodes)
    const [gone, other] = nodes.filter((node) => node !== leader)
    if (gone === undefined || other === undefined) throw new Error('there are two followers')
    await gone.app.close()
    const again = await startNode({ id: gone.id, members }, gone.url)
    await until('it stops', () => again.app.cluster.status.failure !== null)
    expect(again.app.cluster.status.failure).toContain('remove the member and start this node with join')
    expect((await fetch(`${again.url}/_cluster/v1/livez`)).status).toBe(503)
    await leader.app.cluster.map('m').set('k', 1)
    await again.app.close()

    await until(
      'it is removed',
      async () => await (await agreedLeader([leader, other])).app.cluster.removeMember(gone.id)
    )
    const anew = await startNode({ id: gone.id, url: gone.url, join: [leader.url, other.url] }, gone.url)
    await until('it is ready', async () => (await fetch(`${anew.url}/_cluster/v1/readyz`)).status === 200, 20_000)
    expect(await anew.app.cluster.map('m').get('k')).toMatchObject({ value: 1 })
  }, 45_000)
})
