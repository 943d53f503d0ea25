import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { agreedLeader, clusterOfThree } from '../../plugin/support/cluster-of-three.ts'

describe('the gateway in front of three real nodes', () => {
  it('passes writes and reads, goes on when the leader closes, and loses or repeats nothing', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, options)
      app.post<{ Body: { id: string } }>('/orders', { forward: true }, async (request, reply) => {
        const entry = await app.cluster.map('orders').set(request.body.id, request.body.id, { ifRevision: 0 })
        return reply.send(entry)
      })
      app.get('/orders', async () => (await app.cluster.map('orders').list()).entries)
      app.get('/index', { leaderOnly: true }, async () => ({ by: app.cluster.nodeId }))
      app.post('/reindex', { leaderOnly: true }, async () => ({ by: app.cluster.nodeId }))
    })
    const gateway = createGateway({ nodes: nodes.map((node) => node.url), waitForLeaderMs: 10_000, reads: 'any' })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    const post = async (path: string, body: object): Promise<Response> =>
      await fetch(url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
    const order = async (id: string): Promise<void> => {
      const answer = await post('/orders', { id })
      const text = await answer.text()
      expect([id, answer.status, text]).toEqual([id, 200, text])
    }

    for (let index = 0; index < 10; index++) await order(`before-${index}`)
    const leader = await agreedLeader(nodes)
    expect(await (await post('/reindex', {})).json()).toEqual({ by: leader.id })

    // Reads go to any node, and two of three refuse this one: it goes on to the leader.
    for (let index = 0; index < 12; index++) {
      const read = await fetch(`${url}/index`)
      expect([read.status, read.headers.get('raft-not-executed'), await read.json()]).toEqual([
        200,
        null,
        { by: leader.id }
      ])
    }

    const closing = leader.app.close()
    for (let index = 0; index < 10; index++) await order(`after-${index}`)
    await closing
    expect(await (await post('/reindex', {})).json()).not.toEqual({ by: leader.id })

    const entries = await (await fetch(`${url}/orders`)).json() as ReadonlyArray<{ readonly key: string }>
    expect(entries.map((entry) => entry.key).sort()).toEqual(
      ['after', 'before'].flatMap((name) => Array.from({ length: 10 }, (_, index) => `${name}-${index}`)))
    expect((await fetch(`${url}/_cluster/v1/status`)).status).toBe(404)
  })
})
