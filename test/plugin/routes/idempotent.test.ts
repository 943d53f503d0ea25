import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import compress from '@fastify/compress'
import etag from '@fastify/etag'
import type { FastifyInstance, InjectOptions, RouteHandlerMethod, RouteShorthandOptions } from 'fastify'
import { request as send } from 'undici'
import { describe, expect, it } from 'vitest'
import type { ClusterStateMachine } from '../../../src/plugin/replicated/cluster-state-machine.ts'
import type { RequestBeginCommand } from '../../../src/plugin/replicated/command.ts'
import { decodeCommand, encodeCommand } from '../../../src/plugin/replicated/command.ts'
import { OutcomeUnknownError } from '../../../src/raft/index.ts'
import { until } from '../../support/until.ts'
import type { FakePeerEngine } from '../support/fake-app.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

interface Served {
  readonly app: FastifyInstance
  readonly engine: FakePeerEngine
  /** Bodies that the handler has begun to work on. */
  readonly runs: unknown[]
}

type HandlerOf = (tell: (answer: () => void) => void) => RouteHandlerMethod

/** Handlers that answer when they are told to. */
const lateHandlers: Array<[what: string, handlerOf: HandlerOf]> = [
  ['works on', (tell) => async () => {
    await new Promise<void>((resolve) => { tell(resolve) })
    return { late: true }
  }],
  ['returns nothing', (tell) => (_request, reply) => { tell(() => { reply.send({ late: true }) }) }],
  ['returns the reply', (tell) => async (_request, reply) => {
    tell(() => { reply.send({ late: true }) })
    return await reply
  }]
]

/** A leader with an idempotent route at /x. */
async function serve (
  idempotent: RouteShorthandOptions['idempotent'] = true,
  handler: RouteHandlerMethod = async ({ body }, reply) => await reply.code(201).header('location', '/x/1').send({ got: body }),
  declare: (app: FastifyInstance) => void | Promise<void> = () => {},
  more: RouteShorthandOptions = {}
): Promise<Served> {
  const runs: unknown[] = []
  const { app, engine } = await fakeApp(threeMembers(), async (app) => {
    await declare(app)
    const mark = idempotent === undefined ? {} : { idempotent }
    app.post('/x', { leaderOnly: true, ...mark, ...more }, function (request, reply) {
      runs.push(request.body)
      return handler.call(this, request, reply)
    })
  })
  engine.lead()
  return { app, engine, runs }
}

function post (key: string | null, body: unknown = { n: 1 }, headers: Record<string, string> = {}): InjectOptions {
  return {
    method: 'POST',
    url: '/x',
    headers: { ...(key === null ? {} : { 'idempotency-key': key }), ...headers },
    payload: body as object
  }
}

