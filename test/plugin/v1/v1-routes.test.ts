import type { InjectOptions } from 'fastify'
import { describe, expect, it } from 'vitest'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

const json = { 'content-type': 'application/json' }
function put (key: string, payload: string | object, headers: Record<string, string> = {}): InjectOptions {
  return { method: 'PUT', url: `/_cluster/v1/kv/${key}`, payload, headers: { ...json, ...headers } }
}

describe('kv', () => {
  it('writes, reads, lists and deletes', async () => {
    const { app } = await fakeApp({})
    const written = (await app.inject(put('a%2Fb', { value: { n: [1, null, 'ä'] } }))).json<{ revision: number }>()
    expect(written).toEqual({ key: 'a/b', value: { n: [1, null, 'ä'] }, revision: expect.any(Number) as number })
    for (const read of ['', '?read=linearizable', '?read=lease', '?read=local']) {
      const response = await app.inject(`/_cluster/v1/kv/a%2Fb${read}`)
      expect(response.json()).toEqual(written)
      expect(response.headers).toMatchObject({ 'raft-node': 'n1', 'raft-term': '1' })
    }
    await app.inject(put('c', { value: null }))
    const list = async (query: string): Promise<string[]> =>
      (await app.inject(`/_cluster/v1/kv${query}`))
        .json<{ entries: { key: string }[] }>()
        .entries.map((entry) => entry.key)
    expect(await list('')).toEqual(['a/b', 'c'])
    expect(await list('?prefix=a')).toEqual(['a/b'])
    expect(await list('?limit=1')).toEqual(['a/b'])
    expect(await list('?limit=1&after=a%2Fb')).toEqual(['c'])
    expect((await app.inject('/_cluster/v1/kv?limit=1')).json()).toMatchObject({ next: 'a/b' })
    expect((await app.inject('/_cluster/v1/kv?limit=2')).json()).toMatchObject({ next: null })
    expect((await app.inject({ method: 'DELETE', url: '/_cluster/v1/kv/c' })).json()).toMatchObject({ key: 'c' })
    expect(await list('')).toEqual(['a/b'])
  })

  it('is the map kv of the node', async () => {
    const { app } = await fakeApp({})
    await app.cluster.map('kv').set('x', 1)
    expect((await app.inject('/_cluster/v1/kv/x')).json()).toMatchObject({ value: 1 })
  })

  it('answers 404 for what does not exist', async () => {
    const { app } = await fakeApp({})
    for (const method of ['GET', 'DELETE'] as const) {
      const response = await app.inject({ method, url: '/_cluster/v1/kv/none' })
      expect(response.statusCode).toBe(404)
      expect(response.json()).toEqual({
        statusCode: 404,
        code: 'RAFT_KEY_NOT_FOUND',
        error: 'Not Found',
        message: 'The key "none" does not exist',
        leader: { id: 'n1', url: '', term: 1 },
        term: 1
      })
    }
  })

  it('makes transactions on its keys, as a whole and once', async () => {
    const { app } = await fakeApp({})
    const send = async (payload: object, headers: Record<string, string> = {}) =>
      await app.inject({ method: 'POST', url: '/_cluster/v1/kv-transaction', payload, headers: { ...json, ...headers } })
    const transaction = {
      compare: [{ key: 'a', exists: false }],
      then: [{ kind: 'set', key: 'a', value: 1 }, { kind: 'set', key: 'b', value: [] }],
      else: [{ kind: 'delete', key: 'b' }]
    }
    const first = await send(transaction, { 'idempotency-key': 'i' })
    expect(first.statusCode).toBe(200)
    expect(first.json()).toMatchObject({ succeeded: true, revisions: [0] })
    expect((await send(transaction, { 'idempotency-key': 'i' })).json()).toEqual(first.json())
    expect((await app.inject('/_cluster/v1/kv')).json()).toMatchObject({ entries: [{ key: 'a' }, { key: 'b' }] })
    expect((await send(transaction)).json()).toMatchObject({ succeeded: false })
    expect((await app.inject('/_cluster/v1/kv/b')).statusCode).toBe(404)
    for (const [payload, status, code] of [
      [{ ...transaction, fence: '999' }, 412, 'RAFT_FENCED'],
      [{ success: [] }, 400, 'RAFT_INVALID_REQUEST'],
      [{ then: [{ kind: 'set', key: 'a', value: 1, map: 'other' }] }, 400, 'RAFT_INVALID_REQUEST'],
      [{ then: [{ kind: 'delete', key: 'a' }, { kind: 'delete', key: 'a' }] }, 400, 'RAFT_INVALID_REQUEST'],
      [{ then: [{ kind: 'delete', key: 'k'.repeat(513) }] }, 413, 'RAFT_TOO_LARGE']
    ] as const) {
      const answer = await send(payload)
      expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([status, code])
    }
  })

  it('writes only at the revision named', async () => {
    const { app } = await fakeApp({})
    const first = (await app.inject(put('x', { value: 1, ifRevision: 0 }))).json<{ revision: number }>()
    const again = await app.inject(put('x', { value: 2, ifRevision: 0 }))
    expect(again.statusCode).toBe(409)
    expect(again.json()).toMatchObject({ code: 'RAFT_REVISION_MISMATCH' })
    expect((await app.inject(put('x', { value: 2, ifRevision: first.revision }))).statusCode).toBe(200)
    expect(
      (await app.inject({ method: 'DELETE', url: `/_cluster/v1/kv/x?ifRevision=${first.revision}` })).statusCode
    ).toBe(409)
    expect((await app.inject('/_cluster/v1/kv/x')).json()).toMatchObject({ value: 2 })
  })

  it('applies an idempotency key once', async () => {
    const { app } = await fakeApp({})
    const first = await app.inject(put('x', { value: 1 }, { 'idempotency-key': 'k1' }))
    await app.inject(put('x', { value: 2 }))
    const again = await app.inject(put('x', { value: 1 }, { 'idempotency-key': 'k1' }))
    expect(again.json()).toEqual(first.json())
    expect((await app.inject('/_cluster/v1/kv/x')).json()).toMatchObject({ value: 2 })
    const other = await app.inject(put('x', { value: 3 }, { 'idempotency-key': 'k1' }))
    expect(other.statusCode).toBe(422)
    expect(other.json()).toMatchObject({ code: 'RAFT_IDEMPOTENCY_CONFLICT' })
    for (const key of ['k'.repeat(201), 'k1, k2', '"k1']) {
      const refused = await app.inject(put('x', { value: 3 }, { 'idempotency-key': key }))
      expect(refused.statusCode).toBe(400)
      expect(refused.json()).toMatchObject({ code: 'RAFT_INVALID_REQUEST' })
    }
    const quoted = await app.inject(put('x', { value: 1 }, { 'idempotency-key': '"k1"' }))
    expect(quoted.json()).toEqual(first.json())
  })

  it('keeps the idempotency keys of clients apart from those of the application', async () => {
    const { app } = await fakeApp({})
    const first = await app.inject(put('x', { value: 1 }, { 'idempotency-key': 'k1' }))
    const own = await app.cluster.map('kv').set('x', 2, { idempotencyKey: 'k1' })
    expect(own.revision).toBeGreaterThan((first.json<{ revision: number }>()).revision)
    expect((await app.inject(put('x', { value: 1 }, { 'idempotency-key': 'k1' }))).json()).toEqual(first.json())
  })

  it('answers 503 with retry-after while there is no room for another idempotency key', async () => {
    const { app } = await fakeApp({ idempotency: { maxBytes: 65_536, horizonMs: 5_000 } })
    let taken = 0
    let response = await app.inject(put('x', { value: 0 }, { 'idempotency-key': 'k0' }))
    const first = response.json<unknown>()
    while (response.statusCode === 200 && taken < 1_000) {
      taken++
      response = await app.inject(put('x', { value: taken }, { 'idempotency-key': `k${taken}` }))
    }
    expect(taken).toBeGreaterThan(100)
    expect(response.statusCode).toBe(503)
    expect(response.headers['retry-after']).toBe('1')
    expect(response.json()).toMatchObject({ code: 'RAFT_BUSY' })
    expect((await app.inject('/_cluster/v1/kv/x')).json()).toMatchObject({ value: taken - 1 })
    // The known keys are answered, and so is what has none.
    expect((await app.inject(put('x', { value: 0 }, { 'idempotency-key': 'k0' }))).json()).toEqual(first)
    expect((await app.inject(put('x', { value: 'plain' }))).statusCode).toBe(200)
  })

  it('answers 503 with retry-after without a leader, for reads and writes', async () => {
    const { app, engine } = await fakeApp({})
    engine.unavailable = true
    for (const request of [
      put('x', { value: 1 }),
      { method: 'GET', url: '/_cluster/v1/kv/x' },
      { method: 'DELETE', url: '/_cluster/v1/kv/x' },
      { method: 'GET', url: '/_cluster/v1/kv' }
    ] as InjectOptions[]) {
      const response = await app.inject(request)
      expect(response.statusCode).toBe(503)
      expect(response.json()).toMatchObject({ code: 'RAFT_NO_LEADER' })
      expect(response.headers['retry-after']).toBe('1')
    }
    expect((await app.inject('/_cluster/v1/kv/x?read=local')).statusCode).toBe(404)
  })
})

