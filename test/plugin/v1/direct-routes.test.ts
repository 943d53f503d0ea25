import bearerAuth from '@fastify/bearer-auth'
import rateLimit from '@fastify/rate-limit'
import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { rawExchange } from '../../gateway/support/servers.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, startNode, wholeMembership } from '../support/cluster-of-three.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

interface Obstacle {
  readonly name: string
  readonly install: (app: FastifyInstance) => Promise<void>
  /** What a client gets that asks for a route of the application. */
  readonly statusCode: number
}

function hook (name: 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'onSend'): Obstacle {
  return {
    name: `a hook ${name} that fails`,
    install: async (app) => { app.addHook(name, async () => { throw Object.assign(new Error('no'), { statusCode: 418 }) }) },
    statusCode: 418
  }
}

const obstacles: readonly Obstacle[] = [
  {
    name: '@fastify/bearer-auth',
    install: async (app) => { await app.register(bearerAuth, { keys: new Set(['secret']), verifyErrorLogLevel: 'debug' }) },
    statusCode: 401
  },
  {
    name: '@fastify/rate-limit, used up',
    install: async (app) => { await app.register(rateLimit, { max: 0 }) },
    statusCode: 429
  },
  {
    name: '@fastify/under-pressure',
    install: async (app) => { await app.register(underPressure, { maxHeapUsedBytes: 1, sampleInterval: 10 }) },
    statusCode: 503
  },
  hook('onRequest'),
  hook('preParsing'),
  hook('preValidation'),
  hook('preHandler'),
  hook('onSend'),
  {
    name: 'an error handler, a reply serializer and a parser of its own',
    install: async (app) => {
      app.setErrorHandler(async () => 'mine')
      app.setReplySerializer(() => 'mine')
      app.removeAllContentTypeParsers()
    },
    statusCode: 200
  }
]

async function listening (app: FastifyInstance): Promise<string> {
  return await app.listen({ port: 0, host: '127.0.0.1' })
}

describe.each(obstacles)('under $name', ({ install, statusCode }) => {
  it.each(['before', 'after'] as const)(
    'installed %s the plugin, what nodes and gateways ask is answered as ever',
    async (order) => {
      const app = Fastify()
      onTestFinished(async () => { await app.close() })
      if (order === 'before') await install(app)
      await app.register(cluster, { id: 'n1', members: [{ id: 'n1', url: 'http://127.0.0.1:1' }] })
      if (order === 'after') await install(app)
      app.get('/x', async () => 'x')
      const base = await listening(app)
      const v1 = `${base}/_cluster/v1`
      await expect.poll(async () => (await fetch(`${v1}/readyz`)).status).toBe(200)
      for (const path of ['livez', 'livez?verbose', 'leader/self', 'leader', 'status', 'members', 'members?read=linearizable']) {
        const answer = await fetch(`${v1}/${path}`)
        expect([path, answer.status, answer.headers.get('raft-node')]).toEqual([path, 200, 'n1'])
      }
      expect((await fetch(`${v1}/leader/self`, { method: 'HEAD' })).status).toBe(200)
      const added = await fetch(`${v1}/members`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id: 'n2', url: 'http://127.0.0.1:2' })
      })
      expect([added.status, await added.json()]).toMatchObject([200, { members: [{ id: 'n1' }, { id: 'n2' }] }])
      expect((await fetch(`${v1}/members/n2`, { method: 'DELETE' })).status).toBe(200)
      expect((await fetch(`${base}/x`)).status).toBe(statusCode)
    }
  )
})

/** Three nodes whose application may refuse requests. */
async function lockedCluster (install: (app: FastifyInstance) => Promise<void>): Promise<Node[]> {
  return await clusterOfThree(async (app, options) => {
    // A rate limit reaches only the routes that are declared after it.
    await install(app)
    await app.register(cluster, options)
    app.post('/orders', { forward: true }, async () => ({ by: app.cluster.nodeId }))
  })
}

