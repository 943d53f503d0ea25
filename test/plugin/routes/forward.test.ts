import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { deadUrl, rawExchange, startRawServer } from '../../gateway/support/servers.ts'
import type { FakeApp } from '../support/fake-app.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** A stand-in for the leader that tells what it got. */
async function fakeLeader (): Promise<{ readonly url: string, readonly requests: FastifyRequest[] }> {
  const requests: FastifyRequest[] = []
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  app.all('/*', async (request, reply) => {
    requests.push(request)
    return reply.header('raft-node', 'n2').code(201).send({ from: 'leader', body: request.body })
  })
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), requests }
}

async function followerOf (
  url: string,
  declare: (app: FastifyInstance) => void | Promise<void>,
  serverOptions: FastifyServerOptions = {}
): Promise<FakeApp & { readonly base: string }> {
  const { members } = threeMembers()
  const fake = await fakeApp(
    {
      id: 'n1',
      dataDir: import.meta.dirname,
      members: (members ?? []).map((member) => (member.id === 'n2' ? { id: 'n2', url } : member)),
      forward: { waitForLeaderMs: 200 }
    },
    declare,
    serverOptions
  )
  return { ...fake, base: await fake.app.listen({ port: 0, host: '127.0.0.1' }) }
}

function ownRoutes (ran: string[]) {
  return (app: FastifyInstance): void => {
    app.post('/orders', { forward: true }, async (request) => {
      ran.push('here')
      return { from: 'here', body: request.body }
    })
    app.get('/orders', { forward: true }, async () => { ran.push('here'); return { from: 'here' } })
  }
}

