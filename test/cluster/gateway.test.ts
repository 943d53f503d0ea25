import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster

beforeAll(async () => { cluster = await startCluster() })
afterAll(async () => { await cluster.stop() })

async function post (id: string) {
  return await send('POST', `${cluster.gatewayUrl}/orders`, { id, item: 'tea' })
}

describe('the gateway', () => {
  it('sends writes to the leader and reads to a ready node', async () => {
    const leader = await cluster.waitForLeader()
    const written = await post('one')
    expect(written.status).toBe(201)
    expect(written.headers.get('raft-node')).toBe(leader.id)
    const read = await send('GET', `${cluster.gatewayUrl}/orders/one`)
    expect(read.status).toBe(200)
  })

  it.each([
    '/_cluster/v1/status',
    '//_cluster/v1/status',
    '/%5Fcluster/v1/status',
    '/x/../_cluster/v1/status',
    '/_cluster/raft/append',
    '/_CLUSTER/v1/status'
  ])('never passes %s on', async (path) => {
    for (const method of ['GET', 'POST', 'PUT']) {
      const answer = await send(method, `${cluster.gatewayUrl}${path}`)
      expect(answer.status).toBe(404)
      expect(answer.text).not.toContain('commitIndex')
    }
  })

  it('waits through an election', async () => {
    const leader = await cluster.waitForLeader()
    await cluster.kill(leader.id, 'SIGKILL')
    const [write, read] = await Promise.all([
      post('during-the-election'),
      send('GET', `${cluster.gatewayUrl}/orders/one?read=local`)
    ])
    expect(write.status).toBe(201)
    expect(write.headers.get('raft-node')).not.toBe(leader.id)
    expect(read.status).toBe(200)
    await cluster.restart(leader.id)
  })

  it('answers 503 with retry-after while no node runs, and recovers with the nodes', async () => {
    await Promise.all(cluster.nodes.map(async ({ id }) => { await cluster.kill(id, 'SIGKILL') }))
    const refused = await Promise.all([post('nobody'), send('GET', `${cluster.gatewayUrl}/orders`)])
    for (const answer of refused) {
      expect(answer.status).toBe(503)
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(answer.elapsedMs).toBeLessThan(10_000)
    }
    for (const { child } of cluster.nodes) child.start()
    await Promise.all(cluster.nodes.map(async ({ id }) => { await cluster.waitUntilReady(id) }))
    const written = await pollUntil('the gateway to find the leader again', 10_000, async () => {
      const answer = await post('back')
      return answer.status === 503 ? null : answer
    })
    expect(written.status).toBe(201)
    expect((await send('GET', `${cluster.gatewayUrl}/orders/during-the-election`)).status).toBe(200)
  })
})
