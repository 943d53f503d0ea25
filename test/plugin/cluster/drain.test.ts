import { describe, expect, it } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import { agreedLeader, clusterOfThree, type Node } from '../support/cluster-of-three.ts'

async function threeNodes (declare: (app: Node['app']) => void = () => {}): Promise<Node[]> {
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, options)
    app.post('/by', { forward: true }, async () => ({ by: app.cluster.nodeId }))
    declare(app)
  })
  await until('all are ready', async () =>
    (await Promise.all(nodes.map(async ({ url }) => (await fetch(`${url}/_cluster/v1/readyz`)).status)))
      .every((status) => status === 200))
  return nodes
}

describe('a node that drains', () => {
  it('is not ready, leads no more, and serves requests by the next leader until it is closed', async () => {
    const [begun, ended]: [string[], string[]] = [[], []]
    const nodes = await threeNodes((app) => {
      app.cluster.singleton('job', async (signal) => {
        begun.push(app.cluster.nodeId)
        await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
        ended.push(app.cluster.nodeId)
      })
    })
    const leader = await agreedLeader(nodes)
    await until('the job runs', () => begun.includes(leader.id))
    await leader.app.cluster.drain()
    expect(leader.app.cluster.isLeader).toBe(false)
    expect(ended).toContain(leader.id)
    const ready = await fetch(`${leader.url}/_cluster/v1/readyz?verbose`)
    expect([ready.status, await ready.json()]).toEqual([503, expect.objectContaining({
      checks: expect.objectContaining({ closing: expect.objectContaining({ ok: false }) as unknown }) as unknown
    })])
    const next = await agreedLeader(nodes)
    expect(next.id).not.toBe(leader.id)
    const answer = await fetch(`${leader.url}/by`, { method: 'POST' })
    expect([answer.status, await answer.json()]).toEqual([200, { by: next.id }])
    await leader.app.cluster.drain()
    await leader.app.close()
    expect((await fetch(`${next.url}/by`, { method: 'POST' })).status).toBe(200)
  })

  it('hands leadership on when it comes back', async () => {
    const nodes = await threeNodes()
    const leader = await agreedLeader(nodes)
    await leader.app.cluster.drain()
    const next = await agreedLeader(nodes)
    await next.app.cluster.transferLeadership(leader.id)
    await until('another one leads', () => nodes.some(({ id, app }) => id !== leader.id && app.cluster.isLeader))
    expect(leader.app.cluster.isLeader).toBe(false)
  })

  it('fails no request that comes meanwhile, here or on another node', async () => {
    const nodes = await threeNodes()
    const leader = await agreedLeader(nodes)
    const follower = nodes.find((node) => node !== leader) ?? leader
    const over = new AbortController()
    const failures: unknown[] = []
    let count = 0
    const clients = [leader, follower, follower].map(async ({ url }) => {
      while (!over.signal.aborted) {
        const answer = await fetch(`${url}/by`, { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } })
        count++
        if (answer.status !== 200) failures.push([url === leader.url, answer.status, await answer.text()])
        else await answer.arrayBuffer()
      }
    })
    await until('requests are served', () => count > 100)
    await leader.app.cluster.drain()
    const after = count
    await until('they go on', () => count > after + 100)
    over.abort()
    await Promise.all(clients)
    expect(failures).toEqual([])
  })

  it('cannot before its application is ready', async () => {
    const { default: Fastify } = await import('fastify')
    const app = Fastify()
    await app.register(cluster)
    await expect(app.cluster.drain()).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await app.close()
  })
})