describe('bad requests change nothing', () => {
  it.each<[string, InjectOptions, number, string]>([
    ['no value', put('x', {}), 400, 'RAFT_INVALID_REQUEST'],
    ['an unknown member', put('x', { value: 1, revision: 1 }), 400, 'RAFT_INVALID_REQUEST'],
    ['a negative revision', put('x', { value: 1, ifRevision: -1 }), 400, 'RAFT_INVALID_REQUEST'],
    ['a revision as text', put('x', { value: 1, ifRevision: '0' }), 400, 'RAFT_INVALID_REQUEST'],
    [
      'a revision beyond safe integers',
      put('x', '{"value":1,"ifRevision":9007199254740993}'),
      400,
      'RAFT_INVALID_REQUEST'
    ],
    ['no JSON', put('x', '{'), 400, 'RAFT_INVALID_REQUEST'],
    [
      'another content type',
      put('x', 'value=1', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
      'RAFT_INVALID_REQUEST'
    ],
    ['__proto__ in the body', put('x', '{"value":1,"__proto__":{"x":1}}'), 400, 'RAFT_INVALID_REQUEST'],
    [
      '__proto__ in the value',
      put('x', '{"value":{"a":[{"__proto__":{"x":1}}]}}'),
      400,
      'RAFT_INVALID_REQUEST'
    ],
    [
      'constructor.prototype in the value',
      put('x', '{"value":{"constructor":{"prototype":{"x":1}}}}'),
      400,
      'RAFT_INVALID_REQUEST'
    ],
    [
      'an unknown query parameter',
      { method: 'GET', url: '/_cluster/v1/kv/x?reed=local' },
      400,
      'RAFT_INVALID_REQUEST'
    ],
    ['an unknown kind of read', { method: 'GET', url: '/_cluster/v1/kv/x?read=guess' }, 400, 'RAFT_INVALID_REQUEST'],
    ['a limit of nothing', { method: 'GET', url: '/_cluster/v1/kv?limit=0' }, 400, 'RAFT_INVALID_REQUEST'],
    ['a limit that is no number', { method: 'GET', url: '/_cluster/v1/kv?limit=all' }, 400, 'RAFT_INVALID_REQUEST'],
    ['an empty key', { method: 'GET', url: '/_cluster/v1/kv/' }, 400, 'RAFT_INVALID_REQUEST'],
    ['a key over its limit', put('k'.repeat(513), { value: 1 }), 413, 'RAFT_TOO_LARGE'],
    ['a key over its limit in bytes', put(encodeURIComponent('ä'.repeat(257)), { value: 1 }), 413, 'RAFT_TOO_LARGE'],
    ['a value over its limit', put('x', { value: 'v'.repeat(1_048_576) }), 413, 'RAFT_TOO_LARGE'],
    ['a body over every limit', put('x', { value: 'v'.repeat(3_000_000) }), 413, 'RAFT_TOO_LARGE'],
    ['a value that nests too deep', put('x', `{"value":${'['.repeat(129)}${']'.repeat(129)}}`), 413, 'RAFT_TOO_LARGE'],
    [
      'a value that nests far too deep',
      put('x', `{"value":${'['.repeat(500_000)}${']'.repeat(500_000)}}`),
      413,
      'RAFT_TOO_LARGE'
    ]
  ])('%s', async (_what, request, statusCode, code) => {
    const { app, engine } = await fakeApp({})
    const { lastIndex } = engine.status()
    const response = await app.inject(request)
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([statusCode, code])
    expect(Object.keys(response.json<object>())).toEqual(['statusCode', 'code', 'error', 'message', 'leader', 'term'])
    expect(engine.status().lastIndex).toBe(lastIndex)
    expect((await app.inject(put('fine', { value: 1 }))).statusCode).toBe(200)
  })

  it('a key of 512 bytes is fine', async () => {
    const { app } = await fakeApp({})
    const key = 'k'.repeat(512)
    expect((await app.inject(put(key, { value: 1 }))).statusCode).toBe(200)
    expect((await app.inject(`/_cluster/v1/kv/${key}`)).json()).toMatchObject({ key })
  })

  it('keys named like an object\'s machinery are keys like any other', async () => {
    const { app } = await fakeApp({})
    for (const key of ['__proto__', 'constructor', 'toString']) {
      expect((await app.inject(`/_cluster/v1/kv/${key}`)).statusCode).toBe(404)
      await app.inject(put(key, { value: key }))
      expect((await app.inject(`/_cluster/v1/kv/${key}`)).json()).toMatchObject({ key, value: key })
    }
  })
})

describe('the application around the routes', () => {
  it('does not change how they parse, check, write and fail', async () => {
    const { app } = await fakeApp({}, (app) => {
      app.removeAllContentTypeParsers()
      app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, _body, done) => {
        done(null, 'mine')
      })
      app.setValidatorCompiler(() => () => { throw new Error('mine') })
      app.setSerializerCompiler(() => () => 'mine')
      app.setReplySerializer(() => 'mine')
      app.setErrorHandler(async () => 'mine')
      app.setSchemaErrorFormatter(() => new Error('mine'))
    }, { onProtoPoisoning: 'ignore' })
    expect((await app.inject(put('x', { value: 1 }))).json()).toMatchObject({ value: 1 })
    expect((await app.inject(put('x', { valu: 1 }))).json()).toMatchObject({ code: 'RAFT_INVALID_REQUEST' })
    expect((await app.inject(put('x', '{"value":1,"__proto__":1}'))).statusCode).toBe(400)
    expect((await app.inject('/_cluster/v1/status')).json()).toMatchObject({ nodeId: 'n1' })
  })

  it('does not change how its own routes are parsed and checked', async () => {
    const { app } = await fakeApp({}, (app) => {
      app.post('/own', { schema: { body: { type: 'object', required: ['a'] } } }, async (request) => request.body)
    })
    const response = await app.inject({ method: 'POST', url: '/own', payload: {} })
    expect(response.json()).toMatchObject({ code: 'FST_ERR_VALIDATION' })
  })
})

