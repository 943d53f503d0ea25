import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { fakeApp } from '../support/fake-app.ts'

type Body = Readonly<Record<string, unknown>>
interface Answer {
  readonly status: number
  readonly body: Body & { readonly token: string, readonly requestId: string, readonly session: string }
}

async function call (app: FastifyInstance, method: 'GET' | 'POST' | 'DELETE', path: string, payload?: Body): Promise<Answer> {
  const response = await app.inject({ method, url: `/_cluster/v1/${path}`, ...(payload === undefined ? {} : { payload }) })
  return { status: response.statusCode, body: response.json() }
}

async function acquire (app: FastifyInstance, name: string, more: Body = {}): Promise<Answer> {
  return await call(app, 'POST', `locks/${name}/acquire`, { owner: 'me', ttlMs: 60_000, ...more })
}

describe('locks over HTTP', () => {
  it('are acquired, shown, renewed and released', async () => {
    const { app } = await fakeApp({})
    const { status, body } = await acquire(app, 'l')
    expect(status).toBe(200)
    expect(body).toMatchObject({ state: 'granted', name: 'l', owner: 'me', token: expect.stringMatching(/^\d+$/) as string })
    expect(body['expiresInMs']).toBeGreaterThan(50_000)
    expect(await acquire(app, 'l')).toMatchObject({ status: 409, body: { code: 'RAFT_LOCK_HELD' } })
    expect((await call(app, 'GET', 'locks/l')).body).toEqual({
      name: 'l', owner: 'me', token: body.token, ttlMs: 60_000, session: null, waiting: 0
    })
    const renewed = await call(app, 'POST', 'locks/l/renew', { token: body.token, ttlMs: 90_000 })
    expect(renewed.body['expiresInMs']).toBeGreaterThan(80_000)
    expect(await call(app, 'POST', 'locks/l/release', { token: body.token })).toMatchObject({ status: 200 })
    expect(await call(app, 'GET', 'locks/l')).toMatchObject({ status: 404, body: { code: 'RAFT_LOCK_FREE' } })
  })

  it('C: are neither renewed nor released with a stale or a foreign token, and nothing changes', async () => {
    const { app } = await fakeApp({})
    const { body: { token: stale } } = await acquire(app, 'l')
    await call(app, 'POST', 'locks/l/release', { token: stale })
    const { body: { token } } = await acquire(app, 'l')
    const { body: { token: foreign } } = await acquire(app, 'other')
    const before = await call(app, 'GET', 'locks')
    for (const wrong of [stale, foreign, '999999']) {
      for (const [path, more] of [['renew', { ttlMs: 1_000 }], ['release', {}]] as const) {
        expect(await call(app, 'POST', `locks/l/${path}`, { token: wrong, ...more }))
          .toMatchObject({ status: 412, body: { code: 'RAFT_LOCK_LOST' } })
      }
    }
    expect(await call(app, 'GET', 'locks')).toEqual(before)
    expect(before.body['locks']).toMatchObject([{ name: 'l', token }, { name: 'other', token: foreign }])
  })

  it('are waited for in short calls, and confirmed by who is still there', async () => {
    const { app } = await fakeApp({})
    const { body: { token } } = await acquire(app, 'l')
    const { status, body: place } = await acquire(app, 'l', { waitMs: 1 })
    expect(status).toBe(202)
    expect(place).toMatchObject({ state: 'waiting', position: 1, pollWithinMs: 5_000 })
    const polling = acquire(app, 'l', { waitMs: 30_000, requestId: place.requestId })
    await expect.poll(async () => (await call(app, 'GET', 'locks/l')).body['waiting']).toBe(1)
    await call(app, 'POST', 'locks/l/release', { token })
    const offered = await polling
    expect(offered).toMatchObject({ status: 202, body: { state: 'offered', position: 0 } })
    expect(offered.body).not.toHaveProperty('token')
    const granted = await acquire(app, 'l', { waitMs: 30_000, requestId: place.requestId })
    expect(granted).toMatchObject({ status: 200, body: { state: 'granted', requestId: place.requestId } })
    expect(Number(granted.body.token)).toBeGreaterThan(Number(token))
  })

  it('are not granted to a caller that has left', async () => {
    const { app } = await fakeApp({})
    const origin = await app.listen({ port: 0, host: '127.0.0.1' })
    const { body: { token } } = await acquire(app, 'l')
    const leaving = new AbortController()
    const left = fetch(`${origin}/_cluster/v1/locks/l/acquire`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ owner: 'leaver', ttlMs: 60_000, waitMs: 30_000 }),
      signal: leaving.signal
    })
    await expect.poll(async () => (await call(app, 'GET', 'locks/l')).body['waiting']).toBe(1)
    leaving.abort()
    await expect(left).rejects.toThrow()
    await expect.poll(async () => (await call(app, 'GET', 'locks/l')).body['waiting']).toBe(0)
    await call(app, 'POST', 'locks/l/release', { token })
    expect(await acquire(app, 'l')).toMatchObject({ status: 200, body: { owner: 'me' } })
  })

  it('are given up by who waits for them, and by who was just granted them', async () => {
    const { app } = await fakeApp({})
    const { body: { requestId } } = await acquire(app, 'l')
    const { body: place } = await acquire(app, 'l', { waitMs: 1 })
    await call(app, 'POST', 'locks/l/cancel', { requestId: place.requestId })
    expect((await call(app, 'GET', 'locks/l')).body).toMatchObject({ waiting: 0 })
    expect(await acquire(app, 'l', { requestId: place.requestId })).toMatchObject({ status: 412 })
    await call(app, 'POST', 'locks/l/cancel', { requestId })
    expect(await call(app, 'GET', 'locks/l')).toMatchObject({ status: 404 })
  })

  it('get the same answer for the same request', async () => {
    const { app } = await fakeApp({})
    const first = await acquire(app, 'l', { requestId: 'mine' })
    const again = await acquire(app, 'l', { requestId: 'mine' })
    expect(again.body.token).toBe(first.body.token)
  })

  it('are listed by name, in pages', async () => {
    const { app } = await fakeApp({})
    for (const name of ['b', 'a%2F2', 'a%2F1', 'a%2F3']) await acquire(app, name)
    const names = ({ body }: Answer): string[] => (body['locks'] as { name: string }[]).map(({ name }) => name)
    expect(names(await call(app, 'GET', 'locks'))).toEqual(['a/1', 'a/2', 'a/3', 'b'])
    const page = await call(app, 'GET', 'locks?prefix=a&limit=2')
    expect(names(page)).toEqual(['a/1', 'a/2'])
    expect(page.body['next']).toBe('a/2')
    const last = await call(app, 'GET', 'locks?prefix=a&limit=2&after=a%2F2')
    expect(names(last)).toEqual(['a/3'])
    expect(last.body['next']).toBeNull()
  })

  it.each([
    [{ ttlMs: 99 }], [{ ttlMs: 3_600_001 }], [{ ttlMs: undefined }], [{ session: '1' }], [{ owner: '' }], [{ waitMs: 30_001 }],
    [{ requestId: '' }], [{ more: 1 }]
  ])('refuse %o', async (more) => {
    const { app } = await fakeApp({})
    expect(await acquire(app, 'l', more)).toMatchObject({ status: 400, body: { code: 'RAFT_INVALID_REQUEST' } })
    for (const token of ['0', '-1', '1e3', 'x', '']) {
      expect(await call(app, 'POST', 'locks/l/release', { token })).toMatchObject({ status: 400 })
    }
  })
})

