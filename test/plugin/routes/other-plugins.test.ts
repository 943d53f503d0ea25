import { request as httpRequest } from 'node:http'
import { gzipSync } from 'node:zlib'
import bearerAuth from '@fastify/bearer-auth'
import caching from '@fastify/caching'
import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import csrf from '@fastify/csrf-protection'
import etag from '@fastify/etag'
import helmet from '@fastify/helmet'
import jwt from '@fastify/jwt'
import multipart from '@fastify/multipart'
import rateLimit from '@fastify/rate-limit'
import requestContext, { requestContext as storedContext } from '@fastify/request-context'
import session from '@fastify/session'
import swagger from '@fastify/swagger'
import underPressure from '@fastify/under-pressure'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import rawBody from 'fastify-raw-body'
import { WebSocket } from 'undici'
import { describe, expect, it } from 'vitest'
import { until } from '../../support/until.ts'
import type { Copy, TwoCopies } from '../support/two-copies.ts'
import { answerOf, twoCopies } from '../support/two-copies.ts'

const orders = ['before', 'after'] as const
const json = { 'content-type': 'application/json' }

/** Two copies with a plugin that is installed before or after the cluster, and routes behind both. */
async function beside (
  order: typeof orders[number],
  install: (app: FastifyInstance, id: string) => Promise<void>,
  routes: (app: FastifyInstance, id: string) => void
): Promise<TwoCopies> {
  return await twoCopies(async (app, registerCluster, id) => {
    if (order === 'before') await install(app, id)
    await registerCluster()
    if (order === 'after') await install(app, id)
    routes(app, id)
  })
}

/** Status codes of `count` requests that a client with this address makes, one after the other. */
async function statusesFrom (localAddress: string, url: string, count: number): Promise<number[]> {
  const statuses: number[] = []
  for (let made = 0; made < count; made++) {
    statuses.push(await new Promise<number>((resolve, reject) => {
      httpRequest(url, { localAddress, agent: false }, (response) => {
        response.resume().on('end', () => { resolve(response.statusCode ?? 0) })
      }).on('error', reject).end()
    }))
  }
  return statuses
}

describe('beside @fastify/rate-limit', () => {
  // Only Linux has all of 127.0.0.0/8 without being asked.
  it.runIf(process.platform === 'linux').each(orders)(
    'installed %s the cluster, each client has its own limit through one follower, and no trustProxy is needed',
    async (order) => {
      const { follower } = await beside(
        order,
        async (app) => { await app.register(rateLimit, { max: 3 }) },
        (app) => { app.get('/x', { forward: true }, async () => 'x') }
      )
      for (const address of ['127.0.0.2', '127.0.0.3', '127.0.0.4']) {
        expect(await statusesFrom(address, `${follower.url}/x`, 4)).toEqual([200, 200, 200, 429])
      }
    }
  )

  it('counts on the follower what the follower answers, and on the leader what comes over both', async () => {
    const { follower, leader } = await beside(
      'before',
      async (app) => { await app.register(rateLimit, { max: 3 }) },
      (app) => { app.get('/x', { forward: true }, async () => 'x') }
    )
    expect(await statusesFrom('127.0.0.1', `${leader.url}/x`, 2)).toEqual([200, 200])
    expect(await statusesFrom('127.0.0.1', `${follower.url}/x`, 2)).toEqual([200, 429])
  })

  it('counts on the leader alone in preHandler', async () => {
    const { follower } = await beside(
      'before',
      async (app, id) => { await app.register(rateLimit, { max: id === 'n1' ? 1 : 3, hook: 'preHandler' }) },
      (app) => { app.get('/x', { forward: true }, async () => 'x') }
    )
    expect(await statusesFrom('127.0.0.1', `${follower.url}/x`, 4)).toEqual([200, 200, 200, 429])
  })
})

describe('beside @fastify/cors and @fastify/helmet', () => {
  it.each(orders)('installed %s the cluster, one line of each field arrives, on refusals by the follower too', async (order) => {
    const { follower, leader } = await beside(
      order,
      async (app) => {
        await app.register(cors, { origin: 'https://a.example', credentials: true })
        await app.register(helmet, {})
      },
      (app) => { app.post('/x', { forward: true }, async () => 'x') }
    )
    const post = async ({ url }: Copy): Promise<Response> =>
      await fetch(`${url}/x`, { method: 'POST', headers: { origin: 'https://a.example' } })
    // The leader does not name itself.
    const fieldsOf = ({ headers }: Response): Record<string, string> =>
      Object.fromEntries([...headers].filter(([name]) => name !== 'date' && name !== 'raft-leader'))
    const through = await post(follower)
    expect([through.status, fieldsOf(through)]).toEqual([200, fieldsOf(await post(leader))])
    expect(through.headers.get('access-control-allow-origin')).toBe('https://a.example')
    follower.engine.lose(null)
    const refused = await post(follower)
    expect([refused.status, refused.headers.get('access-control-allow-origin'), refused.headers.get('x-frame-options')])
      .toEqual([503, 'https://a.example', 'SAMEORIGIN'])
  })

  it.each(orders)('installed %s the cluster, the follower answers a preflight itself', async (order) => {
    const { follower } = await beside(
      order,
      async (app) => { await app.register(cors, { origin: 'https://a.example' }) },
      (app) => { app.post('/x', { forward: true }, async () => 'x') }
    )
    follower.engine.lose(null)
    const headers = { origin: 'https://a.example', 'access-control-request-method': 'POST' }
    const preflight = await fetch(`${follower.url}/x`, { method: 'OPTIONS', headers })
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, 'https://a.example'])
  })
})

