import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { RawClient } from '../../gateway/support/servers.ts'
import { until } from '../../support/until.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** The two kinds of marked routes, behind a hook that runs `before`, and one that another plugin adds to each route. */
function routes (ran: string[], before: () => void) {
  return (app: FastifyInstance): void => {
    app.addHook('onRoute', (route) => {
      route.preHandler = [...[route.preHandler ?? []].flat(), async () => { before() }]
    })
    for (const mark of ['forward', 'leaderOnly'] as const) {
      app.route({
        method: ['GET', 'POST'],
        url: `/${mark}`,
        [mark]: true,
        handler: async () => { ran.push(mark); return 'x' }
      })
    }
  }
}

describe('B15 a leadership that ends after the request was let in, and before the handler', () => {
  it.each(['/forward', '/leaderOnly'])('keeps the handler of %s from running once nobody waits for a forwarded request', async (url) => {
    const ran: string[] = []
    let before = (): void => {}
    const { app, engine } = await fakeApp(threeMembers(), routes(ran, () => { before() }))
    engine.lead()
    const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }))
    const head = `GET ${url} HTTP/1.1\r\nHost: a\r\nraft-hop: v=1;from=n2;to=n1;term=1;id=abc;left=100\r\n\r\n`
    // A hook that takes longer than the sender waits.
    before = () => { for (const endsAtMs = performance.now() + 150; performance.now() < endsAtMs;); }
    const client = new RawClient(Number(port)).send(head)
    expect(await client.untilReceived('RAFT_DEADLINE_PASSED')).toMatch(/^HTTP\/1\.1 503 .*raft-not-executed: 1;id=abc\r\n/s)
    expect(ran).toEqual([])
  })

  it.each(['/forward', '/leaderOnly'])('keeps the handler of %s from running', async (url) => {
    const ran: string[] = []
    let lapse = (): void => {}
    const { app, engine } = await fakeApp(threeMembers(), routes(ran, () => { lapse() }))
    engine.lead()
    expect((await app.inject({ method: 'POST', url })).statusCode).toBe(200)
    lapse = () => { engine.lose('n2') }
    const response = await app.inject({ method: 'POST', url })
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1'])
    expect(response.json()).toMatchObject({
      code: 'RAFT_NOT_LEADER',
      message: 'This node is not the leader: its leadership ended before the handler ran; nothing was executed',
      leader: { id: 'n2' }
    })
    expect(ran).toHaveLength(1)
  })

  it.each(['/forward', '/leaderOnly'])('is told to the forwarder and the gateway by a proof, on %s', async (url) => {
    const ran: string[] = []
    const { app, engine } = await fakeApp(threeMembers(), routes(ran, () => { engine.lapseSilently() }))
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const { term } = engine.lead()
    const hop = { 'raft-hop': `v=1;from=n2;to=n1;term=${term};id=abc-1` }
    const forwarded = await fetch(`${base}${url}`, { method: 'POST', headers: hop, body: 'x' })
    expect([forwarded.status, forwarded.headers.get('raft-not-executed')]).toEqual([503, `${term};id=abc-1`])
    engine.lead()
    const read = await fetch(`${base}${url}`, { headers: { 'raft-attempt': 'abc-2' } })
    expect([read.status, read.headers.get('raft-not-executed')]).toEqual([503, '2;id=abc-2'])
    expect(ran).toEqual([])
  })

  it.each(['/forward', '/leaderOnly'])('is asked for on %s where only the lease has lapsed, and nobody else leads', async (url) => {
    const ran: string[] = []
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      routes(ran, () => { engine.lapseSilently() })(app)
      app.post('/sends', { leaderOnly: true, preHandler: async () => { engine.lapseSilently() } }, (_request, reply) => {
        setImmediate(() => { reply.send('later') })
      })
      app.post('/throws', { forward: true, preHandler: async () => { engine.lapseSilently() } }, () => {
        throw Object.assign(new Error('no'), { statusCode: 418 })
      })
    })
    engine.lead()
    engine.readsRenewLease = true
    expect((await app.inject({ method: 'POST', url, payload: { a: 1 } })).statusCode).toBe(200)
    expect(ran).toHaveLength(1)
    expect((await app.inject({ method: 'POST', url: '/sends' })).body).toBe('later')
    expect((await app.inject({ method: 'POST', url: '/throws' })).statusCode).toBe(418)
    // A majority that does not answer.
    engine.readsRenewLease = false
    engine.lead()
    expect((await app.inject({ method: 'POST', url, payload: { a: 1 } })).json()).toMatchObject({ code: 'RAFT_NOT_LEADER' })
    expect(ran).toHaveLength(1)
  })

  it('may end while the body comes in slowly', async () => {
    const ran: string[] = []
    let parses = false
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.addHook('preParsing', async () => { parses = true })
      routes(ran, () => {})(app)
    })
    engine.lead()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const client = new RawClient(Number(new URL(app.listeningOrigin).port))
    client.send('POST /leaderOnly HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nx')
    await until('the body is being read', () => parses)
    engine.lose('n2')
    expect(await client.send('x').untilReceived('RAFT_NOT_LEADER')).toMatch(/^HTTP\/1\.1 503 /)
    expect(ran).toEqual([])
  })

  it('is no matter to a handler that is given its instance and both arguments as ever', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/x', { leaderOnly: true }, function (request, reply) {
        reply.send({ isInstance: this.cluster === request.server.cluster, url: request.url })
      })
    })
    engine.lead()
    expect((await app.inject('/x')).json()).toEqual({ isInstance: true, url: '/x' })
  })
})
