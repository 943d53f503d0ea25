import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster

beforeAll(async () => { cluster = await startCluster({ gateway: false }) })
afterAll(async () => { await cluster.stop() })

describe('a route with forward: true', () => {
  it('is executed by the leader, no matter which node receives it', async () => {
    const leader = await cluster.waitForLeader()
    for (const { id, url } of cluster.nodes) {
      const answer = await send('POST', `${url}/orders`, { id: `through-${id}`, item: 'tea' })
      expect(answer.status).toBe(201)
      expect(answer.headers.get('raft-node')).toBe(leader.id)
    }
  })

  it('is validated by the leader', async () => {
    const [follower] = cluster.followers(await cluster.waitForLeader())
    expect((await send('POST', `${follower?.url}/orders`, { item: '' })).status).toBe(400)
  })

  it('passes on a body near the limit', async () => {
    const [follower] = cluster.followers(await cluster.waitForLeader())
    const answer = await send('POST', `${follower?.url}/orders`, { item: 'x'.repeat(900_000) })
    // The leader can only refuse the body after it has received all of it.
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('200 characters')
  })

  it('waits on a follower for the next leader when the last one was killed', async () => {
    const leader = await cluster.waitForLeader()
    const [follower] = cluster.followers(leader)
    await cluster.kill(leader.id, 'SIGKILL')
    // The follower may still believe in the dead leader, and then learns that nothing was sent.
    const answer = await send('POST', `${follower?.url}/orders`, { id: 'after-the-kill', item: 'tea' })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('raft-node')).not.toBe(leader.id)
    await cluster.restart(leader.id)
    const read = await send('GET', `${leader.url}/orders/after-the-kill`)
    expect(read.status).toBe(200)
  })
})

describe('a route with leaderOnly: true', () => {
  it('is executed by the leader', async () => {
    const leader = await cluster.waitForLeader()
    const answer = await send('POST', `${leader.url}/reindex`)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text)).toMatchObject({ by: leader.id })
  })

  it('is refused by a follower, which says who leads', async () => {
    const leader = await cluster.waitForLeader()
    for (const follower of cluster.followers(leader)) {
      const answer = await send('POST', `${follower.url}/reindex`)
      expect(answer.status).toBe(503)
      expect(answer.headers.get('raft-leader')).toBe(leader.url)
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(JSON.parse(answer.text)).toMatchObject({
        statusCode: 503,
        code: 'RAFT_NOT_LEADER',
        leader: { id: leader.id, url: leader.url }
      })
    }
  })
})

describe('the admin routes', () => {
  it('name the same leader on every node', async () => {
    const leader = await cluster.waitForLeader()
    for (const { id, url } of cluster.nodes) {
      expect(JSON.parse((await send('GET', `${url}/_cluster/v1/leader`)).text)).toMatchObject({
        id: leader.id,
        url: leader.url
      })
      const self = id === leader.id ? 200 : 503
      expect((await send('GET', `${url}/_cluster/v1/leader/self`)).status).toBe(self)
      expect((await send('HEAD', `${url}/_cluster/v1/leader/self`)).status).toBe(self)
      expect((await send('GET', `${url}/_cluster/v1/livez`)).status).toBe(200)
      expect((await send('GET', `${url}/_cluster/v1/readyz`)).status).toBe(200)
    }
  })
})
