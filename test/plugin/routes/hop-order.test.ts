import { PassThrough, Transform } from 'node:stream'
import type { FastifyInstance, onRouteHookHandler, preParsingHookHandler, RequestPayload } from 'fastify'
import { describe, expect, it } from 'vitest'
import type { Copy, TwoCopies } from '../support/two-copies.ts'
import { answerOf, twoCopies } from '../support/two-copies.ts'

/** A hook that hands the parser another stream, as plugins do that decompress. */
const upperCase: preParsingHookHandler = (_request, _reply, payload, done) => {
  done(null, payload.pipe(new Transform({
    transform: (chunk: Buffer, _encoding, next) => { next(null, chunk.toString().toUpperCase()) }
  })) as unknown as RequestPayload)
}

/** A hook that reads the body itself, and lets the parser wait for its copy of it. */
const readsAll: preParsingHookHandler = (request, _reply, _payload, done) => {
  const copy = new PassThrough()
  request.raw.on('data', (chunk: Buffer) => { copy.write(chunk) }).on('end', () => { copy.end() })
  done(null, copy as unknown as RequestPayload)
}

/** Puts a hook before all others of each route, as `runFirst` of fastify-raft-body does. */
function first (hook: preParsingHookHandler): onRouteHookHandler {
  return (route) => { route.preParsing = [hook, ...[route.preParsing ?? []].flat()] }
}

const installs: ReadonlyArray<readonly [string, (app: FastifyInstance) => void, string]> = [
  ['an application-wide hook that replaces the body', (app) => { app.addHook('preParsing', upperCase) }, 'ABC'],
  ['a plugin that replaces the body first on each route', (app) => { app.addHook('onRoute', first(upperCase)) }, 'ABC'],
  ['an application-wide hook that reads the body', (app) => { app.addHook('preParsing', readsAll) }, 'abc'],
  ['a plugin that reads the body first on each route', (app) => { app.addHook('onRoute', first(readsAll)) }, 'abc']
]

async function copies (install: (app: FastifyInstance) => void, order: 'before' | 'after'): Promise<TwoCopies> {
  return await twoCopies(async (app, registerCluster) => {
    if (order === 'before') install(app)
    await registerCluster()
    if (order === 'after') install(app)
    app.post('/text', { forward: true }, async ({ body }) => ({ by: app.cluster.nodeId, body }))
    app.post('/only', { leaderOnly: true }, async ({ body }) => ({ by: app.cluster.nodeId, body }))
  })
}

async function post ({ url }: Copy, path: string): Promise<{ status: number, body: unknown }> {
  return await answerOf(await fetch(url + path, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'abc' }))
}

describe.each(installs)('beside %s', (_what, install, body) => {
  it.each(['before', 'after'] as const)('installed %s the cluster, the leader alone runs it', async (order) => {
    const { follower, leader } = await copies(install, order)
    const answer = { status: 200, body: { by: 'n2', body } }
    expect(await post(leader, '/text')).toEqual(answer)
    expect(await post(follower, '/text')).toEqual(answer)
    expect(await post(follower, '/only')).toMatchObject({ status: 503, body: { code: 'RAFT_NOT_LEADER' } })
    expect(await post(leader, '/only')).toEqual(answer)
  })
})

describe('hooks of a forwarded route', () => {
  it('run on the follower as far as onRequest, those of later plugins and of the route too, and on the leader all', async () => {
    const ran: string[] = []
    const { follower } = await twoCopies(async (app, registerCluster, id) => {
      const note = (name: string) => async (): Promise<void> => { ran.push(`${name} on ${id}`) }
      app.addHook('onRequest', note('before'))
      await registerCluster()
      app.addHook('onRequest', note('after'))
      app.addHook('onRoute', (route) => { route.onRequest = [...[route.onRequest ?? []].flat(), note('onRoute')] })
      app.addHook('preParsing', note('preParsing'))
      app.addHook('preValidation', note('preValidation'))
      app.addHook('preHandler', note('preHandler'))
      app.addHook('preSerialization', note('preSerialization'))
      app.addHook('onSend', note('onSend'))
      app.addHook('onResponse', note('onResponse'))
      app.post('/x', { forward: true, onRequest: note('route') }, async () => ({}))
      app.addHook('onRequest', note('behind the route'))
    })
    expect((await fetch(`${follower.url}/x`, { method: 'POST' })).status).toBe(200)
    await expect.poll(() => ran.filter((name) => name.startsWith('onResponse'))).toHaveLength(2)
    const here = ['before', 'after', 'behind the route', 'route', 'onRoute']
    expect(ran.filter((name) => name.endsWith('n1'))).toEqual([...here, 'onResponse'].map((name) => `${name} on n1`))
    const there = ['preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend', 'onResponse']
    expect(ran.filter((name) => name.endsWith('n2'))).toEqual([...here, ...there].map((name) => `${name} on n2`))
  })

  it('leave the array of the route as its owner wrote it, shared by routes and used once for each', async () => {
    let calls = 0
    const shared = [async (): Promise<void> => { calls++ }]
    const { follower } = await twoCopies(async (app, registerCluster, id) => {
      await registerCluster()
      const onRequest = id === 'n1' ? shared : []
      app.get('/a', { forward: true, onRequest }, async () => ({}))
      app.get('/b', { forward: true, onRequest }, async () => ({}))
    })
    expect((await fetch(`${follower.url}/a`)).status).toBe(200)
    expect((await fetch(`${follower.url}/b`, { method: 'HEAD' })).status).toBe(200)
    expect([calls, shared.length]).toEqual([2, 1])
  })
})

describe('a body that a hook of the follower has read', () => {
  it('is told as such: the leader is sent nothing', async () => {
    const ran: string[] = []
    const { follower } = await twoCopies(async (app, registerCluster, id) => {
      await registerCluster()
      app.addHook('onRequest', async (request) => {
        if (id === 'n1') for await (const chunk of request.raw) ran.push(`read ${String(chunk)}`)
        else ran.push('the leader was called')
      })
      app.post('/text', { forward: true }, async () => ({}))
    })
    expect(await post(follower, '/text')).toMatchObject({ status: 500, body: { code: 'RAFT_BODY_CONSUMED' } })
    expect(ran).toEqual(['read abc'])
    // Without a body there is nothing to miss.
    expect((await fetch(`${follower.url}/text`, { method: 'POST' })).status).toBe(200)
  })
})