describe('forward', () => {
  it('serves on the leader itself', async () => {
    const { app, engine } = await fakeApp(threeMembers(), ownRoutes([]))
    engine.lead()
    const response = await app.inject({ method: 'POST', url: '/orders', payload: { a: 1 } })
    expect(response.json()).toEqual({ from: 'here', body: { a: 1 } })
    expect(response.headers['raft-node']).toBe('n1')
  })

  it('passes the request on to the leader, with a hop that names it', async () => {
    const leader = await fakeLeader()
    const ran: string[] = []
    const { engine, base } = await followerOf(leader.url, ownRoutes(ran))
    engine.lose('n2')
    const response = await fetch(`${base}/orders?a=%2F`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'raft-term': 'forged' },
      body: '{"a":1}'
    })
    expect(response.status).toBe(201)
    expect(await response.json()).toEqual({ from: 'leader', body: { a: 1 } })
    expect(response.headers.get('raft-node')).toBe('n2')
    expect(ran).toEqual([])
    expect(leader.requests).toHaveLength(1)
    expect(leader.requests[0]?.raw.url).toBe('/orders?a=%2F')
    expect(leader.requests[0]?.headers['raft-hop']).toMatch(/^v=1;from=n1;to=n2;term=1/)
    expect(leader.requests[0]?.headers['raft-term']).toBeUndefined()
  })

  it('passes on the target as the client sent it, since the leader applies rewriteUrl itself', async () => {
    const leader = await fakeLeader()
    const { engine, base } = await followerOf(
      leader.url,
      (app) => {
        app.post('/v1/orders', { forward: true }, async () => 'here')
      },
      { rewriteUrl: (req) => `/v1${req.url ?? ''}` }
    )
    engine.lose('n2')
    expect((await fetch(`${base}/orders?a=%2F`, { method: 'POST' })).status).toBe(201)
    expect(leader.requests[0]?.raw.url).toBe('/orders?a=%2F')
  })

  it('passes injected requests on', async () => {
    const leader = await fakeLeader()
    const { app, engine } = await followerOf(leader.url, ownRoutes([]))
    engine.lose('n2')
    const uncaught: unknown[] = []
    const note = (error: unknown): void => { uncaught.push(error) }
    process.on('uncaughtException', note)
    onTestFinished(() => { process.off('uncaughtException', note) })
    const startedMs = performance.now()
    const posted = await app.inject({ method: 'POST', url: '/orders', payload: { a: 1 } })
    expect([posted.statusCode, posted.json()]).toEqual([201, { from: 'leader', body: { a: 1 } }])
    expect((await app.inject({ url: '/orders' })).statusCode).toBe(201)
    // They have no connection to linger on.
    expect(performance.now() - startedMs).toBeLessThan(900)
    await new Promise((resolve) => { setImmediate(resolve) })
    expect(uncaught).toEqual([])
  })

  it('passes HEAD on, also where Fastify added the route', async () => {
    const leader = await fakeLeader()
    const { engine, base } = await followerOf(leader.url, ownRoutes([]))
    engine.lose('n2')
    const response = await fetch(`${base}/orders`, { method: 'HEAD' })
    expect([response.status, response.headers.get('raft-node')]).toEqual([201, 'n2'])
    expect(leader.requests[0]?.method).toBe('HEAD')
  })

  it('holds for all routes of a scope', async () => {
    const leader = await fakeLeader()
    const { engine, base } = await followerOf(leader.url, async (app) => {
      await app.register(async (scope) => {
        scope.clusterRoutes({ forward: true })
        scope.put('/in', async () => 'here')
      })
      app.put('/out', async () => 'here')
    })
    engine.lose('n2')
    expect((await fetch(`${base}/in`, { method: 'PUT' })).status).toBe(201)
    expect(await (await fetch(`${base}/out`, { method: 'PUT' })).text()).toBe('here')
  })

  it('lets authentication answer first, and leaves the body hooks to the leader', async () => {
    const leader = await fakeLeader()
    const ran: string[] = []
    const { engine, base } = await followerOf(leader.url, (app) => {
      app.addHook('onRequest', async (request, reply) => {
        if (request.headers.authorization === undefined) {
          await reply.code(401).send('who')
        }
      })
      app.post(
        '/orders',
        {
          forward: true,
          preParsing: async (_request, _reply, payload) => {
            ran.push('preParsing')
            return payload
          },
          preHandler: async () => {
            ran.push('preHandler')
          }
        },
        async () => 'here'
      )
    })
    engine.lose('n2')
    expect((await fetch(`${base}/orders`, { method: 'POST' })).status).toBe(401)
    expect(
      (await fetch(`${base}/orders`, { method: 'POST', headers: { authorization: 'me' }, body: 'x' })).status
    ).toBe(201)
    expect(ran).toEqual([])
    expect(leader.requests).toHaveLength(1)
  })

  it('waits through an election and goes to the new leader, or serves here when that is this node', async () => {
    const leader = await fakeLeader()
    const { engine, base } = await followerOf(leader.url, ownRoutes([]))
    const post = async (): Promise<unknown> =>
      (
        await fetch(`${base}/orders`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
      ).json()
    let waiting = post()
    await expect.poll(() => engine.events.listenerCount('leader')).toBeGreaterThan(0)
    engine.lose('n2')
    expect(await waiting).toMatchObject({ from: 'leader' })
    engine.lose(null)
    waiting = post()
    engine.lead()
    expect(await waiting).toEqual({ from: 'here', body: {} })
  })

  it('answers 503 with retry-after when no leader appears in time', async () => {
    const { base } = await followerOf('http://127.0.0.1:2', ownRoutes([]))
    const started = performance.now()
    const response = await fetch(`${base}/orders`, { method: 'POST' })
    expect(performance.now() - started).toBeLessThan(5_000)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await response.json()).toEqual({
      statusCode: 503,
      code: 'RAFT_NO_LEADER',
      error: 'Service Unavailable',
      message: 'No leader was reachable within 200 ms; nothing was executed',
      leader: null,
      term: 0
    })
  })

  it('answers 503 when its own lease has lapsed and no other node leads', async () => {
    const { engine, base } = await followerOf('http://127.0.0.1:2', ownRoutes([]))
    engine.lead()
    engine.lapseSilently()
    expect((await fetch(`${base}/orders`, { method: 'POST' })).status).toBe(503)
  })

  it('passes a node of the same name in another cluster, and never this node twice', async () => {
    const leader = await fakeLeader()
    const { engine, base } = await followerOf(leader.url, ownRoutes([]))
    engine.lose('n2')
    const through = async (via: string): Promise<number> =>
      (await fetch(`${base}/orders`, { method: 'POST', headers: { via } })).status
    expect(await through('1.1 n1, 1.1 fastify-raft-another~n1')).toBe(201)
    expect(leader.requests[0]?.headers.via).toBe('1.1 n1, 1.1 fastify-raft-another~n1, 1.1 fastify-raft-default~n1')
    expect(await through('1.1 fastify-raft-default~n1')).toBe(508)
    expect(leader.requests).toHaveLength(1)
  })

  it('is refused on a route under the prefix of the cluster', async () => {
    const leader = await fakeLeader()
    const { engine, base } = await followerOf(leader.url, (app) => {
      app.post('/_cluster/mine', { forward: true }, async () => 'here')
    })
    engine.lose('n2')
    expect((await fetch(`${base}/_cluster/mine`, { method: 'POST' })).status).toBe(404)
    expect(leader.requests).toHaveLength(0)
  })

  it('gives its own answers the fields that hooks have set, with every status', async () => {
    const leader = await fakeLeader()
    const lossy = await startRawServer((socket) => { socket.once('data', () => { socket.destroy() }) })
    const silent = await startRawServer(() => {})
    const declare = (app: FastifyInstance): void => {
      app.addHook('onRequest', async (_request, reply) => { reply.header('access-control-allow-origin', '*') })
      app.post('/x', { forward: { timeoutMs: 150 } }, async () => 'here')
      app.post('/only', { leaderOnly: true }, async () => 'here')
      app.post('/_cluster/mine', { forward: true }, async () => 'here')
    }
    const answerOf = async (url: string, path: string, headers: Record<string, string> = {}, leads = 'n2' as 'n2' | null) => {
      const { app, engine } = await followerOf(url, declare)
      engine.lose(leads)
      const response = await fetch(`${app.listeningOrigin}${path}`, { method: 'POST', headers })
      await response.text()
      return [response.status, response.headers.get('access-control-allow-origin')]
    }
    expect(await answerOf(leader.url, '/x', { via: '1.1 fastify-raft-default~n1' })).toEqual([508, '*'])
    expect(await answerOf(leader.url, '/_cluster/mine')).toEqual([404, '*'])
    expect(await answerOf(lossy.url, '/x')).toEqual([502, '*'])
    expect(await answerOf(silent.url, '/x')).toEqual([504, '*'])
    expect(await answerOf(await deadUrl(), '/x')).toEqual([503, '*'])
    expect(await answerOf(leader.url, '/x', {}, null)).toEqual([503, '*'])
    expect(await answerOf(leader.url, '/only')).toEqual([503, '*'])
    // The leader's answer has what the leader's hooks have set.
    expect(await answerOf(leader.url, '/x')).toEqual([201, null])
    const { app, engine } = await followerOf(leader.url, declare)
    engine.lose('n2')
    const twoHosts = await rawExchange(
      Number(new URL(app.listeningOrigin).port),
      'POST /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n'
    )
    expect(twoHosts).toMatch(/^HTTP\/1\.1 400 [^]*access-control-allow-origin: \*/)
  })
})