describe('a cluster whose application', () => {
  it('asks for a bearer token takes in a node that joins, and its gateway passes the token on', async () => {
    const nodes = await lockedCluster(async (app) => {
      await app.register(bearerAuth, { keys: new Set(['secret']), verifyErrorLogLevel: 'debug' })
    })
    const leader = await agreedLeader(nodes)
    const [port] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const joined = await startNode({ id: 'n4', url, join: nodes.map((node) => node.url) }, url)
    await expect
      .poll(() => joined.app.cluster.membership.members.find(({ id }) => id === 'n4')?.role, { timeout: 15_000 })
      .toBe('voter')
    const gateway = createGateway({ nodes: nodes.map((node) => node.url), pollMs: 20 })
    onTestFinished(async () => { await gateway.close() })
    const { url: front } = await gateway.listen({ port: 0 })
    expect((await fetch(`${front}/orders`, { method: 'POST' })).status).toBe(401)
    const order = await fetch(`${front}/orders`, { method: 'POST', headers: { authorization: 'Bearer secret' } })
    expect([order.status, await order.json()]).toEqual([200, { by: leader.id }])
  })

  it('limits the rate keeps its leader for two gateways, however often they ask', async () => {
    const nodes = await lockedCluster(async (app) => { await app.register(rateLimit, { max: 5, timeWindow: 60_000 }) })
    const leader = await agreedLeader(nodes)
    const gateways = [0, 1].map(() => createGateway({ nodes: nodes.map((node) => node.url), pollMs: 10 }))
    onTestFinished(async () => { await Promise.all(gateways.map(async (gateway) => { await gateway.close() })) })
    const fronts = await Promise.all(gateways.map(async (gateway) => (await gateway.listen({ port: 0 })).url))
    await expect.poll(() => gateways.every((gateway) => gateway.status().leader?.id === leader.id)).toBe(true)
    // Each asks each node a hundred times a second: many times what the limit allows.
    for (let look = 0; look < 50; look++) {
      await new Promise((resolve) => { setTimeout(resolve, 20) })
      expect(gateways.map((gateway) => gateway.status().leader?.id)).toEqual([leader.id, leader.id])
    }
    for (const front of fronts) expect((await fetch(`${front}/orders`, { method: 'POST' })).status).toBe(200)
  })

  it('asks for a bearer token still refuses a removed node that is started again as a first member', async () => {
    const nodes = await lockedCluster(async (app) => {
      await app.register(bearerAuth, { keys: new Set(['secret']), verifyErrorLogLevel: 'debug' })
    })
    await wholeMembership(nodes)
    const leader = await agreedLeader(nodes)
    const removed = nodes.find(({ id }) => id !== leader.id)
    if (removed === undefined) throw new Error('no follower')
    await leader.app.cluster.removeMember(removed.id)
    await removed.app.close()
    const members = nodes.map(({ id, url }) => ({ id, url }))
    await expect(startNode({ id: removed.id, members }, removed.url)).rejects.toMatchObject({
      code: 'RAFT_UNKNOWN_MEMBER'
    })
  })
})