describe('beside @fastify/compress', () => {
  it.each(orders)('installed %s the cluster, the leader unpacks the body and packs the answer', async (order) => {
    const { follower } = await beside(
      order,
      async (app) => { await app.register(compress, { threshold: 1 }) },
      (app) => { app.post('/x', { forward: true }, async ({ body }) => ({ by: app.cluster.nodeId, body })) }
    )
    const post = async (body: Buffer): Promise<Response> => await fetch(`${follower.url}/x`, {
      method: 'POST',
      headers: { ...json, 'content-encoding': 'gzip', 'accept-encoding': 'gzip' },
      body: new Uint8Array(body)
    })
    const answer = await post(gzipSync('{"a":1}'))
    expect(answer.headers.get('content-encoding')).toBe('gzip')
    expect(await answerOf(answer)).toEqual({ status: 200, body: { by: 'n2', body: { a: 1 } } })
    expect(await answerOf(await post(Buffer.from('no gzip')))).toMatchObject({ status: 400, body: { code: 'FST_CP_ERR_INVALID_CONTENT' } })
  })
})

describe('beside fastify-raw-body', () => {
  it.each(orders.flatMap((order) => [true, false].map((runFirst) => ({ order, runFirst }))))(
    'installed $order the cluster, with runFirst: $runFirst, the leader has the raw body',
    async ({ order, runFirst }) => {
      const { follower } = await beside(
        order,
        async (app) => { await app.register(rawBody, { runFirst }) },
        (app) => {
          app.post('/x', { forward: true }, async (request) =>
            ({ by: app.cluster.nodeId, raw: (request as { rawBody?: unknown }).rawBody }))
        }
      )
      const answer = await fetch(`${follower.url}/x`, { method: 'POST', headers: json, body: '{ "a":1}' })
      expect(await answerOf(answer)).toEqual({ status: 200, body: { by: 'n2', raw: '{ "a":1}' } })
    }
  )
})

/** The cookies that an answer sets, as a client sends them back. */
function cookiesOf ({ headers }: Response): string {
  return headers.getSetCookie().map((line) => line.split(';', 1)[0]).join('; ')
}

interface WithSession {
  readonly session: { count?: number }
}

describe('beside @fastify/cookie and @fastify/session', () => {
  it.each(orders)('installed %s the cluster, the session is the leader\'s, whichever copy is called', async (order) => {
    const { follower, leader } = await beside(
      order,
      async (app) => {
        await app.register(cookie, {})
        await app.register(session, { secret: 's'.repeat(32), cookie: { secure: false } })
      },
      (app) => {
        app.post('/x', { forward: true }, async (request) => {
          const { session: own } = request as unknown as WithSession
          own.count = (own.count ?? 0) + 1
          return { count: own.count }
        })
      }
    )
    const first = await fetch(`${follower.url}/x`, { method: 'POST' })
    expect(first.headers.getSetCookie()).toHaveLength(1)
    expect(await answerOf(first)).toEqual({ status: 200, body: { count: 1 } })
    for (const [index, { url }] of [follower, leader].entries()) {
      const again = await fetch(`${url}/x`, { method: 'POST', headers: { cookie: cookiesOf(first) } })
      expect(await answerOf(again)).toEqual({ status: 200, body: { count: index + 2 } })
    }
  })
})

interface WithCsrf {
  readonly csrfProtection: (request: FastifyRequest, reply: unknown, done: () => void) => void
}

