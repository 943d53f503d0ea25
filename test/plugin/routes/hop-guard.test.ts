import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it } from 'vitest'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { fakeApp, FakePeerEngine, threeMembers } from '../support/fake-app.ts'

interface Answer {
  readonly statusCode: number
  readonly headers: Headers
  readonly json: () => unknown
}

/** Over a real connection: forwarded requests are judged on the server, before Fastify. */
async function post (app: FastifyInstance, path: string, hopValue: string, method = 'POST'): Promise<Answer> {
  const base = app.server.listening ? app.listeningOrigin : await app.listen({ port: 0, host: '127.0.0.1' })
  const response = await fetch(`${base}/${path}`, { method, headers: hop(hopValue) })
  const text = await response.text()
  return { statusCode: response.status, headers: response.headers, json: () => JSON.parse(text) as unknown }
}

function hop (fields: string): Record<string, string> {
  return { 'raft-hop': fields }
}
function routes (ran: string[]) {
  return (app: FastifyInstance): void => {
    app.post('/forward', { forward: true }, async () => { ran.push('forward'); return 'x' })
    app.post('/only', { leaderOnly: true }, async () => { ran.push('only'); return 'x' })
    app.post('/plain', async () => { ran.push('plain'); return 'x' })
  }
}

describe('a forwarded request', () => {
  it('is served by the node it names, in the term it names', async () => {
    const ran: string[] = []
    const { app, engine } = await fakeApp(threeMembers(), routes(ran))
    engine.lead()
    for (const path of ['forward', 'only', 'plain']) {
      const response = await post(app, path, 'v=1;from=n2;to=n1;term=1')
      expect(response.statusCode).toBe(200)
      expect(response.headers.get('raft-node')).toBe('n1')
      expect(response.headers.get('raft-not-executed')).toBeNull()
    }
    expect(ran).toEqual(['forward', 'only', 'plain'])
  })

  it.each([
    ['to another node', 'v=1;from=n2;to=n3;term=2', 421, 'RAFT_MISDIRECTED'],
    ['in an older term', 'v=1;from=n2;to=n1;term=1', 503, 'RAFT_NOT_LEADER'],
    ['in a later term', 'v=1;from=n2;to=n1;term=3', 503, 'RAFT_NOT_LEADER'],
    ['of another version', 'v=2;from=n2;to=n1;term=2', 421, 'RAFT_MISDIRECTED'],
    ['that is nonsense', 'true', 421, 'RAFT_MISDIRECTED'],
    ['that is empty', '', 421, 'RAFT_MISDIRECTED']
  ])('%s is answered "not executed" before any handler, on every route', async (_what, value, statusCode, code) => {
    const ran: string[] = []
    const { app, engine } = await fakeApp(threeMembers(), routes(ran))
    engine.lead()
    engine.lead()
    for (const path of ['forward', 'only', 'plain', 'missing']) {
      const response = await post(app, path, value)
      expect(response.statusCode).toBe(statusCode)
      expect(response.headers.get('raft-not-executed')).toBe('2')
      expect(response.json()).toMatchObject({ code })
    }
    expect(ran).toEqual([])
  })

  it.each([
    ['no time is left', (): string => 'left=0'],
    ['its time was over before it was read', (): string => `left=500;at=${Math.floor(performance.now()) - 1_000}`]
  ])('is not executed when %s, on any route', async (_what, time) => {
    const ran: string[] = []
    const { app, engine } = await fakeApp(threeMembers(), routes(ran))
    engine.lead()
    for (const path of ['forward', 'only', 'plain', 'missing']) {
      const response = await post(app, path, `v=1;from=n2;to=n1;term=1;id=abc;${time()}`)
      expect(response.statusCode).toBe(503)
      expect(response.headers.get('raft-not-executed')).toBe('1;id=abc')
      expect(response.json()).toMatchObject({ code: 'RAFT_DEADLINE_PASSED' })
    }
    expect(ran).toEqual([])
    expect((await post(app, 'forward', `v=1;from=n2;to=n1;term=1;left=60000;at=${Math.floor(performance.now())}`)).statusCode).toBe(200)
  })

  it('is answered with its own identity', async () => {
    const { app } = await fakeApp(threeMembers(), routes([]))
    const response = await post(app, 'forward', 'v=1;from=n2;to=n1;term=1;id=abc-1')
    expect(response.headers.get('raft-not-executed')).toBe('0;id=abc-1')
  })

  it('is never forwarded again by a node that does not lead', async () => {
    const ran: string[] = []
    let lapse = (): void => {}
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      // Leadership is lost between the check of the hop and the guard of the route.
      app.addHook('onRequest', async () => { lapse() })
      routes(ran)(app)
    })
    lapse = () => { engine.lapseSilently() }
    for (const path of ['forward', 'only']) {
      const { term } = engine.lead()
      const response = await post(app, path, `v=1;from=n2;to=n1;term=${term}`)
      expect(response.statusCode).toBe(503)
      expect(response.headers.get('raft-not-executed')).toBe(String(term))
      expect(response.headers.get('retry-after')).toBe('1')
    }
    expect(ran).toEqual([])
  })

  it('is not executed on a node that is closing, however Fastify refuses it', async () => {
    for (const return503OnClosing of [true, false]) {
      const ran: string[] = []
      let answer: Promise<{ status: number | undefined, marker: unknown }> | undefined
      const { app, engine } = await fakeApp(threeMembers(), (app) => {
        routes(ran)(app)
        // After the plugin's own preClose hook: leadership is handed over, and the server still has its connections.
        app.addHook('preClose', async () => {
          const { port } = app.server.address() as AddressInfo
          answer = new Promise((resolve, reject) => {
            httpRequest(
              { port, method: 'POST', path: '/plain', headers: hop('v=1;from=n2;to=n1;term=1;id=x1') },
              (response) => {
                response.resume()
                resolve({ status: response.statusCode, marker: response.headers['raft-not-executed'] })
              }
            )
              .on('error', reject)
              .end()
          })
          await answer
        })
      }, { return503OnClosing })
      engine.lead()
      await app.listen({ port: 0, host: '127.0.0.1' })
      await app.close()
      expect(await answer).toEqual({ status: 503, marker: '2;id=x1' })
      expect(ran).toEqual([])
      expect(engine.stopped).toBe(true)
    }
  })
})