describe('requests with the same key', () => {
  it('run the handler once; later ones get its answer, marked', async () => {
    const { app, runs } = await serve()
    const first = await app.inject(post('a'))
    expect(first.headers['idempotent-replayed']).toBeUndefined()
    for (const key of ['a', '"a"']) {
      const again = await app.inject(post(key))
      expect(again).toMatchObject({ statusCode: 201, body: first.body })
      expect(again.headers).toMatchObject({
        location: '/x/1', 'content-type': first.headers['content-type'], 'idempotent-replayed': 'true', 'raft-node': 'n1'
      })
    }
    expect(runs).toHaveLength(1)
    await app.inject(post('b'))
    await app.inject(post(null))
    await app.inject(post(null))
    expect(runs).toHaveLength(4)
    const { idempotency } = app.cluster.status
    expect(idempotency).toMatchObject({ keys: 2, running: 0, executed: 2, replayed: 2, conflicts: 0 })
    expect(idempotency.bytes).toBeGreaterThan(0)
  })

  it('at the same time: one runs, the others get 409 and may come again', async () => {
    let answer = (): void => {}
    const { app, runs } = await serve(true, async () => {
      await new Promise<void>((resolve) => { answer = resolve })
      return { done: true }
    })
    const first = app.inject(post('a'))
    await until('the handler to run', () => runs.length === 1)
    for (let count = 0; count < 2; count++) {
      const other = await app.inject(post('a'))
      expect(other).toMatchObject({ statusCode: 409 })
      expect(other.json()).toMatchObject({ code: 'RAFT_REQUEST_PENDING' })
      expect(other.headers['retry-after']).toBe('1')
    }
    expect((await app.inject(post('a', { n: 2 }))).statusCode).toBe(422)
    expect(app.cluster.status.idempotency).toMatchObject({ running: 1, pending: 2, conflicts: 1 })
    answer()
    expect((await first).json()).toEqual({ done: true })
    expect((await app.inject(post('a'))).json()).toEqual({ done: true })
    expect(runs).toHaveLength(1)
  })

  it.each([
    ['method', { method: 'PUT' }],
    ['target', { url: '/x?y=1' }],
    ['body', { payload: { n: 2 } }],
    ['credentials', { headers: { 'idempotency-key': 'a', authorization: 'Bearer other' } }],
    ['cookie', { headers: { 'idempotency-key': 'a', cookie: 'id=other' } }]
  ] as Array<[string, InjectOptions]>)('and another %s are refused with 422, and nothing runs', async (_what, other) => {
    const { app, runs } = await serve(true, undefined, (app) => {
      app.put('/x', { leaderOnly: true, idempotent: true }, async () => { runs.push('put') })
    })
    await app.inject(post('a'))
    const answer = await app.inject({ ...post('a'), ...other })
    expect(answer.statusCode).toBe(422)
    expect(answer.json()).toMatchObject({ code: 'RAFT_IDEMPOTENCY_CONFLICT' })
    expect(runs).toHaveLength(1)
  })

  it.each<[string, (text: string) => unknown]>([
    ['URLSearchParams', (text) => new URLSearchParams(text)],
    ['FormData', (text) => {
      const form = new FormData()
      form.set('text', text)
      return form
    }],
    ['a Map within an object', (text) => ({ fields: new Map([['text', text]]) })],
    ['a Set', (text) => new Set([text])]
  ])('and another form are refused with 422, where a parser makes %s of it', async (_what, parsed) => {
    const { app, runs } = await serve(true, async () => ({}), (app) => {
      app.addContentTypeParser('text/form', { parseAs: 'string' }, (_request, text, done) => {
        done(null, parsed(String(text)))
      })
    })
    const ask = async (payload: string) =>
      (await app.inject({ ...post('a', payload), headers: { 'idempotency-key': 'a', 'content-type': 'text/form' } }))
    expect((await ask('amount=1')).statusCode).toBe(200)
    expect((await ask('amount=1')).headers['idempotent-replayed']).toBe('true')
    expect((await ask('amount=900')).statusCode).toBe(422)
    expect(runs).toHaveLength(1)
  })

  it('of two callers never meet', async () => {
    const { app, runs } = await serve({ caller: ({ headers }) => String(headers['x-user']) }, async ({ headers }) =>
      ({ secretOf: headers['x-user'] }))
    const asked = async (user: string, token: string) =>
      (await app.inject(post('a', { n: 1 }, { 'x-user': user, authorization: token }))).json<unknown>()
    expect(await asked('ann', 't1')).toEqual({ secretOf: 'ann' })
    expect(await asked('bob', 't2')).toEqual({ secretOf: 'bob' })
    // A new token of the same user.
    expect(await asked('ann', 't3')).toEqual({ secretOf: 'ann' })
    expect(runs).toHaveLength(2)
  })

  it.each([[''], [7], [undefined]])('of a caller named %j are refused, and nothing runs', async (name) => {
    const { app, runs } = await serve({ caller: () => name as string })
    const answer = await app.inject(post('a'))
    expect(answer.statusCode).toBe(500)
    expect(answer.json()).toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    expect(runs).toEqual([])
  })

  it('get 400 when the key is malformed, or missing where it is needed', async () => {
    const { app, runs } = await serve({ required: true })
    for (const key of ['a, b', '', null]) {
      const answer = await app.inject(post(key))
      expect(answer.statusCode).toBe(400)
      expect(answer.json()).toMatchObject({ code: 'RAFT_INVALID_REQUEST' })
    }
    expect(runs).toEqual([])
  })

  it('that were refused before the handler use the key for nothing', async () => {
    const schema = { body: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } }
    const { app, runs } = await serve(true, async () => 'x', () => {}, { schema })
    expect((await app.inject(post('a', { m: 1 }))).statusCode).toBe(400)
    expect((await app.inject(post('a', { n: 1 }))).statusCode).toBe(200)
    expect(runs).toHaveLength(1)
  })

  it('are forgotten after the time that the route says, in log time', async () => {
    const { app, engine, runs } = await serve({ ttlMs: 5_000 })
    await app.inject(post('a'))
    engine.timeMs += 4_999
    await app.inject(post('b'))
    expect((await app.inject(post('a'))).headers['idempotent-replayed']).toBe('true')
    engine.timeMs++
    // Log time is that of the entries: the next key lets the old one go.
    await app.inject(post('c'))
    expect((await app.inject(post('a'))).headers['idempotent-replayed']).toBeUndefined()
    expect(runs).toHaveLength(4)
  })
})