describe('health', () => {
  it('is alive and ready on a leader and on a follower alike', async () => {
    const { app, engine } = await fakeApp(threeMembers())
    expect((await app.inject('/_cluster/v1/livez')).json()).toEqual({ status: 'ok', checks: { node: true } })
    const unready = await app.inject('/_cluster/v1/readyz')
    expect(unready.statusCode).toBe(503)
    expect(unready.headers['retry-after']).toBe('1')
    expect(unready.json()).toEqual({
      status: 'unavailable',
      checks: { node: true, member: true, leader: false, state: true, caughtUp: false }
    })
    engine.lose('n2')
    await expect.poll(async () => (await app.inject('/_cluster/v1/readyz')).statusCode).toBe(200)
    expect((await app.inject('/_cluster/v1/readyz?verbose')).json()).toMatchObject({
      status: 'ok',
      checks: { leader: { ok: true, detail: 'n2 in term 1' } }
    })
    engine.lead()
    expect((await app.inject({ method: 'HEAD', url: '/_cluster/v1/readyz' })).statusCode).toBe(200)
  })

  it('is not ready before it has caught up with the leader, nor while it knows of none', async () => {
    const { app, engine } = await fakeApp(threeMembers())
    engine.unavailable = true
    engine.lose('n2')
    await new Promise((resolve) => { setImmediate(resolve) })
    expect((await app.inject('/_cluster/v1/readyz')).json()).toMatchObject({
      checks: { leader: true, caughtUp: false }
    })
    engine.unavailable = false
    await expect.poll(async () => (await app.inject('/_cluster/v1/readyz')).statusCode).toBe(200)
    engine.lose(null)
    const alone = await app.inject('/_cluster/v1/readyz')
    expect(alone.statusCode).toBe(503)
    // There is nobody to compare with: it was not behind.
    expect(alone.json()).toMatchObject({ checks: { leader: false, caughtUp: true } })
  })

  it('leaves out of the judgement what the caller excludes, and still says what it found', async () => {
    const { app, engine } = await fakeApp(threeMembers())
    engine.lose('n2')
    await expect.poll(async () => (await app.inject('/_cluster/v1/readyz')).statusCode).toBe(200)
    engine.lose(null)
    expect((await app.inject('/_cluster/v1/readyz')).statusCode).toBe(503)
    const excluded = await app.inject('/_cluster/v1/readyz?exclude=leader&verbose')
    expect(excluded.statusCode).toBe(200)
    expect(excluded.headers['retry-after']).toBeUndefined()
    expect(excluded.json()).toMatchObject({
      status: 'ok',
      checks: { leader: { ok: false, excluded: true, detail: 'no leader is known' }, node: { ok: true } }
    })
    expect((await app.inject('/_cluster/v1/readyz?exclude=leader')).json()).toMatchObject({ checks: { leader: false } })
    const two = { method: 'HEAD', url: '/_cluster/v1/readyz?exclude=leader&exclude=caughtUp' } as const
    expect((await app.inject(two)).statusCode).toBe(200)
    expect((await app.inject('/_cluster/v1/readyz?exclude=caughtUp')).statusCode).toBe(503)
  })

  it('refuses to exclude a check that there is not, and to exclude anything from livez', async () => {
    const { app } = await fakeApp({})
    const refused = await app.inject('/_cluster/v1/readyz?exclude=leadr')
    expect(refused.statusCode).toBe(400)
    expect(refused.json()).toMatchObject({
      code: 'RAFT_INVALID_REQUEST',
      message: expect.stringContaining('"leadr" to exclude: the checks are node, member, leader') as string
    })
    expect((await app.inject('/_cluster/v1/livez?exclude=node')).statusCode).toBe(400)
  })

  it('is not alive after a failure', async () => {
    const { app, engine } = await fakeApp({})
    const status = engine.status.bind(engine)
    engine.status = () => ({ ...status(), failure: new Error('the disk is gone') })
    const response = await app.inject('/_cluster/v1/livez?verbose')
    expect(response.statusCode).toBe(503)
    expect(response.json()).toEqual({
      status: 'unavailable',
      checks: { node: { ok: false, detail: 'the disk is gone' } }
    })
    expect((await app.inject('/_cluster/v1/readyz')).statusCode).toBe(503)
  })
})

