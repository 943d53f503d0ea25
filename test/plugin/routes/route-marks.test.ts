import type { FastifyInstance, RouteShorthandOptions } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

function invalid (message: string | RegExp): unknown {
  return expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS', message: expect.stringMatching(message) as string })
}

describe('marks of a route', () => {
  it.each<[string, RouteShorthandOptions, RegExp]>([
    ['both marks', { forward: true, leaderOnly: true }, /POST \/x is both forward and leaderOnly/],
    ['a text', { forward: 'yes' } as unknown as RouteShorthandOptions, /forward of POST \/x must be true or false/],
    ['a deadline of no time', { forward: { timeoutMs: 0 } }, /forward\.timeoutMs of POST \/x must be >= 1/],
    ['a deadline beyond that of the option', { forward: { timeoutMs: 3_600_001 } },
      /forward\.timeoutMs of POST \/x must be <= 3600000/],
    ['a deadline as text', { forward: { timeoutMs: '1' } } as unknown as RouteShorthandOptions,
      /forward\.timeoutMs of POST \/x must be integer/],
    ['another name', { forward: { timeoutMS: 1 } } as unknown as RouteShorthandOptions,
      /forward\.timeoutMS of POST \/x is not a known option; did you mean "timeoutMs"\?/],
    ['a list', { forward: [] } as unknown as RouteShorthandOptions, /forward of POST \/x must be an object/],
    ['no value', { forward: null } as unknown as RouteShorthandOptions, /forward of POST \/x must be true or false, or/],
    ['both marks, one as an object', { forward: {}, leaderOnly: true }, /POST \/x is both forward and leaderOnly/],
    ['no boolean in repeatable', { forward: true, repeatable: 1 } as unknown as RouteShorthandOptions,
      /repeatable of POST \/x must be true or false, got 1/],
    ['repeatable alone', { repeatable: true }, /repeatable of POST \/x has no effect without forward: true/],
    ['repeatable beside leaderOnly', { leaderOnly: true, repeatable: true }, /repeatable of POST \/x has no effect/],
    ['another redirect', { leaderOnly: true, redirect: 302 } as unknown as RouteShorthandOptions,
      /redirect of POST \/x must be 307, 308 or false, got 302/],
    ['redirect alone', { redirect: 307 }, /redirect of POST \/x has no effect without leaderOnly: true/],
    ['redirect beside forward', { forward: true, redirect: 308 }, /redirect of POST \/x has no effect/],
    ['another onLost', { forward: true, onLost: 'drop' } as unknown as RouteShorthandOptions,
      /onLost of POST \/x must be "mark", "fail" or false, got "drop"/],
    ['onLost alone', { onLost: 'mark' }, /onLost of POST \/x has no effect without forward or leaderOnly/],
    ['read on another method', { read: 'local' }, /read of POST \/x has no effect: it is for routes whose methods are GET/],
    ['another read', { read: 'lease' } as unknown as RouteShorthandOptions,
      /read of POST \/x must be "linearizable", "leader", "local" or false, got "lease"/],
    ['read beside forward', { read: 'local', forward: true }, /POST \/x is both read and forward/],
    ['read beside leaderOnly', { read: 'local', leaderOnly: true }, /POST \/x is both read and leaderOnly/],
    ['all at once, with every fault',
      { redirect: 1, read: 2, onLost: 3, repeatable: true } as unknown as RouteShorthandOptions,
      /(?:redirect|read|onLost) of .*(?:; (?:redirect|read|onLost|repeatable) of .*){6}/],
    ['idempotent alone', { idempotent: true }, /idempotent of POST \/x needs forward: true, or leaderOnly: true/],
    ['idempotent as a text', { forward: true, idempotent: 'yes' } as unknown as RouteShorthandOptions,
      /idempotent of POST \/x must be true or false, or an object such as/],
    ['no value of idempotent', { forward: true, idempotent: null } as unknown as RouteShorthandOptions,
      /idempotent of POST \/x must be true or false, or an object such as/],
    ['every fault of idempotent', {
      forward: true,
      idempotent: { ttlMs: 999, maxBytes: 524_289, headers: ['a b'], onUnknown: 'maybe', graceMS: 1, required: 1 }
    } as unknown as RouteShorthandOptions, new RegExp([
      'idempotent\\.graceMS of POST /x is not a known option; did you mean "graceMs"\\?',
      'idempotent\\.ttlMs of POST /x must be >= 1000',
      'idempotent\\.maxBytes of POST /x must be <= 524288',
      'idempotent\\.headers\\[0\\] of POST /x must be a token',
      'idempotent\\.onUnknown of POST /x',
      'idempotent\\.required of POST /x must be boolean'
    ].join('.*'))],
    ['a caller that is no function', { forward: true, idempotent: { caller: 'me' } } as unknown as RouteShorthandOptions,
      /idempotent\.caller of POST \/x must be a function/],
    ['fields that are new with each answer', { forward: true, idempotent: { headers: ['Date', 'raft-node'] } },
      /idempotent\.headers of POST \/x cannot keep date.*cannot keep raft-node/],
    ['null', { leaderOnly: null } as unknown as RouteShorthandOptions, /leaderOnly of POST \/x must be true or false/]
  ])('are refused at once: %s', async (_what, options, message) => {
    const { app } = await fakeAppWithError((app) => { app.post('/x', options, async () => 'x') })
    await expect(app).rejects.toEqual(invalid(message))
  })

  it('cannot be idempotent where requests change nothing, and need not be where the scope is', async () => {
    const { app } = await fakeAppWithError((app) => { app.get('/x', { forward: true, idempotent: true }, async () => 'x') })
    await expect(app).rejects.toEqual(invalid(/idempotent of GET \/x has no effect/))
    const scoped = await fakeAppWithError((app) => {
      app.clusterRoutes({ leaderOnly: true, idempotent: { required: true } })
      app.get('/x', async () => 'x')
      app.post('/x', async () => 'x')
      app.post('/free', { idempotent: false }, async () => 'x')
      app.post('/here', { leaderOnly: false }, async () => 'x')
    })
    await scoped.app
  })

  it('of a scope are refused with their faults', async () => {
    const { app } = await fakeAppWithError((app) => {
      app.clusterRoutes({ leaderOnly: true, idempotent: { ttlMs: 1 } })
    })
    await expect(app).rejects.toEqual(invalid(/idempotent\.ttlMs of clusterRoutes must be >= 1000/))
  })

  it('may be false', async () => {
    const { app } = await fakeApp(threeMembers(), (app) => {
      app.get('/x', { forward: false, leaderOnly: false, repeatable: false }, async () => 'x')
    })
    expect((await app.inject('/x')).body).toBe('x')
  })
})