describe('beside @fastify/cookie and @fastify/session and @fastify/csrf-protection', () => {
  it.each(orders.flatMap((order) => ([
    ['cookie', 'onRequest', 200, order],
    ['cookie', 'preHandler', 200, order],
    // The follower has no session of its own that holds the secret.
    ['session', 'onRequest', 403, order],
    ['session', 'preHandler', 200, order]
  ] as const)))('a token whose secret is in the %s, checked in %s: %d; installed %s the cluster', async (kind, hook, status, order) => {
    const { follower } = await beside(
      order,
      async (app) => {
        await app.register(cookie, {})
        if (kind === 'session') await app.register(session, { secret: 's'.repeat(32), cookie: { secure: false } })
        await app.register(csrf, kind === 'session' ? { sessionPlugin: '@fastify/session' } : {})
      },
      (app) => {
        app.post('/token', { forward: true }, async (_request, reply) =>
          (reply as unknown as { generateCsrf: () => string }).generateCsrf())
        const check = (app as unknown as WithCsrf).csrfProtection
        app.post('/x', { forward: true, [hook]: check }, async () => 'x')
      }
    )
    const given = await fetch(`${follower.url}/token`, { method: 'POST' })
    const headers = { cookie: cookiesOf(given), 'x-csrf-token': await given.text() }
    expect((await fetch(`${follower.url}/x`, { method: 'POST', headers })).status).toBe(status)
    expect((await fetch(`${follower.url}/x`, { method: 'POST' })).status).toBe(403)
  })
})

/** Lets the two copies change their roles: the follower leads, and the leader follows. */
function swap ({ follower, leader }: TwoCopies): void {
  leader.engine.lose('n1')
  follower.engine.lead()
}

describe('beside @fastify/etag', () => {
  it.each(orders)('installed %s the cluster, a copy that led before answers what the leader of now says', async (order) => {
    const copies = await beside(
      order,
      async (app) => { await app.register(etag, {}) },
      (app) => { app.get('/x', { forward: true }, async () => `by ${app.cluster.nodeId}`) }
    )
    const get = async (headers: Record<string, string> = {}): Promise<Response> => await fetch(`${copies.leader.url}/x`, { headers })
    const first = await get()
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' }
    expect((await get(headers)).status).toBe(304)
    swap(copies)
    expect(await answerOf(await get(headers))).toEqual({ status: 200, body: 'by n1' })
  })
})

describe('beside @fastify/caching', () => {
  const routes = (app: FastifyInstance): void => {
    app.get('/x', { forward: true }, async (_request, reply) =>
      await (reply as unknown as { etag: (tag: string) => typeof reply }).etag('"v1"').send(`by ${app.cluster.nodeId}`))
  }
  const afterSwap = async (copies: TwoCopies): Promise<number> => {
    await (await fetch(`${copies.leader.url}/x`)).text()
    swap(copies)
    return (await fetch(`${copies.leader.url}/x`, { headers: { 'if-none-match': '"v1"' } })).status
  }

  it.each(orders)('installed %s the cluster, a copy that led before answers 304 from its own memory', async (order) => {
    const copies = await beside(order, async (app) => { await app.register(caching, {}) }, routes)
    expect(await afterSwap(copies)).toBe(304)
  })
})

describe('beside @fastify/multipart', () => {
  it.each(orders)('installed %s the cluster, the leader reads the files', async (order) => {
    const { follower } = await beside(
      order,
      async (app) => { await app.register(multipart, {}) },
      (app) => {
        app.post('/x', { forward: true }, async (request) => {
          const file = await (request as unknown as { file: () => Promise<{ toBuffer: () => Promise<Buffer> }> }).file()
          return { by: app.cluster.nodeId, bytes: (await file.toBuffer()).length }
        })
      }
    )
    const form = new FormData()
    form.set('file', new Blob(['x'.repeat(300_000)]), 'x.txt')
    const answer = await fetch(`${follower.url}/x`, { method: 'POST', body: form })
    expect(await answerOf(answer)).toEqual({ status: 200, body: { by: 'n2', bytes: 300_000 } })
  })
})

describe('beside @fastify/websocket', () => {
  it.each(orders)('installed %s the cluster, each copy takes connections of its own, and forwards other routes', async (order) => {
    const { follower } = await beside(
      order,
      async (app) => { await app.register(websocket, {}) },
      (app) => {
        app.get('/ws', { websocket: true } as object, (socket: unknown) => {
          (socket as { send: (text: string) => void }).send(app.cluster.nodeId)
        })
        app.post('/x', { forward: true }, async () => app.cluster.nodeId)
      }
    )
    const said = await new Promise((resolve, reject) => {
      const socket = new WebSocket(`${follower.url.replace('http', 'ws')}/ws`)
      socket.addEventListener('message', ({ data }) => {
        resolve(data)
        socket.close()
      })
      socket.addEventListener('error', reject)
    })
    expect(said).toBe('n1')
    expect(await (await fetch(`${follower.url}/x`, { method: 'POST' })).text()).toBe('n2')
  })
})