describe('leader and status', () => {
  it('say who leads', async () => {
    const { app, engine } = await fakeApp(threeMembers())
    expect((await app.inject('/_cluster/v1/leader')).json()).toMatchObject({
      statusCode: 503,
      code: 'RAFT_NO_LEADER',
      leader: null
    })
    expect((await app.inject('/_cluster/v1/leader')).headers['retry-after']).toBe('1')
    expect((await app.inject('/_cluster/v1/leader/self')).statusCode).toBe(503)
    engine.lose('n3')
    expect((await app.inject('/_cluster/v1/leader')).json()).toEqual({ id: 'n3', url: 'http://127.0.0.1:3', term: 1 })
    const other = await app.inject('/_cluster/v1/leader/self')
    expect(other.json()).toMatchObject({ code: 'RAFT_NOT_LEADER', leader: { id: 'n3' } })
    expect(other.headers).toMatchObject({ 'raft-leader': 'http://127.0.0.1:3', 'retry-after': '1' })
    engine.lead()
    expect((await app.inject('/_cluster/v1/leader/self')).json()).toEqual({
      id: 'n1',
      url: 'http://127.0.0.1:1',
      term: 2
    })
    const head = await app.inject({ method: 'HEAD', url: '/_cluster/v1/leader/self' })
    expect([head.statusCode, head.body]).toEqual([200, ''])
    engine.lapseSilently()
    expect((await app.inject({ method: 'HEAD', url: '/_cluster/v1/leader/self' })).statusCode).toBe(503)
  })

  it('show the status of the node', async () => {
    const { app, engine } = await fakeApp({})
    expect((await app.inject('/_cluster/v1/status')).json()).toEqual({
      ...engine.status(),
      membershipVersion: 0,
      isLeader: true,
      refusedCalls: { unauthenticated: 0, unauthorized: 0 },
      forgedFields: 0,
      tasks: [],
      idempotency: { keys: 0, bytes: 0, running: 0, executed: 0, replayed: 0, pending: 0, conflicts: 0, lost: 0 },
      failure: null,
      version: expect.any(String) as string
    })
  })

  it('live under another prefix when told so', async () => {
    const { app } = await fakeApp({ prefix: '/internal/raft' })
    expect((await app.inject('/internal/raft/v1/status')).statusCode).toBe(200)
    expect((await app.inject('/_cluster/v1/status')).statusCode).toBe(404)
  })
})

