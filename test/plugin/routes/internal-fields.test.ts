import { request as httpRequest } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** Every place where a handler may look for the fields of its request. */
function fieldsOf ({ headers, raw }: FastifyRequest): object {
  return {
    headers,
    raw: raw.headers,
    distinct: raw.headersDistinct,
    lines: raw.rawHeaders
  }
}

/** Sends fields as they are, repeated ones too. */
function get (url: string, headers: Record<string, string | string[]>): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => { resolve(text) })
    }).on('error', reject).end()
  })
}

describe('B27 the internal fields of a request', () => {
  it('are off it before Fastify sees it, forwarded or not, and no other field is', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/x', async (request) => fieldsOf(request))
    })
    engine.uuid = 'u-1'
    engine.lead()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const own = { 'X-Own': ['1', '2'], raft: 'no dash', 'raft.x': '1', Rafts: '1', 'X-Raft-Hop': '1' }
    const plain = await get(`${base}/x`, own)
    expect(plain).toMatch(/"X-Raft-Hop"/)
    for (const internal of [
      { 'Raft-Hop': 'v=1;from=n2;to=n1;term=1;id=a;cluster=u-1' },
      { 'raft-hop': 'v=1;from=n2;to=n1;term=1', 'RAFT-Attempt': 'abc', 'raft-': '', 'raft-anything': ['1', '2'] },
      { 'raft-hop': 'v=1;from=n7;to=n8;term=9;cluster=u-2' },
      { 'raft-attempt': 'abc' }
    ]) {
      // As the client of a node would send it: in between the others.
      expect(await get(`${base}/x`, { ...internal, ...own })).toBe(plain)
      expect(await get(`${base}/x`, { ...own, ...internal })).toBe(plain)
    }
    // Of those, two requests had fields that no node sends.
    expect(app.cluster.status.forgedFields).toBe(2)
  })

  it('that are meant for another cluster change nothing: the request is a client\'s', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/only', { leaderOnly: true }, async () => 'x')
      app.get('/plain', async () => 'x')
    })
    engine.uuid = 'u-1'
    engine.lose('n2')
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const ask = async (path: string, value: string): Promise<unknown> => {
      const response = await fetch(`${base}${path}`, { headers: { 'raft-hop': value, 'raft-attempt': 'abc;cluster=u-2' } })
      return [response.status, response.headers.get('raft-not-executed')]
    }
    expect(await ask('/plain', 'v=1;from=n2;to=n1;term=1;id=a;cluster=u-2')).toEqual([200, null])
    expect(await ask('/only', 'v=1;from=n2;to=n1;term=1;id=a;cluster=u-2')).toEqual([503, null])
    expect(await ask('/plain', 'v=1;from=n2;to=n1;term=1;id=a;cluster=u-1')).toEqual([503, '1;id=a;cluster=u-1'])
  })
})

describe('B27 two clusters, one behind the other', () => {
  async function start (name: string, declare: (app: FastifyInstance) => void): Promise<{
    readonly nodes: readonly Node[]
    readonly leader: Node
    readonly follower: Node
  }> {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, { ...options, clusterId: name })
      declare(app)
    })
    const leader = await agreedLeader(nodes)
    await until('all know their cluster', () => nodes.every((node) => node.app.cluster.status.clusterUuid !== null))
    const follower = nodes.find((node) => node !== leader)
    if (follower === undefined) throw new Error('three nodes')
    return { nodes, leader, follower }
  }

  it('a handler that passes its fields on is answered, and runs once', async () => {
    const ran: string[] = []
    const behind = await start('behind', (app) => {
      app.post('/x', { forward: true }, async () => ({ by: app.cluster.nodeId }))
      app.get('/only', { leaderOnly: true }, async () => 'x')
    })
    const front = await start('front', (app) => {
      app.post('/x', { forward: true }, async (request, reply) => {
        ran.push('/x')
        return await passOn(request, behind.follower.url, reply)
      })
      app.get('/only', async (request, reply) => {
        ran.push('/only')
        return await passOn(request, behind.follower.url, reply)
      })
    })
    const gateway = createGateway({ nodes: front.nodes.map(({ url }) => url), pollMs: 20, reads: 'any' })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    await until('the gateway knows the cluster', () =>
      gateway.status().nodes.every(({ ready, clusterUuid }) => ready && clusterUuid !== null))
    for (const base of [front.leader.url, front.follower.url, url]) {
      const response = await fetch(`${base}/x`, { method: 'POST' })
      expect([response.status, await response.json()]).toEqual([200, { by: behind.leader.id }])
    }
    expect(ran).toEqual(['/x', '/x', '/x'])
    // The refusal of the cluster behind is the answer of the handler.
    expect((await fetch(`${url}/only`)).status).toBe(503)
    expect(ran).toEqual(['/x', '/x', '/x', '/only'])
  }, 30_000)

  /** As simple proxies do: all fields there, and all fields back. */
  async function passOn (
    request: FastifyRequest,
    url: string,
    reply: { code: (code: number) => unknown, headers: (headers: Record<string, string>) => unknown }
  ): Promise<string> {
    const { host: _host, connection: _connection, 'content-length': _length, ...fields } = request.headers
    const answer = await fetch(url + request.url, { method: request.method, headers: fields as Record<string, string> })
    reply.code(answer.status)
    const { 'content-length': _, connection: __, 'transfer-encoding': ___, ...headers } =
      Object.fromEntries(answer.headers)
    reply.headers(headers)
    return await answer.text()
  }
})