describe('answers', () => {
  it.each([
    ['nothing', async (_request, reply) => await reply.code(204).send()],
    ['a text', async () => 'täxt'],
    ['bytes', async (_request, reply) => await reply.type('image/png').send(Buffer.from([0, 255, 128, 10]))],
    ['a client error', async (_request, reply) => await reply.code(404).send({ no: 'such thing' })],
    ['a thrown client error', async () => { throw Object.assign(new Error('gone'), { statusCode: 410 }) }],
    ['by a callback', (_request, reply) => { setImmediate(() => { reply.send({ late: true }) }) }],
    ['by a callback that is waited for', async (_request, reply) => {
      setImmediate(() => { reply.send({ late: true }) })
      return await reply
    }],
    ['sent within an async handler that returns nothing', async (_request, reply) => { reply.send({ sent: true }) }]
  ] as Array<[string, RouteHandlerMethod]>)('are given again as they were: %s', async (_what, handler) => {
    const { app, runs } = await serve(true, handler)
    const first = await app.inject(post('a'))
    const again = await app.inject(post('a'))
    expect(again.statusCode).toBe(first.statusCode)
    expect(again.rawPayload).toEqual(first.rawPayload)
    expect(again.headers['content-type']).toBe(first.headers['content-type'])
    expect(again.headers['idempotent-replayed']).toBe('true')
    expect(runs).toHaveLength(1)
  })

  it('pass the hooks of other plugins again', async () => {
    const { app } = await serve(true, async () => ({ text: 'x'.repeat(5_000) }), async (app) => {
      await app.register(etag)
      await app.register(compress)
    })
    const asked = async (): Promise<[unknown, unknown, string]> => {
      const { headers, rawPayload } = await app.inject(post('a', {}, { 'accept-encoding': 'gzip' }))
      return [headers['content-encoding'], headers.etag, gunzipSync(rawPayload).toString()]
    }
    const first = await asked()
    expect(first).toEqual(['gzip', expect.any(String), JSON.stringify({ text: 'x'.repeat(5_000) })])
    expect(await asked()).toEqual(first)
  })

  it.each([
    ['too long', { maxBytes: 100 }, async () => 'x'.repeat(101), 'larger'],
    ['streams', true, async (_request, reply) => await reply.send(Readable.from(['x', 'y'])), 'stream'],
    ['written to the raw response', true, async (_request, reply) => {
      reply.hijack()
      reply.raw.end('raw')
    }, 'raw response'],
    ['written to the raw response by a callback handler', true, (_request, reply) => {
      reply.hijack()
      reply.raw.end('raw')
    }, 'raw response'],
    ['written to the raw response by a callback', true, (_request, reply) => {
      setImmediate(() => {
        reply.hijack()
        reply.raw.end('raw')
      })
    }, 'raw response']
  ] as Array<[string, RouteShorthandOptions['idempotent'], RouteHandlerMethod, string]>)(
    'that are %s are not kept: the handler runs once all the same', async (_what, idempotent, handler, why) => {
      const { app, runs } = await serve(idempotent, handler)
      expect((await app.inject(post('a'))).statusCode).toBe(200)
      await until('the end to be remembered', () => app.cluster.status.idempotency.running === 0)
      const again = await app.inject(post('a'))
      expect(again.statusCode).toBe(409)
      expect(again.json()).toMatchObject({ code: 'RAFT_ANSWER_NOT_KEPT', message: expect.stringContaining(why) as string })
      expect(again.headers).toMatchObject({ 'idempotent-replayed': 'true' })
      expect(runs).toHaveLength(1)
    })

  it('keep the fields that the route names, and no others', async () => {
    const { app } = await serve({ headers: ['X-Order', 'Link'] }, async (_request, reply) =>
      await reply.header('x-order', '7').header('link', ['<a>', '<b>']).header('x-other', 'o').header('location', '/l').send('x'))
    await app.inject(post('a'))
    const { headers } = await app.inject(post('a'))
    expect(headers).toMatchObject({ 'x-order': '7', 'content-type': 'text/plain; charset=utf-8' })
    expect(headers.link).toEqual(['<a>', '<b>'])
    expect(headers).not.toHaveProperty('x-other')
    expect(headers).not.toHaveProperty('location')
  })

  it('of 5xx are kept, since the handler may have done half of its work, unless it may run again', async () => {
    for (const [onUnknown, runsAtAll] of [['fail', 1], ['retry', 2]] as const) {
      const { app, runs } = await serve({ onUnknown }, async () => { throw new Error('broken') })
      expect((await app.inject(post('a'))).statusCode).toBe(500)
      expect((await app.inject(post('a'))).statusCode).toBe(500)
      expect(runs).toHaveLength(runsAtAll)
    }
  })

  it.each(lateHandlers)('of a handler that %s, and whose client has left, are remembered', async (_what, handlerOf) => {
    let answer = (): void => {}
    const { app, runs } = await serve(true, handlerOf((told) => { answer = told }))
    const url = await app.listen()
    const asked = { method: 'POST', headers: { 'idempotency-key': 'a' } } as const
    const gone = new AbortController()
    const left = send(`${url}/x`, { ...asked, signal: gone.signal }).catch(() => 'left')
    await until('the handler to run', () => runs.length === 1)
    gone.abort()
    expect(await left).toBe('left')
    // The server has seen it by the time that it has answered another connection that came later.
    await send(`${url}/_cluster/v1/livez`)
    expect((await app.inject({ ...asked, url: '/x' })).statusCode).toBe(409)
    answer()
    await until('the answer to be remembered', () => app.cluster.status.idempotency.executed === 1)
    expect((await app.inject({ ...asked, url: '/x' })).json()).toEqual({ late: true })
    expect(runs).toHaveLength(1)
  })

  it('cannot be kept when the keys of the cluster have no room left: 503, and nothing runs', async () => {
    const runs: number[] = []
    const { app, engine } = await fakeApp({ ...threeMembers(), idempotency: { maxBytes: 65_536 } }, (app) => {
      app.post('/x', { leaderOnly: true, idempotent: { maxBytes: 40_000 } }, async () => {
        runs.push(1)
        return 'y'.repeat(39_000)
      })
    })
    engine.lead()
    expect((await app.inject(post('a'))).statusCode).toBe(200)
    const refused = await app.inject(post('b'))
    expect(refused.statusCode).toBe(503)
    expect(refused.json()).toMatchObject({ code: 'RAFT_BUSY' })
    expect(runs).toHaveLength(1)
  })
})