describe('clients beyond this machine', () => {
  const guarded = [
    '/_cluster/v1/status',
    '/_cluster/v1/members',
    '/_cluster/v1/leader',
    '/_cluster/v1/kv/x',
    '/_cluster/v1/kv'
  ]
  const open = ['/_cluster/v1/livez', '/_cluster/v1/readyz', '/_cluster/v1/leader/self']

  it('are refused, except where health is asked for', async () => {
    const { app } = await fakeApp({})
    await app.inject(put('x', { value: 1 }))
    for (const url of guarded) {
      const response = await app.inject({ url, remoteAddress: '10.0.0.5' })
      expect([url, response.statusCode]).toEqual([url, 403])
      expect(response.json()).toMatchObject({
        code: 'RAFT_UNAUTHORIZED',
        message: expect.stringContaining('without tokens or authorize this route answers only over 127.0.0.1 or ::1') as string
      })
      for (const remoteAddress of ['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1']) {
        expect([remoteAddress, (await app.inject({ url, remoteAddress })).statusCode]).toEqual([remoteAddress, 200])
      }
    }
    expect((await app.inject({ ...put('x', { value: 2 }), remoteAddress: '::ffff:10.0.0.5' })).statusCode).toBe(403)
    expect((await app.inject('/_cluster/v1/kv/x')).json()).toMatchObject({ value: 1 })
    for (const url of open) {
      expect([url, (await app.inject({ url, remoteAddress: '10.0.0.5' })).statusCode]).toEqual([url, 200])
    }
  })

  it('are not let in by headers, nor through a proxy on this machine', async () => {
    const { app } = await fakeApp({}, undefined, { trustProxy: true })
    const forged = await app.inject({
      url: '/_cluster/v1/status',
      remoteAddress: '10.0.0.5',
      headers: { 'x-forwarded-for': '127.0.0.1' }
    })
    expect(forged.statusCode).toBe(403)
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'via']) {
      expect((await app.inject({ url: '/_cluster/v1/status', headers: { [name]: '127.0.0.1' } })).statusCode).toBe(403)
    }
  })

  it('are let in by insecure: true', async () => {
    const { app } = await fakeApp({ insecure: true })
    expect((await app.inject({ url: '/_cluster/v1/status', remoteAddress: '10.0.0.5' })).statusCode).toBe(200)
  })
})

describe('calls between nodes', () => {
  it('that mean another cluster of the same name are refused before they change anything', async () => {
    const { app, engine } = await fakeApp({})
    // Over the network, where the internal fields are taken off before Fastify sees the request.
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const call = async (cluster: string | undefined) => await (await fetch(`${base}/_cluster/v1/members/n3`, {
      method: 'DELETE',
      headers: cluster === undefined ? {} : { 'raft-cluster': cluster }
    })).json() as { code: string, message: string }
    // It does not know its own yet, and has no leader.
    expect((await call('aaa')).code).not.toBe('RAFT_OTHER_CLUSTER')
    engine.uuid = 'bbb'
    const refused = await call('aaa')
    expect(refused).toMatchObject({ statusCode: 421, code: 'RAFT_OTHER_CLUSTER' })
    expect(refused.message).toContain('the sender belongs to aaa, and "n1" to bbb')
    for (const meant of ['bbb', undefined]) expect((await call(meant)).code).not.toBe('RAFT_OTHER_CLUSTER')
  })
})