describe('sessions over HTTP', () => {
  it('own locks, and end with all of them', async () => {
    const { app } = await fakeApp({})
    const opened = await call(app, 'POST', 'sessions', { owner: 'me' })
    expect(opened).toMatchObject({ status: 201, body: { session: expect.stringMatching(/^\d+$/) as string } })
    const { session } = opened.body
    const granted = await acquire(app, 'l', { ttlMs: undefined, session })
    expect(granted).toMatchObject({ status: 200, body: { expiresInMs: null } })
    expect((await call(app, 'GET', 'locks/l')).body).toMatchObject({ session, ttlMs: null })
    const kept = await call(app, 'POST', `sessions/${session}/keep-alive`)
    expect(kept.body['expiresInMs']).toBeGreaterThan(5_000)
    expect((await call(app, 'GET', 'sessions')).body['sessions']).toEqual([
      { session, owner: 'me', ttlMs: 10_000, isOfProcess: false }
    ])
    expect(await call(app, 'DELETE', `sessions/${session}`)).toMatchObject({ status: 200 })
    expect(await call(app, 'GET', 'locks/l')).toMatchObject({ status: 404 })
    for (const [method, path] of [['POST', `sessions/${session}/keep-alive`], ['DELETE', `sessions/${session}`]] as const) {
      expect(await call(app, method, path)).toMatchObject({ status: 412, body: { code: 'RAFT_SESSION_LOST' } })
    }
    expect(await acquire(app, 'l', { ttlMs: undefined, session })).toMatchObject({ status: 412, body: { code: 'RAFT_SESSION_LOST' } })
  })

  it('grant a lock to who waits under one, as long as it lives', async () => {
    const { app } = await fakeApp({})
    const { body: { token } } = await acquire(app, 'l')
    const { body: { session } } = await call(app, 'POST', 'sessions', { owner: 'me', requestId: 'r' })
    expect((await call(app, 'POST', 'sessions', { owner: 'me', requestId: 'r' })).body.session).toBe(session)
    const polling = acquire(app, 'l', { ttlMs: undefined, session, waitMs: 30_000 })
    await expect.poll(async () => (await call(app, 'GET', 'locks/l')).body['waiting']).toBe(1)
    await call(app, 'POST', 'locks/l/release', { token })
    expect(await polling).toMatchObject({ status: 200, body: { state: 'granted', expiresInMs: null } })
  })

  it.each([[{ ttlMs: 999 }], [{ ttlMs: 3_600_001 }], [{ owner: 'x'.repeat(201) }], [{ more: 1 }]])('refuse %o', async (more) => {
    const { app } = await fakeApp({})
    expect(await call(app, 'POST', 'sessions', { owner: 'me', ...more }))
      .toMatchObject({ status: 400, body: { code: 'RAFT_INVALID_REQUEST' } })
  })
})