describe('routes that are served before the application', () => {
  it('are none of its others: data and leadership stay behind its hooks, and so does any other spelling', async () => {
    const { app } = await fakeApp({}, (app) => {
      app.addHook('onRequest', async (_request, reply) => reply.code(401).send('who'))
    })
    const base = await listening(app)
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
    for (const [path, init] of [
      ['kv', {}],
      ['kv/x', {}],
      ['leader/transfer', post],
      ['leader/step-down', post],
      ['snapshot', post],
      ['livezz', {}],
      ['%6civez', {}],
      ['members%2fx', {}],
      ['LIVEZ', {}],
      ['livez/', {}]
    ] as const) {
      expect([path, (await fetch(`${base}/_cluster/v1/${path}`, init)).status]).toEqual([path, 401])
    }
    expect(await rawExchange(Number(new URL(base).port), 'GET http://x/_cluster/v1/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
      .toMatch(/^HTTP\/1\.1 401 /)
  })

  it('answer what they do not have with 404, in the form of all errors', async () => {
    const { app } = await fakeApp({})
    const answer = await fetch(`${await listening(app)}/_cluster/v1/members/x/y`)
    expect([answer.status, await answer.json()]).toMatchObject([404, { code: 'RAFT_NOT_FOUND' }])
  })

  it('refuse a path that cannot be decoded in the form of all errors, and say nothing of the cluster', async () => {
    const { app, engine } = await fakeApp({})
    engine.lead()
    const answer = await fetch(`${await listening(app)}/_cluster/v1/members/%ff`, { method: 'DELETE' })
    const { message, ...body } = await answer.json() as Record<string, unknown>
    expect([answer.status, body]).toEqual([400, { statusCode: 400, code: 'RAFT_INVALID_REQUEST', error: 'Bad Request' }])
    expect(message).toContain('%ff')
    expect([...answer.headers.keys()].filter((name) => name.startsWith('raft-'))).toEqual([])
  })

  it('keep their own rules: no client behind a proxy, no web page, and no body that is too large or malformed', async () => {
    const { app } = await fakeApp({})
    const v1 = `${await listening(app)}/_cluster/v1`
    for (const name of ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']) {
      expect((await fetch(`${v1}/status`, { headers: { [name]: '127.0.0.1' } })).status).toBe(403)
      expect((await fetch(`${v1}/livez`, { headers: { [name]: '127.0.0.1' } })).status).toBe(200)
    }
    const post = async (headers: Record<string, string>, body: string): Promise<number> =>
      (await fetch(`${v1}/members`, { method: 'POST', headers, body })).status
    const json = { 'content-type': 'application/json' }
    const member = JSON.stringify({ id: 'n2', url: 'http://127.0.0.1:2' })
    expect(await post({ ...json, origin: 'http://evil.example' }, member)).toBe(403)
    expect(await post({ ...json, via: '1.1 x' }, member)).toBe(403)
    expect(await post({ 'content-type': 'text/plain' }, member)).toBe(415)
    expect(await post(json, '{"id":1}')).toBe(400)
    expect(await post(json, `{"id":"${'x'.repeat(4_000_000)}"}`)).toBe(413)
    expect(app.cluster.membership.members).toHaveLength(1)
  })

  it('do not pass rewriteUrl of the application', async () => {
    const { app } = await fakeApp({}, undefined, { rewriteUrl: () => '/nowhere' })
    const base = await listening(app)
    expect((await fetch(`${base}/_cluster/v1/livez`)).status).toBe(200)
    expect((await fetch(`${base}/_cluster/v1/kv`)).status).toBe(404)
  })

  it('are logged by nobody, and what fails in them is', async () => {
    const lines: { msg: string }[] = []
    const stream = { write: (line: string) => { lines.push(JSON.parse(line) as { msg: string }) } }
    const { app, engine } = await fakeApp({}, undefined, { logger: { level: 'info', stream } })
    const v1 = `${await listening(app)}/_cluster/v1`
    lines.length = 0
    expect((await fetch(`${v1}/status`)).status).toBe(200)
    expect(lines).toEqual([])
    engine.status = () => { throw new TypeError('broken') }
    expect((await fetch(`${v1}/status`)).status).toBe(500)
    expect(lines).toMatchObject([{ msg: 'a cluster route failed', err: { message: 'broken' } }])
  })

  it('say while the node closes that it is alive, not ready, and who leads', async () => {
    let release = (): void => {}
    const released = new Promise<void>((resolve) => { release = resolve })
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.addHook('preClose', async () => { await released })
    })
    engine.lose('n2')
    const v1 = `${await listening(app)}/_cluster/v1`
    await expect.poll(async () => (await fetch(`${v1}/readyz`)).status).toBe(200)
    const closing = app.close()
    onTestFinished(async () => { await closing })
    await expect.poll(async () => (await fetch(`${v1}/readyz`)).status).toBe(503)
    expect(await (await fetch(`${v1}/readyz?verbose`)).json()).toMatchObject({ checks: { closing: { ok: false } } })
    const alive = await fetch(`${v1}/livez`)
    expect([alive.status, alive.headers.get('connection')]).toEqual([200, 'close'])
    expect(await (await fetch(`${v1}/leader`)).json()).toMatchObject({ id: 'n2' })
    release()
  })
})

describe('a refusal by a hook of the application', () => {
  it.each([
    ['@fastify/under-pressure', obstacles[2], 503, 'FST_UNDER_PRESSURE', '10'],
    ['@fastify/rate-limit', obstacles[1], 429, 'RAFT_BUSY', '60']
  ])('keeps its status on the other routes: %s', async (_name, obstacle, statusCode, code, retryAfter) => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await obstacle?.install(app)
    await app.register(cluster)
    const answer = await app.inject('/_cluster/v1/kv')
    expect([answer.statusCode, answer.json(), answer.headers['retry-after']]).toMatchObject([statusCode, { code }, retryAfter])
  })

  it.each([
    [{ statusCode: 429, code: 'MINE' }, [429, 'MINE', 'no', undefined]],
    [{ status: 418 }, [418, 'RAFT_INVALID_REQUEST', 'no', undefined]],
    [{ statusCode: 503, code: 'MINE', headers: { 'retry-after': '7' } }, [503, 'MINE', 'no', '7']],
    [{ statusCode: 503 }, [503, 'RAFT_BUSY', 'no', '1']],
    [{ onReply: 402 }, [402, 'RAFT_INVALID_REQUEST', 'no', undefined]],
    // What went wrong inside is nobody's business; who refuses with 500 keeps the code.
    [{ statusCode: 500, code: 'MINE' }, [500, 'MINE', 'The request failed; the log of the node says why', undefined]],
    [{ code: 'ENOENT' }, [500, 'RAFT_INTERNAL', 'The request failed; the log of the node says why', undefined]]
  ] as const)('keeps status, code and retry-after: %o', async (properties, expected) => {
    const { app } = await fakeApp({}, (app) => {
      app.addHook('onRequest', async (_request, reply) => {
        if ('onReply' in properties) reply.code(properties.onReply)
        throw Object.assign(new Error('no'), properties)
      })
    })
    const { statusCode, headers, body } = await app.inject('/_cluster/v1/kv')
    const { code, message } = JSON.parse(body) as { readonly code: string, readonly message: string }
    expect([statusCode, code, message, headers['retry-after']]).toEqual(expected)
  })
})