describe('marks of a scope', () => {
  it('hold for the routes declared after them, in the scope and inside it, and nowhere else', async () => {
    const { app } = await fakeApp(threeMembers(), async (app) => {
      await app.register(async (scope) => {
        scope.get('/before', async () => 'x')
        scope.clusterRoutes({ leaderOnly: true })
        scope.get('/after', async () => 'x')
        await scope.register(async (inner) => { inner.get('/inner', async () => 'x') })
      })
      await app.register(async (scope) => { scope.get('/sibling', async () => 'x') })
      app.get('/outside', async () => 'x')
    })
    const statusOf = async (url: string): Promise<number> => (await app.inject(url)).statusCode
    expect(await statusOf('/before')).toBe(200)
    expect(await statusOf('/after')).toBe(503)
    expect(await statusOf('/inner')).toBe(503)
    expect(await statusOf('/sibling')).toBe(200)
    expect(await statusOf('/outside')).toBe(200)
  })

  it('have read for GET and HEAD, beside forward or leaderOnly for the other methods', async () => {
    const { app, engine } = await fakeApp(threeMembers(), async (app) => {
      app.clusterRoutes({ leaderOnly: true, read: 'local' })
      app.get('/x', async () => 'x')
      app.post('/x', async () => 'x')
      app.route({ method: ['GET', 'POST'], url: '/both', handler: async () => 'x' })
      app.get('/only', { leaderOnly: true }, async () => 'x')
      app.get('/off', { read: false }, async () => 'x')
    })
    engine.lose('n2')
    expect((await app.inject('/x')).headers['raft-applied-index']).toBe('1')
    expect((await app.inject({ method: 'HEAD', url: '/x' })).headers['raft-applied-index']).toBe('1')
    for (const [method, url] of [['POST', '/x'], ['GET', '/both'], ['GET', '/only'], ['GET', '/off']] as const) {
      expect((await app.inject({ method, url })).statusCode, `${method} ${url}`).toBe(503)
    }
  })

  it('give way to the marks of a route or an inner scope', async () => {
    const { app } = await fakeApp(threeMembers(), async (app) => {
      app.clusterRoutes({ forward: true })
      app.get('/open', { forward: false }, async () => 'x')
      app.get('/only', { leaderOnly: true }, async () => 'x')
      await app.register(async (scope) => {
        scope.clusterRoutes({})
        scope.get('/reset', async () => 'x')
      })
    })
    expect((await app.inject('/open')).statusCode).toBe(200)
    expect((await app.inject('/only')).json()).toMatchObject({ code: 'RAFT_NOT_LEADER' })
    expect((await app.inject('/reset')).statusCode).toBe(200)
    expect((await app.inject('/_cluster/v1/livez')).statusCode).toBe(200)
  })

  it('are refused when they contradict themselves', async () => {
    const { app } = await fakeAppWithError((app) => { app.clusterRoutes({ forward: true, leaderOnly: true }) })
    await expect(app).rejects.toEqual(invalid(/clusterRoutes is both/))
    const other = await fakeAppWithError((app) => { app.clusterRoutes({ repeatable: true }) })
    await expect(other.app).rejects.toEqual(invalid(/repeatable of clusterRoutes has no effect without forward: true/))
  })

  it('let a route inside say that it is repeatable, or not', async () => {
    const { app } = await fakeApp(threeMembers(), async (app) => {
      app.clusterRoutes({ forward: true })
      app.put('/again', { repeatable: true }, async () => 'x')
      await app.register(async (scope) => {
        scope.clusterRoutes({ forward: true, repeatable: true })
        scope.get('/once', { repeatable: false }, async () => 'x')
        scope.get('/here', { forward: false }, async () => 'x')
        const alone = (): void => { scope.put('/only', { leaderOnly: true, repeatable: true }, async () => 'x') }
        expect(alone).toThrow(/repeatable of PUT \/only has no effect/)
      })
    })
    expect((await app.inject('/here')).statusCode).toBe(200)
  })
})

