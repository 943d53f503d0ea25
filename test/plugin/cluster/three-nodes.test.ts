import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

async function orders (app: FastifyInstance, options: ClusterOptions): Promise<void> {
  await app.register(cluster, options)
  app.post<{ Body: { id: string } }>('/orders', { forward: true }, async (request, reply) => {
    const result = await app.cluster.executeIfLeader((_signal, grant) =>
      app.cluster.map('orders').set(request.body.id, request.body, { fence: grant.token })
    )
    return reply.send(
      result.status === 'completed' ? { by: app.cluster.nodeId, token: result.token } : { status: result.status }
    )
  })
  app.get('/orders', async () => (await app.cluster.map('orders').list()).entries)
  app.post('/reindex', { leaderOnly: true }, async () => ({ by: app.cluster.nodeId }))
}

function post (url: string, body: object = {}): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

function followersOf (nodes: readonly Node[], leader: Node): readonly [Node, Node] {
  const [first, second] = nodes.filter((node) => node !== leader)
  if (first === undefined || second === undefined) throw new Error('there are two followers')
  return [first, second]
}

describe('three nodes', () => {
  it('forward writes to the leader, and read them on every node at once', async () => {
    const nodes = await clusterOfThree(orders)
    const leader = await agreedLeader(nodes)
    const [first, second] = followersOf(nodes, leader)
    for (let index = 0; index < 20; index++) {
      const written = await post(`${first.url}/orders`, { id: `o${index}` })
      expect([written.status, written.headers.get('raft-node')]).toEqual([200, leader.id])
      const entries = await (await fetch(`${second.url}/orders`)).json() as readonly { readonly key: string }[]
      expect(entries.map((entry) => entry.key)).toContain(`o${index}`)
    }
  })

  it('serve leaderOnly on the leader and refuse it elsewhere', async () => {
    const nodes = await clusterOfThree(orders)
    const leader = await agreedLeader(nodes)
    expect(await (await post(`${leader.url}/reindex`)).json()).toEqual({ by: leader.id })
    for (const follower of followersOf(nodes, leader)) {
      const refused = await post(`${follower.url}/reindex`)
      expect([refused.status, refused.headers.get('raft-leader')]).toEqual([503, leader.url])
    }
  })

  it('serve the map over HTTP on every node, with one answer per idempotency key', async () => {
    const nodes = await clusterOfThree(orders)
    const answers = await Promise.all(
      nodes.map(async ({ url }) =>
        (
          await fetch(`${url}/_cluster/v1/kv/x`, {
            method: 'PUT',
            headers: { 'content-type': 'application/json', 'idempotency-key': 'k1' },
            body: '{"value":1}'
          })
        ).json()
      )
    )
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toHaveLength(1)
    for (const { url } of nodes) {
      expect(await (await fetch(`${url}/_cluster/v1/kv/x`)).json()).toEqual(answers[0])
      await expect.poll(async () => (await fetch(`${url}/_cluster/v1/readyz`)).status).toBe(200)
    }
  })

  it('elect another leader when theirs closes, lose nothing, and move the singleton', async () => {
    const running: string[] = []
    const nodes = await clusterOfThree(async (app, options) => {
      await orders(app, options)
      app.cluster.singleton('outbox', async (signal) => {
        running.push(app.cluster.nodeId)
        await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
      })
    })
    const old = await agreedLeader(nodes)
    const rest = followersOf(nodes, old)
    await post(`${rest[0].url}/orders`, { id: 'before' })
    const changed = new Promise((resolve) => {
      for (const { app } of rest) {
        app.cluster.once('leadershipChanged', resolve)
      }
    })
    await expect.poll(() => running).toEqual([old.id])
    const waiting = rest.map(async ({ app }) => app.cluster.leadership())
    await old.app.close()
    const next = await agreedLeader(rest)
    expect(await changed).toMatchObject({ isLeader: true })
    await Promise.all(waiting)
    const written = await post(`${rest[0].url}/orders`, { id: 'after' })
    expect([written.status, written.headers.get('raft-node')]).toEqual([200, next.id])
    for (const { url } of rest) {
      const entries = await (await fetch(`${url}/orders`)).json() as readonly { readonly key: string }[]
      expect(entries.map((entry) => entry.key)).toEqual(['after', 'before'])
    }
    await expect.poll(() => running).toEqual([old.id, next.id])
  })

  it('answer 503 with retry-after within the deadline when the majority is gone', async () => {
    const nodes = await clusterOfThree((app, options) =>
      orders(app, { ...options, requestTimeoutMs: 500, forward: { waitForLeaderMs: 500 } })
    )
    const leader = await agreedLeader(nodes)
    const [left, other] = followersOf(nodes, leader)
    await Promise.all([leader.app.close(), other.app.close()])
    await expect.poll(() => left.app.cluster.leader, { timeout: 10_000 }).toBeNull()
    for (const request of [
      () => post(`${left.url}/orders`, { id: 'x' }),
      () => fetch(`${left.url}/_cluster/v1/kv/x`),
      () =>
        fetch(`${left.url}/_cluster/v1/kv/x`, {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: '{"value":1}'
        }),
      () => fetch(`${left.url}/_cluster/v1/readyz`)
    ]) {
      const started = performance.now()
      const response = await request()
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
      expect(performance.now() - started).toBeLessThan(3_000)
    }
    expect((await fetch(`${left.url}/_cluster/v1/livez`)).status).toBe(200)
    expect((await fetch(`${left.url}/_cluster/v1/kv/x?read=local`)).status).toBe(404)
  })

  it('find each other on every address of localhost', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await orders(app, options)
      app.setNotFoundHandler(async () => 'not a peer route')
    }, 'localhost')
    const leader = await agreedLeader(nodes)
    expect((await post(`${followersOf(nodes, leader)[0].url}/orders`, { id: 'x' })).status).toBe(200)
    for (const { app } of nodes) {
      for (const bound of app.addresses()) {
        if (typeof bound === 'string') throw new Error('these nodes listen on ports')
        const { address, family, port } = bound
        const origin = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
        expect(await (await fetch(`${origin}/_cluster/raft/nothing`)).text()).not.toBe('not a peer route')
        expect(await (await fetch(`${origin}/nothing`)).text()).toBe('not a peer route')
      }
    }
  })
})
