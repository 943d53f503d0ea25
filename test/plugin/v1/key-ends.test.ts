import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { fakeApp } from '../support/fake-app.ts'

type Body = Readonly<Record<string, unknown>>

async function call (app: FastifyInstance, method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, payload?: Body) {
  const response = await app.inject({ method, url: `/_cluster/v1/${path}`, ...(payload === undefined ? {} : { payload }) })
  return { status: response.statusCode, body: response.json<Body>() }
}

describe('keys that end by themselves, over HTTP', () => {
  it('have a time to live, which readers are shown', async () => {
    const { app } = await fakeApp({})
    const { status, body } = await call(app, 'PUT', 'kv/a', { value: 1, ttlMs: 60_000 })
    expect([status, body]).toEqual([200, { key: 'a', value: 1, revision: expect.any(Number) as number, ttlMs: 60_000 }])
    expect((await call(app, 'GET', 'kv/a')).body).toEqual(body)
    expect((await call(app, 'GET', 'kv')).body['entries']).toEqual([body])
    expect((await call(app, 'PUT', 'kv/a', { value: 2 })).body).not.toHaveProperty('ttlMs')
    expect((await call(app, 'GET', 'kv/a')).body).not.toHaveProperty('ttlMs')
  })

  it('belong to a session, and go when that ends', async () => {
    const { app } = await fakeApp({})
    const { body: { session } } = await call(app, 'POST', 'sessions', { owner: 'me' })
    expect((await call(app, 'PUT', 'kv/a', { value: 1, session })).body).toMatchObject({ session })
    const then = [{ kind: 'set', key: 'b', value: 1, session }, { kind: 'set', key: 'c', value: 1, ttlMs: 60_000 }]
    expect((await call(app, 'POST', 'kv-transaction', { then })).status).toBe(200)
    await call(app, 'DELETE', `sessions/${String(session)}`)
    expect((await call(app, 'GET', 'kv')).body['entries']).toMatchObject([{ key: 'c' }])
    const refused = { status: 412, body: { code: 'RAFT_SESSION_LOST' } }
    expect(await call(app, 'PUT', 'kv/a', { value: 1, session })).toMatchObject(refused)
    expect(await call(app, 'POST', 'kv-transaction', { then })).toMatchObject(refused)
  })

  it.each([
    { ttlMs: 99 }, { ttlMs: 604_800_001 }, { ttlMs: '5s' }, { session: 'x' }, { ephemeral: true }, { ttlMs: 1_000, session: '7' }
  ])('with %j are refused, and nothing is written', async (end) => {
    const { app } = await fakeApp({})
    const refused = { status: 400, body: { code: 'RAFT_INVALID_REQUEST' } }
    expect(await call(app, 'PUT', 'kv/a', { value: 1, ...end })).toMatchObject(refused)
    expect(await call(app, 'POST', 'kv-transaction', { then: [{ kind: 'set', key: 'a', value: 1, ...end }] }))
      .toMatchObject(refused)
    expect((await call(app, 'GET', 'kv')).body['entries']).toEqual([])
  })
})