describe('a mark without effect', () => {
  it('is refused on a route declared before the plugin', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    app.post('/early', { forward: true }, async () => 'x')
    await expect(app.register(cluster)).rejects.toEqual(invalid(/no effect on POST \/early/))
  })

  it.each([
    ['a route without marks', (app: FastifyInstance) => { app.get('/early', async () => 'x') }, 'GET /early'],
    ['all of several routes, by their whole paths', (app: FastifyInstance) => {
      app.get('/', async () => 'x')
      app.get('/orders/:id', async () => 'x')
      app.delete('/orders/:id', async () => 'x')
      app.get('/orders/:id/items (:kind)', { constraints: { host: 'a' } }, async () => 'x')
      app.options('*', async () => 'x')
      app.head('/only-head', async () => 'x')
    }, 'GET /, GET, DELETE /orders/:id, GET /orders/:id/items (:kind), HEAD /only-head'],
    ['a route of an earlier scope', (app: FastifyInstance) => {
      app.register(async (scope) => { scope.put('/early', async () => 'x') }, { prefix: '/scope' })
    }, 'PUT /scope/early']
  ])('cannot be told of an earlier route, so %s is refused', async (_what, declare, routes) => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    declare(app)
    await expect(app.register(cluster)).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining(`no effect on ${routes}: declare`) as string
    })
  })

  it('is not meant for OPTIONS: earlier routes for preflight requests are let be', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    app.options('*', async () => 'x')
    await app.register(cluster)
  })

  it('is refused when the registration was not awaited', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    app.register(cluster)
    app.post('/early', { leaderOnly: true }, async () => 'x')
    await expect(app.ready()).rejects.toEqual(invalid(/no effect on POST \/early/))
  })

  it('is refused on a route beyond the scope of the plugin', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(async (scope) => { await scope.register(cluster) })
    app.post('/outside', { forward: true }, async () => 'x')
    app.put('/again', { repeatable: true }, async () => 'x')
    await expect(app.ready()).rejects.toEqual(invalid(/no effect on POST \/outside, PUT \/again/))
  })

  it('is refused on a route of a scope beside that of the plugin', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(async (outer) => {
      await outer.register(async (scope) => {
        await scope.register(cluster)
        scope.get('/inside', { leaderOnly: true }, async () => 'x')
        await scope.register(async (inner) => { inner.get('/inner', { leaderOnly: true }, async () => 'x') })
      })
      outer.get('/unmarked', async () => 'x')
      await outer.register(async (beside) => { beside.get('/beside', { leaderOnly: true }, async () => 'x') })
    })
    await expect(app.ready()).rejects.toEqual(invalid(/no effect on GET \/beside, HEAD \/beside: declare/))
  })
})

describe('registration', () => {
  it('is refused a second time', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster)
    await expect(app.register(cluster)).rejects.toEqual(invalid(/registered twice/))
  })

  it('is refused under a prefix', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await expect(
      app.register(
        async (scope) => {
          await scope.register(cluster)
        },
        { prefix: '/api' }
      )
    ).rejects.toEqual(invalid(/prefix \/api/))
  })

  it('is refused with wrong options, before anything listens', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await expect(app.register(cluster, { members: [{ id: 'n1', url: 'nonsense' }], heartbeatMs: 1 })).rejects.toEqual(
      invalid(/heartbeatMs[^]*members\[0\]\.url[^]*id is required/)
    )
  })
})

async function fakeAppWithError (declare: Parameters<typeof fakeApp>[1]): Promise<{ app: Promise<unknown> }> {
  return { app: fakeApp(threeMembers(), declare) }
}