describe('a begin that nobody knows the outcome of', () => {
  /** Makes the next proposals have an unknown outcome, whether they are applied or not; returns the end of that. */
  function doubt (engine: FakePeerEngine, isApplied: boolean): () => void {
    const propose = engine.propose.bind(engine)
    engine.propose = async (...parts) => {
      if (isApplied) await propose(...parts)
      throw new OutcomeUnknownError(1_000)
    }
    return () => { engine.propose = propose }
  }

  it.each([true, false])('leaves the key for the next request, applied: %s', async (isApplied) => {
    const { app, engine, runs } = await serve()
    const end = doubt(engine, isApplied)
    for (let count = 0; count < 2; count++) {
      const refused = await app.inject(post('a'))
      expect([refused.statusCode, refused.json<{ code: string }>().code]).toEqual([503, 'RAFT_NOT_LEADER'])
    }
    end()
    expect(runs).toEqual([])
    expect((await app.inject(post('a'))).statusCode).toBe(201)
    expect((await app.inject(post('a'))).headers['idempotent-replayed']).toBe('true')
    expect(runs).toHaveLength(1)
  })

  it('says nothing of an attempt that ran', async () => {
    const { app, engine, runs } = await serve(true, async (_request, reply) => {
      engine.unavailable = true
      return await reply.code(201).send({ ran: true })
    })
    expect((await app.inject(post('a'))).statusCode).toBe(502)
    engine.unavailable = false
    const end = doubt(engine, true)
    expect((await app.inject(post('a'))).statusCode).toBe(503)
    end()
    expect((await app.inject(post('a'))).json()).toMatchObject({ code: 'RAFT_REQUEST_LOST' })
    expect(runs).toHaveLength(1)
  })

  it('is of no use to a later leadership, which cannot know', async () => {
    const { app, engine, runs } = await serve({ graceMs: 0 })
    const end = doubt(engine, true)
    await app.inject(post('a'))
    end()
    engine.lose('n2')
    engine.lead()
    expect((await app.inject(post('a'))).json()).toMatchObject({ code: 'RAFT_REQUEST_LOST' })
    expect(runs).toEqual([])
  })
})

