import type { FastifyInstance, RouteOptions } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import type { Access, AuditRecord, Authorize, ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import type { ProvenCaller } from '../../../src/plugin/routes/proven-caller.ts'
import { noteCaller } from '../../../src/plugin/routes/proven-caller.ts'
import { stateAccess } from '../../../src/plugin/v1/declared-access.ts'
import { makeSecret } from '../../../src/raft/index.ts'
import { makeToken, tokenDigest } from '../../../src/raft/internal.ts'
import { rawExchange } from '../../gateway/support/servers.ts'
import { until } from '../../support/until.ts'
import { agreedLeader, clusterOfThree, startNode, wholeMembership } from '../support/cluster-of-three.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

const tokens = { read: makeToken(), data: makeToken(), admin: makeToken() }
const roles = ['read', 'data', 'admin'] as const
const withTokens = {
  tokens: roles.map((role) => role === 'data'
    ? { sha256: tokenDigest(tokens.data).toString('hex'), role, name: `the-${role}` }
    : { token: tokens[role], role, name: `the-${role}` })
} satisfies ClusterOptions

/** Every route under `v1`, and who may call it. */
const table: ReadonlyArray<readonly [method: string, url: string, access: Access]> = [
  ['GET', 'livez', 'open'],
  ['GET', 'readyz', 'open'],
  ['GET', 'leader/self', 'open'],
  ['GET', 'leader', 'read'],
  ['GET', 'status', 'read'],
  ['GET', 'watch', 'read'],
  ['GET', 'members', 'read'],
  ['POST', 'members', 'admin'],
  ['POST', 'members/:id/promote', 'admin'],
  ['POST', 'members/:id/demote', 'admin'],
  ['POST', 'members/:id/url', 'admin'],
  ['DELETE', 'members/:id', 'admin'],
  ['POST', 'leader/transfer', 'admin'],
  ['POST', 'leader/step-down', 'admin'],
  ['POST', 'snapshot', 'admin'],
  ['GET', 'schedules', 'read'],
  ['GET', 'schedules/:name', 'read'],
  ['GET', 'schedules/:name/history', 'read'],
  ['GET', 'schedules/:name/preview', 'read'],
  ['POST', 'schedules/:name/run', 'admin'],
  ['POST', 'schedules/:name/pause', 'admin'],
  ['POST', 'schedules/:name/resume', 'admin'],
  ['POST', 'schedules/:name/backfill', 'admin'],
  ['DELETE', 'schedules/:name', 'admin'],
  ['GET', 'tasks', 'read'],
  ['GET', 'once', 'read'],
  ['GET', 'once-result', 'read'],
  ['GET', 'kv', 'data'],
  ['GET', 'kv-changes', 'data'],
  ['GET', 'kv/*', 'data'],
  ['POST', 'kv-transaction', 'data'],
  ['PUT', 'kv/*', 'data'],
  ['DELETE', 'kv/*', 'data'],
  ['GET', 'locks', 'data'],
  ['GET', 'locks/:name', 'data'],
  ['POST', 'locks/:name/acquire', 'data'],
  ['POST', 'locks/:name/renew', 'data'],
  ['POST', 'locks/:name/release', 'data'],
  ['POST', 'locks/:name/cancel', 'data'],
  ['GET', 'sessions', 'data'],
  ['POST', 'sessions', 'data'],
  ['POST', 'sessions/:session/keep-alive', 'data'],
  ['DELETE', 'sessions/:session', 'data']
]

interface Served {
  readonly app: FastifyInstance
  /** Of `v1`. */
  readonly base: string
  readonly port: number
}

async function served (options: ClusterOptions, declare: (app: FastifyInstance) => void = () => {}): Promise<Served> {
  const { app } = await fakeApp(options, declare)
  const origin = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, base: `${origin}/_cluster/v1`, port: Number(new URL(origin).port) }
}

function bearer (token: string): { readonly authorization: string } {
  return { authorization: `Bearer ${token}` }
}