it('a hop is not executed while preClose hooks run that were added before the plugin', async () => {
  let engine: FakePeerEngine | undefined
  let answer: { status: number | undefined, marker: unknown } | undefined
  const app = Fastify()
  app.addHook('preClose', async () => {
    const { port } = app.server.address() as AddressInfo
    const headers = hop(`v=1;from=n2;to=n1;term=${engine?.leader()?.term};id=x1`)
    answer = await new Promise((resolve, reject) => {
      httpRequest({ port, method: 'POST', path: '/forward', headers }, (response) => {
        response.resume()
        resolve({ status: response.statusCode, marker: response.headers['raft-not-executed'] })
      }).on('error', reject).end()
    })
  })
  await app.register(createClusterPlugin(async (request) => {
    engine = new FakePeerEngine(request)
    return engine
  }), threeMembers())
  routes([])(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  engine?.lead()
  await app.close()
  expect(answer).toMatchObject({ status: 503, marker: expect.stringMatching(/;id=x1$/) as string })
})

describe('the marker "not executed"', () => {
  it('cannot be sent by the application, however it writes', async () => {
    const marker = { 'Raft-Not-Executed': '1;id=forged' }
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/reply', { forward: true }, async (_request, reply) => reply.headers(marker).code(503).send('x'))
      app.get('/raw-object', async (_request, reply) => {
        reply
          .hijack()
          .raw.writeHead(503, { ...marker, other: '1' })
          .end('x')
      })
      app.get('/raw-array', async (_request, reply) => {
        reply.hijack().raw.writeHead(503, ['raft-not-executed', '1', 'other', '1']).end('x')
      })
      app.get('/raw-message', async (_request, reply) => {
        reply
          .hijack()
          .raw.writeHead(503, 'Busy', { ...marker, other: '1' })
          .end('x')
      })
      app.get('/raw-implicit', async (_request, reply) => {
        const { raw } = reply.hijack()
        raw.setHeader('raft-not-executed', '1')
        raw.setHeader('other', '1')
        raw.statusCode = 503
        raw.end('x')
      })
      app.get('/late', async (_request, reply) => {
        reply.raw.setHeader('raft-not-executed', '1')
        return reply.header('other', '1').code(503).send('x')
      })
    })
    engine.lead()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    for (const path of ['reply', 'raw-object', 'raw-array', 'raw-message', 'raw-implicit', 'late']) {
      const response = await fetch(`${base}/${path}`, { headers: hop('v=1;from=n2;to=n1;term=1') })
      expect([path, response.status, response.headers.get('raft-not-executed')]).toEqual([path, 503, null])
      if (path !== 'reply') expect([path, response.headers.get('other')]).toEqual([path, '1'])
      expect(await response.text()).toBe('x')
    }
  })
})

describe('the name of the leader in answers to forwarded requests', () => {
  it.each([
    ['names and values in turn', ['set-cookie', 'a=1', 'Set-Cookie', 'b=2', 'Raft-Node', 'x']],
    ['pairs', [['set-cookie', 'a=1'], ['Set-Cookie', 'b=2'], ['Raft-Node', 'x']]]
  ])('leaves repeated lines as they are, given as %s', async (_form, lines) => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/raw', async (_request, reply) => { reply.hijack().raw.writeHead(200, lines as string[]).end('x') })
    })
    engine.lead()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const { headers } = await fetch(`${base}/raw`, { headers: hop('v=1;from=n2;to=n1;term=1') })
    expect(headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(headers.get('raft-node')).toBe('n1')
  })
})
