import { describe, expect, it } from 'vitest'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

describe('leaderOnly', () => {
  it('serves on the leader and says which node it was', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.post('/reindex', { leaderOnly: true }, async (request) => ({ got: request.body }))
    })
    engine.lead()
    const response = await app.inject({ method: 'POST', url: '/reindex', payload: { a: 1 } })
    expect(response.statusCode).toBe(200)
    expect(response.json()).toEqual({ got: { a: 1 } })
    expect(response.headers['raft-node']).toBe('n1')
  })

  it('answers 503 on a follower, says who leads, and runs neither parsing nor handler', async () => {
    let ran = false
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.post('/reindex', { leaderOnly: true, preValidation: async () => { ran = true } }, async () => { ran = true })
    })
    engine.lose('n2')
    const response = await app.inject({
      method: 'POST',
      url: '/reindex',
      headers: { 'content-type': 'application/json' },
      payload: '{broken'
    })
    expect(response.statusCode).toBe(503)
    expect(response.json()).toEqual({
      statusCode: 503,
      code: 'RAFT_NOT_LEADER',
      error: 'Service Unavailable',
      message: 'This node is not the leader: n2 leads',
      leader: { id: 'n2', url: 'http://127.0.0.1:2', term: 1 },
      term: 1
    })
    expect(response.headers).toMatchObject({
      'retry-after': '1',
      'raft-node': 'n1',
      'raft-leader': 'http://127.0.0.1:2',
      'raft-term': '1'
    })
    expect(ran).toBe(false)
  })

  it('tells a gateway that nothing was executed, by the name of this attempt alone', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/x', { leaderOnly: true }, async () => 'x')
    })
    engine.lose('n2')
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const marker = async (headers: Record<string, string>): Promise<unknown> =>
      (await fetch(`${base}/x`, { headers })).headers.get('raft-not-executed')
    expect(await marker({ 'raft-attempt': 'abc-123' })).toBe('1;id=abc-123')
    expect(await marker({})).toBeNull()
    expect(await marker({ 'raft-attempt': 'a b' })).toBeNull()
    engine.uuid = 'u-1'
    expect(await marker({ 'raft-attempt': 'abc-123;cluster=u-1' })).toBe('1;id=abc-123;cluster=u-1')
    expect(await marker({ 'raft-attempt': 'abc-123;cluster=u-2' })).toBeNull()
  })

  it('answers 503 when no node leads, and behind a lapsed lease', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => { app.get('/x', { leaderOnly: true }, async () => 'x') })
    const none = await app.inject('/x')
    expect(none.statusCode).toBe(503)
    expect(none.json()).toMatchObject({ code: 'RAFT_NOT_LEADER', leader: null })
    expect(none.headers['raft-leader']).toBeUndefined()
    engine.lead()
    expect((await app.inject('/x')).statusCode).toBe(200)
    engine.lapseSilently()
    expect((await app.inject('/x')).statusCode).toBe(503)
  })

  it('runs the onRequest hooks of the application first', async () => {
    const { app } = await fakeApp(threeMembers(), (app) => {
      app.addHook('onRequest', async (_request, reply) => reply.code(401).send({ who: 'are you' }))
      app.get('/x', { leaderOnly: true, onRequest: async () => {} }, async () => 'x')
    })
    expect((await app.inject('/x')).statusCode).toBe(401)
  })

  it('is not reshaped by the response schema or error handler of the route', async () => {
    const { app } = await fakeApp(threeMembers(), (app) => {
      app.setErrorHandler(async (_error, _request, reply) => reply.code(500).send('mine'))
      app.get(
        '/x',
        {
          leaderOnly: true,
          schema: { response: { '5xx': { type: 'object', properties: { nothing: { type: 'string' } } } } }
        },
        async () => 'x'
      )
    })
    expect((await app.inject('/x')).json()).toMatchObject({ code: 'RAFT_NOT_LEADER' })
  })

  it('holds for the HEAD route that Fastify adds to a GET route', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => { app.get('/x', { leaderOnly: true }, async () => 'x') })
    const refused = await app.inject({ method: 'HEAD', url: '/x' })
    expect(refused.statusCode).toBe(503)
    expect(refused.body).toBe('')
    engine.lead()
    expect((await app.inject({ method: 'HEAD', url: '/x' })).statusCode).toBe(200)
  })
})