describe('the routes under the prefix', () => {
  it('all state who may call them, as their table says', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    const routes: RouteOptions[] = []
    app.addHook('onRoute', (route) => { routes.push(route) })
    await app.register(cluster)
    await app.ready()
    const ours = routes.filter(({ url }) => url.startsWith('/_cluster/'))
    const stated = ours.map(({ method, url, config, schema }) => {
      expect(Reflect.get(schema ?? {}, 'x-access'), url).toBe(config?.clusterAccess)
      return [method, url.replace('/_cluster/v1/', ''), config?.clusterAccess]
    })
    const heads = table.filter(([method]) => method === 'GET').map(([, url, access]) => ['HEAD', url, access])
    expect(stated.map(String).sort()).toEqual([...table, ...heads].map(String).sort())
  })

  it('are refused where they are declared when they do not', async () => {
    const scope = Fastify()
    stateAccess(scope, { openApi: false, showsTokens: false })
    expect(() => scope.get('/forgotten', async () => '')).toThrow('GET /forgotten does not state who may call it')
    scope.get('/stated', { config: { clusterAccess: 'read' } }, async () => '')
    await scope.close()
  })
})

describe('with tokens', () => {
  it('each route asks for the role that it states, over the network and by inject alike', async () => {
    const { app, base } = await served(withTokens)
    for (const [method, path, access] of table) {
      // A stream has no end, and what is let in is refused behind that.
      const url = path.replace(':id', 'n9').replace('*', 'key').replace(/changes$/, 'changes?afterRevision=none')
      for (const role of [null, ...roles] as const) {
        const headers = role === null ? {} : bearer(tokens[role])
        const needed = access === 'open' ? -1 : roles.indexOf(access)
        const expected = role === null && needed >= 0 ? 401 : role !== null && roles.indexOf(role) < needed ? 403 : 0
        const overNetwork = await fetch(`${base}/${url}`, { method, headers })
        const injected = await app.inject({ method: method as 'GET', url: `/_cluster/v1/${url}`, headers })
        for (const status of [overNetwork.status, injected.statusCode]) {
          if (expected === 0) expect([401, 403], `${method} ${url} as ${role}`).not.toContain(status)
          else expect(status, `${method} ${url} as ${role}`).toBe(expected)
        }
      }
    }
  })

  it('a refusal has its code and challenge, and says nothing of the cluster', async () => {
    const { base } = await served({ ...withTokens, id: 'hidden' })
    const [none, unknown, low] = await Promise.all([
      fetch(`${base}/status`),
      fetch(`${base}/status`, { headers: bearer(makeToken()) }),
      fetch(`${base}/kv`, { headers: bearer(tokens.read) })
    ])
    const challenges = [none, unknown, low].map((answer) => answer.headers.get('www-authenticate'))
    expect(challenges).toEqual([
      'Bearer realm="fastify-raft"',
      'Bearer realm="fastify-raft", error="invalid_token"',
      'Bearer realm="fastify-raft", error="insufficient_scope", scope="data"'
    ])
    for (const [answer, statusCode, code] of [
      [none, 401, 'RAFT_UNAUTHENTICATED'], [unknown, 401, 'RAFT_UNAUTHENTICATED'], [low, 403, 'RAFT_UNAUTHORIZED']
    ] as const) {
      expect(await answer.json()).toMatchObject({ statusCode, code, leader: null, term: 0 })
      expect(JSON.stringify([...answer.headers])).not.toMatch(/hidden|raft-/)
    }
  })

  it.each<[string, string, number]>([
    ['in lower case', `authorization: bearer ${tokens.read}`, 200],
    ['in upper case', `AUTHORIZATION: BEARER ${tokens.read}`, 200],
    ['behind several spaces', `authorization:   Bearer   ${tokens.read}  `, 200],
    ['behind a tab', `authorization: Bearer\t${tokens.read}`, 401],
    ['with something behind it', `authorization: Bearer ${tokens.read} x`, 401],
    ['in quotes', `authorization: Bearer "${tokens.read}"`, 401],
    ['without its scheme', `authorization: ${tokens.read}`, 401],
    ['of another scheme', `authorization: Basic ${tokens.read}`, 401],
    ['of a scheme that only begins so', `authorization: BearerX ${tokens.read}`, 401],
    ['cut by one character', `authorization: Bearer ${tokens.read.slice(0, -1)}`, 401],
    ['that is empty', 'authorization: Bearer', 401],
    ['in two fields', `authorization: Bearer ${tokens.read}\r\nauthorization: Bearer ${tokens.read}`, 400],
    ['behind another one', `authorization: Bearer x\r\nAuthorization: Bearer ${tokens.read}`, 400],
    ['in another field', `x-authorization: Bearer ${tokens.read}`, 401],
    ['that is its digest', `authorization: Bearer ${tokenDigest(tokens.read).toString('hex')}`, 401],
    ['of 64 KiB', `authorization: Bearer ${'x'.repeat(65_536)}`, 431]
  ])('a token %s is judged as it stands', async (_how, field, status) => {
    const { port } = await served(withTokens)
    const head = 'GET /_cluster/v1/status HTTP/1.1\r\nhost: a\r\nconnection: close'
    const answer = await rawExchange(port, `${head}\r\n${field}\r\n\r\n`)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    if (status === 400) expect(answer).toMatch(/www-authenticate: Bearer realm="fastify-raft", error="invalid_request"/i)
  })

  it('a token in the query string or body is none', async () => {
    const { base } = await served(withTokens)
    for (const name of ['access_token', 'token', 'authorization']) {
      expect((await fetch(`${base}/members?${name}=${tokens.admin}`)).status).toBe(401)
    }
    const body = new URLSearchParams({ access_token: tokens.admin })
    expect((await fetch(`${base}/members`, { method: 'POST', body })).status).toBe(401)
  })

  it('a token in the query string is not logged with a failure either', async () => {
    const lines: string[] = []
    const logger = { level: 'error', stream: { write: (line: string) => { lines.push(line) } } }
    const { app, engine } = await fakeApp(withTokens, undefined, { logger })
    engine.status = () => { throw new TypeError('broken') }
    const answer = await app.inject({
      url: `/_cluster/v1/status?access_token=${tokens.read}`,
      headers: bearer(tokens.read)
    })
    expect(answer.statusCode).toBe(500)
    const line = lines.find((logged) => logged.includes('a cluster route failed')) ?? ''
    expect(line).toContain('"path":"/_cluster/v1/status"')
    expect(line).not.toContain(tokens.read)
  })

  it('neither this machine nor insecure opens anything', async () => {
    const { base } = await served({ ...withTokens, insecure: true })
    expect((await fetch(`${base}/status`)).status).toBe(401)
    expect((await fetch(`${base}/livez`)).status).toBe(200)
  })

  it('an empty list lets nobody in', async () => {
    const { base } = await served({ tokens: [] })
    expect((await fetch(`${base}/status`, { headers: bearer(tokens.admin) })).status).toBe(401)
  })

  it('nothing changes by guesses, nor by what a role does not allow', async () => {
    const { app, base } = await served(withTokens)
    const json = { 'content-type': 'application/json' }
    const calls: ReadonlyArray<readonly [string, string, object]> = [
      ['PUT', 'kv/x', { value: 1 }],
      ['POST', 'members', { id: 'n2', url: 'http://127.0.0.1:2' }],
      ['POST', 'leader/step-down', {}]
    ]
    const term = app.cluster.term
    for (const token of [...Array.from({ length: 20 }, makeToken), tokens.read, tokens.read.toLowerCase(), '']) {
      for (const [method, path, body] of calls) {
        const headers = { ...json, ...bearer(token) }
        const answer = await fetch(`${base}/${path}`, { method, headers, body: JSON.stringify(body) })
        expect([401, 403]).toContain(answer.status)
      }
    }
    expect(app.cluster.membership.members).toHaveLength(1)
    expect([app.cluster.isLeader, app.cluster.term]).toEqual([true, term])
    expect(await app.cluster.map('kv').get('x')).toBeNull()
    expect(app.cluster.status.refusedCalls).toEqual({ unauthenticated: 22 * 3, unauthorized: 3 })
  })

  it('a refused upload is not waited for, and its connection ends with the answer', async () => {
    const { port } = await served(withTokens)
    const fields = 'host: a\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n'
    // Resolves when the connection ends: nothing of the body is sent.
    const answer = await rawExchange(port, `PUT /_cluster/v1/kv/x HTTP/1.1\r\n${fields}\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 401 /)
    expect(answer).toContain('"code":"RAFT_UNAUTHENTICATED"')
    expect(answer).toMatch(/www-authenticate: Bearer/i)
  })
})

describe('with authorize', () => {
  async function authorized (authorize: Authorize): Promise<Served> {
    return await served({ authorize, insecure: true })
  }

  it('the application decides, from the request and its access, with and without waiting', async () => {
    const seen: string[] = []
    const { base } = await authorized((request, access) => {
      seen.push(`${request.method} ${access}`)
      const user = request.headers['x-user']
      return user === 'async' ? Promise.resolve(true) : user === 'ann' && access !== 'admin'
    })
    const status = async (path: string, user: string, method = 'GET'): Promise<number> =>
      (await fetch(`${base}/${path}`, { method, headers: { 'x-user': user } })).status
    expect(await status('status', 'ann')).toBe(200)
    expect(await status('kv', 'async')).toBe(200)
    expect(await status('status', 'bob')).toBe(403)
    expect(await status('snapshot', 'ann', 'POST')).toBe(403)
    expect(await status('livez', 'bob')).toBe(200)
    expect(seen).toEqual(['GET read', 'GET data', 'GET read', 'POST admin'])
  })

  it.each<[string, Authorize]>([
    ['throws', () => { throw new Error('the database said hunter2') }],
    ['rejects', async () => { throw new Error('the database said hunter2') }],
    ['returns nothing', (() => undefined) as never],
    ['returns a string', (() => 'yes') as never],
    ['returns an object without a name', (() => ({ id: 1 })) as never]
  ])('that %s, nobody gets in, and the log alone says why', async (_what, authorize) => {
    const lines: string[] = []
    const stream = { write: (line: string) => { lines.push(line) } }
    const { app } = await fakeApp({ authorize }, undefined, { logger: { level: 'info', stream } })
    const answer = await app.inject({ method: 'PUT', url: '/_cluster/v1/kv/x', payload: { value: 1 } })
    expect([answer.statusCode, answer.json()]).toMatchObject([500, { code: 'RAFT_INTERNAL', leader: null }])
    expect(answer.body).not.toContain('hunter2')
    expect(lines.some((line) => line.includes('authorize of the application failed'))).toBe(true)
    expect(await app.cluster.map('kv').get('x')).toBeNull()
  })
})

describe('without tokens and authorize', () => {
  it('this machine alone is served, unless insecure says otherwise', async () => {
    const open = await fakeApp({ insecure: true })
    const closed = await fakeApp({})
    const remote = { url: '/_cluster/v1/status', remoteAddress: '10.0.0.5' }
    expect((await open.app.inject(remote)).statusCode).toBe(200)
    const refused = await closed.app.inject(remote)
    const body = { code: 'RAFT_UNAUTHORIZED', leader: null, term: 0 }
    expect([refused.statusCode, refused.json()]).toMatchObject([403, body])
    expect((await closed.app.inject('/_cluster/v1/status')).statusCode).toBe(200)
    // Tokens mean nothing here.
    expect((await closed.app.inject({ ...remote, headers: bearer(tokens.admin) })).statusCode).toBe(403)
  })
})

describe('who has proven to be', () => {
  /** An application whose requests all come from this caller. */
  async function calledBy (caller: ProvenCaller, options: ClusterOptions): Promise<(url: string) => Promise<number>> {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    app.addHook('onRequest', async ({ raw }) => { noteCaller(raw, caller) })
    await app.register(cluster, options)
    return async (url) => (await app.inject({ url: `/_cluster/v1/${url}`, remoteAddress: '10.0.0.5' })).statusCode
  }

  it.each([['tokens', withTokens], ['nothing', {}], ['authorize', { authorize: () => false }]])(
    'a member may call everything, beside %s',
    async (_what, options) => {
      const call = await calledBy({ kind: 'member', id: 'n2' }, options)
      for (const url of ['leader', 'status', 'kv', 'members']) expect(await call(url)).not.toBeOneOf([401, 403])
    }
  )

  it.each([['tokens', withTokens], ['nothing', {}], ['insecure', { insecure: true }]])(
    'a gateway may ask who leads, and nothing else, beside %s',
    async (_what, options) => {
      const call = await calledBy({ kind: 'gateway', name: 'front' }, options)
      expect(await call('leader')).not.toBeOneOf([401, 403])
      for (const url of ['status', 'kv', 'members']) expect(await call(url)).toBe(403)
    }
  )
})

describe('members with tokens and a secret', () => {
  it('answer for the clients that they let in: the leader need not know the token', async () => {
    const secret = makeSecret()
    const own = new Map<string, string>()
    const nodes = await clusterOfThree(async (app, options) => {
      const token = makeToken()
      own.set(options.id ?? '', token)
      await app.register(cluster, { ...options, secret, tokens: [{ token, role: 'admin', name: `of-${options.id}` }] })
    })
    await wholeMembership(nodes)
    const leader = await agreedLeader(nodes)
    const follower = nodes.find((node) => node !== leader) ?? leader
    const records: AuditRecord[] = []
    for (const node of [leader, follower]) node.app.cluster.on('audit', (record) => { records.push(record) })
    const demote = async (token: string): Promise<number> => (await fetch(
      `${follower.url}/_cluster/v1/members/${follower.id}/demote`,
      { method: 'POST', headers: bearer(token) }
    )).status
    expect(await demote(own.get(leader.id) ?? '')).toBe(401)
    expect(await demote(own.get(follower.id) ?? '')).toBe(200)
    await until('both have told', () => records.length === 3)
    expect(records.map(({ caller, result }) => [caller.kind, caller.name, result])).toEqual([
      ['anybody', null, 'refused'],
      ['member', follower.id, 'done'],
      ['token', `of-${follower.id}`, 'done']
    ])
  })
})

describe('members with tokens and no secret', () => {
  it('start, join and pass changes on to the leader with the token in adminHeaders', async () => {
    const trust = { ...withTokens, adminHeaders: bearer(tokens.admin) }
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, { ...options, ...trust })
    })
    await wholeMembership(nodes)
    const leader = await agreedLeader(nodes)
    const [port] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const joined = await startNode({ id: 'n4', url, join: nodes.map((node) => node.url), ...trust }, url)
    await until('it votes', () =>
      joined.app.cluster.membership.members.find(({ id }) => id === 'n4')?.role === 'voter')
    // Of the client that calls a follower, and of nobody else.
    const demote = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${joined.url}/_cluster/v1/members/n4/demote`, { method: 'POST', headers })).status
    expect(await demote({})).toBe(401)
    expect(await demote(bearer(tokens.data))).toBe(403)
    expect(await demote(bearer(tokens.admin))).toBe(200)
    expect(leader.app.cluster.membership.members.find(({ id }) => id === 'n4')?.role).toBe('learner')
  })

  it('are refused without it, with what is missing', async () => {
    const { base } = await served({ ...threeMembers(), ...withTokens })
    const members = [{ id: 'n1', url: new URL(base).origin }, { id: 'n2', url: 'http://127.0.0.1:1' }]
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await expect(app.register(cluster, { id: 'n2', members })).rejects.toThrow(/RAFT_UNAUTHENTICATED.*adminHeaders/)
  })
})