describe('a handler whose leader is lost', () => {
  /** A route whose handler answers when told. */
  async function interrupted (idempotent: RouteShorthandOptions['idempotent']) {
    const answers: Array<() => void> = []
    const served = await serve(idempotent, async () => {
      await new Promise<void>((resolve) => { answers.push(resolve) })
      return { run: answers.length }
    })
    const begun = watchBegins(served.engine)
    const first = served.app.inject(post('a'))
    await until('the handler to run', () => answers.length === 1)
    return { ...served, begun, answers, first }
  }

  it('is remembered when it ends before the next leader decides: its client gets the answer', async () => {
    const { engine, app, answers, first } = await interrupted(true)
    engine.lose('n2')
    answers[0]?.()
    expect((await first).json()).toEqual({ run: 1 })
    engine.lead()
    expect((await app.inject(post('a'))).json()).toEqual({ run: 1 })
  })

  it('was decided about elsewhere: its late answer is withheld', async () => {
    const { engine, begun, answers, first, runs } = await interrupted(true)
    engine.lose('n2')
    const { attempt } = await proposeElsewhere(engine, begun()) as { readonly attempt: number }
    expect(await proposeElsewhere(engine, { ...begun(), lost: attempt })).toEqual({ kind: 'request-lost' })
    answers[0]?.()
    const answer = await first
    expect(answer.statusCode).toBe(502)
    expect(answer.json()).toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN' })
    expect(answer.headers).not.toHaveProperty('location')
    expect(runs).toHaveLength(1)
  })

  it('does not begin when the leadership ends meanwhile, and its key is free again', async () => {
    const { app, engine, runs } = await serve()
    const propose = engine.propose.bind(engine)
    engine.propose = async (...parts) => {
      const answer = await propose(...parts)
      if (engine.currentLeadership() !== null) engine.lose('n2')
      return answer
    }
    const refused = await app.inject(post('a'))
    expect(refused.statusCode).toBe(503)
    expect(refused.json()).toMatchObject({ code: 'RAFT_NOT_LEADER' })
    engine.propose = propose
    engine.lead()
    expect((await app.inject(post('a'))).statusCode).toBe(201)
    expect(runs).toHaveLength(1)
  })

  it('does not begin once nobody waits for it any more, and its key is free again', async () => {
    const { app, engine, runs } = await serve()
    const propose = engine.propose.bind(engine)
    // The disk takes longer than the sender waits.
    engine.propose = async (...parts) => {
      await delay(300)
      return await propose(...parts)
    }
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const { statusCode, headers, body } = await send(`${base}/x`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': 'a',
        'raft-hop': `v=1;from=n2;to=n1;term=${app.cluster.term};id=abc;left=150`
      },
      body: '{"n":1}'
    })
    expect([statusCode, headers['raft-not-executed']]).toEqual([503, `${app.cluster.term};id=abc`])
    expect(await body.json()).toMatchObject({ code: 'RAFT_DEADLINE_PASSED' })
    expect(runs).toEqual([])
    engine.propose = propose
    expect((await app.inject(post('a'))).statusCode).toBe(201)
  })

  it('tells its client nothing when the answer cannot be remembered', async () => {
    const { engine, app, answers, first, runs } = await interrupted(true)
    engine.unavailable = true
    answers[0]?.()
    expect((await first).statusCode).toBe(502)
    engine.unavailable = false
    // This leader knows that no handler is at work: nobody knows what it did.
    const again = await app.inject(post('a'))
    expect(again.statusCode).toBe(409)
    expect(again.json()).toMatchObject({ code: 'RAFT_REQUEST_LOST' })
    expect(app.cluster.status.idempotency).toMatchObject({ lost: 1, running: 0 })
    expect(runs).toHaveLength(1)
  })

  it('runs again where that may be', async () => {
    const { engine, app, answers, first, runs } = await interrupted({ onUnknown: 'retry' })
    engine.unavailable = true
    answers[0]?.()
    expect((await first).statusCode).toBe(502)
    engine.unavailable = false
    const second = app.inject(post('a'))
    await until('the handler to run again', () => answers.length === 2)
    answers[1]?.()
    expect((await second).json()).toEqual({ run: 2 })
    expect((await app.inject(post('a'))).json()).toEqual({ run: 2 })
    expect(runs).toHaveLength(2)
  })

  it('that another node has lost is waited for as long as the route says, and then decided', async () => {
    const other = await serve()
    const begun = watchBegins(other.engine)
    await other.app.inject(post('a'))
    const { app, engine, runs } = await serve({ graceMs: 200 })
    engine.lose('n2')
    expect(await proposeElsewhere(engine, begun())).toMatchObject({ kind: 'request-started' })
    engine.lead()
    const early = await app.inject(post('a'))
    expect(early.statusCode).toBe(409)
    expect(early.json()).toMatchObject({ code: 'RAFT_REQUEST_PENDING' })
    await delay(250)
    expect((await app.inject(post('a'))).json()).toMatchObject({ code: 'RAFT_REQUEST_LOST' })
    expect((await app.inject(post('a'))).json()).toMatchObject({ code: 'RAFT_REQUEST_LOST' })
    expect(runs).toEqual([])
  })
})

/** The command with which this engine's node began its last request. */
function watchBegins (engine: FakePeerEngine): () => RequestBeginCommand {
  const propose = engine.propose.bind(engine)
  let last: RequestBeginCommand | null = null
  engine.propose = async (bytes, options) => {
    const command = decodeCommand(bytes)
    if (command.kind === 'request-begin') last = command
    return await propose(bytes, options)
  }
  return () => {
    if (last === null) throw new Error('no request has begun')
    return last
  }
}

/** What another node proposes while it leads. */
async function proposeElsewhere (engine: FakePeerEngine, command: RequestBeginCommand): Promise<unknown> {
  const { fences } = engine.request.stateMachine as ClusterStateMachine
  return await engine.propose(encodeCommand({ ...command, fence: fences.leadershipToken }))
}