describe('beside @fastify/swagger', () => {
  it.each(orders)('installed %s the cluster, describes marked routes as any others, alike on both copies', async (order) => {
    const { follower, leader } = await beside(
      order,
      async (app) => { await app.register(swagger, {}) },
      (app) => { app.post('/x', { forward: true, schema: { description: 'an order' } }, async () => 'x') }
    )
    const documentOf = ({ app }: Copy): unknown => (app as unknown as { swagger: () => unknown }).swagger()
    expect(documentOf(follower)).toMatchObject({ paths: { '/x': { post: { description: 'an order' } } } })
    expect(documentOf(follower)).toEqual(documentOf(leader))
  })
})

describe('beside @fastify/under-pressure', () => {
  it.each(orders.flatMap((order) => ([
    ['n1', order, []],
    ['n2', order, ['n2']]
  ] as const)))('of %s, installed %s the cluster, refuses what comes there, and the client gets its refusal', async (under, order, asked) => {
    const reached: string[] = []
    const { follower } = await beside(
      order,
      async (app, id) => {
        app.addHook('onRequest', async () => { if (id === 'n2') reached.push(id) })
        if (id === under) await app.register(underPressure, { maxHeapUsedBytes: 1, sampleInterval: 10, retryAfter: 7 })
      },
      (app) => { app.post('/x', { forward: true }, async () => 'x') }
    )
    const post = async (): Promise<Response> => await fetch(`${follower.url}/x`, { method: 'POST' })
    const refused = await until('it has measured', async () => {
      reached.length = 0
      const answer = await post()
      return answer.status === 503 ? answer : null
    })
    expect([refused.headers.get('retry-after'), (await answerOf(refused)).body]).toMatchObject(['7', { code: 'FST_UNDER_PRESSURE' }])
    expect(reached).toEqual(asked)
  })
})

describe('beside @fastify/jwt', () => {
  it.each(orders)('installed %s the cluster, both copies verify the token', async (order) => {
    const verified: string[] = []
    const { follower } = await beside(
      order,
      async (app) => { await app.register(jwt, { secret: 'x'.repeat(32) }) },
      (app, id) => {
        app.post('/x', {
          forward: true,
          onRequest: async (request) => {
            await (request as unknown as { jwtVerify: () => Promise<void> }).jwtVerify()
            verified.push(id)
          }
        }, async () => 'x')
      }
    )
    const token = (follower.app as unknown as { jwt: { sign: (payload: object) => string } }).jwt.sign({ sub: 'me' })
    const post = async (authorization: string): Promise<number> =>
      (await fetch(`${follower.url}/x`, { method: 'POST', headers: { authorization } })).status
    expect(await post('Bearer none')).toBe(401)
    expect(verified).toEqual([])
    expect(await post(`Bearer ${token}`)).toBe(200)
    expect(verified).toEqual(['n1', 'n2'])
  })
})

describe('beside @fastify/bearer-auth', () => {
  it.each(orders)('installed %s the cluster, the follower refuses by itself, and the token goes on to the leader', async (order) => {
    const reached: Array<string | undefined> = []
    const { follower } = await beside(
      order,
      async (app, id) => {
        app.addHook('onRequest', async ({ headers }) => { if (id === 'n2') reached.push(headers.authorization) })
        await app.register(bearerAuth, { keys: new Set(['secret']), verifyErrorLogLevel: 'debug' })
      },
      (app) => { app.post('/x', { forward: true }, async () => 'x') }
    )
    const post = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${follower.url}/x`, { method: 'POST', headers })).status
    expect(await post({})).toBe(401)
    expect(reached).toEqual([])
    expect(await post({ authorization: 'Bearer secret' })).toBe(200)
    expect(reached).toEqual(['Bearer secret'])
  })
})

describe('beside @fastify/request-context', () => {
  it.each(orders)('installed %s the cluster, each copy has the context of its own request, up to onResponse', async (order) => {
    const seen: string[] = []
    const nameIn = (request: FastifyRequest): string => String(request.headers['x-name'])
    const { follower } = await beside(
      order,
      async (app) => {
        await app.register(requestContext, {
          defaultStoreValues: (request: FastifyRequest) => ({ name: nameIn(request) })
        })
      },
      (app, id) => {
        app.addHook('onResponse', async (request) => {
          seen.push(`${id} ${nameIn(request)}->${String(storedContext.get('name' as never))}`)
        })
        app.post('/x', { forward: true }, async () => 'x')
      }
    )
    const names = ['s0', 's1', 's2']
    for (const name of names) {
      expect((await fetch(`${follower.url}/x`, { method: 'POST', headers: { 'x-name': name } })).status).toBe(200)
    }
    await until('all hooks have run', () => seen.length === 2 * names.length)
    expect([...seen].sort()).toEqual(['n1', 'n2'].flatMap((id) => names.map((name) => `${id} ${name}->${name}`)))
  })
})
