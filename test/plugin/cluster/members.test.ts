import type { IncomingHttpHeaders } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer as createTcpServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterOptions, Membership } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { makeSecret } from '../../../src/raft/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, wholeMembership } from '../support/cluster-of-three.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, unknown>
}

async function call (
  node: Node,
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {}
): Promise<Answer> {
  const response = await fetch(`${node.url}/_cluster/v1/${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>
  }
}

interface Three {
  readonly nodes: readonly Node[]
  readonly leader: Node
  readonly follower: Node
  readonly other: Node
}

async function three (options: ClusterOptions = {}): Promise<Three> {
  const nodes = await clusterOfThree(async (app, given) => { await app.register(cluster, { ...given, ...options }) })
  const leader = await agreedLeader(nodes)
  await wholeMembership(nodes)
  const [follower, other] = nodes.filter((node) => node !== leader)
  if (follower === undefined || other === undefined) throw new Error('there are two followers')
  return { nodes, leader, follower, other }
}

const nowhere = 'http://127.0.0.1:9'

/** Another address of a node: connections there are passed on to it. */
async function proxyTo (url: string): Promise<string> {
  const { port } = new URL(url)
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    const onward = connect(Number(port), '127.0.0.1')
    for (const one of [socket, onward]) {
      sockets.add(one)
      one.on('error', () => { socket.destroy(); onward.destroy() }).on('close', () => { sockets.delete(one) })
    }
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => { server.close(resolve) })
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('members over HTTP', () => {
  it('are listed by every node, with their roles and the version', async () => {
    const { nodes, leader } = await three()
    const { version } = leader.app.cluster.membership
    for (const node of nodes) {
      for (const query of ['', '?read=linearizable']) {
        expect(await call(node, 'GET', `members${query}`)).toMatchObject({
          status: 200,
          body: {
            clusterId: 'default',
            members: nodes.map(({ id, url, app }) => ({
              id,
              url,
              role: 'voter',
              incarnation: app.cluster.status.incarnation
            })),
            version,
            isSettled: true
          }
        })
      }
      expect((await call(node, 'GET', 'status')).body).toMatchObject({
        membershipVersion: version,
        members: [{ role: 'voter' }, { role: 'voter' }, { role: 'voter' }]
      })
    }
  })

  it('are added, demoted, promoted and removed through any node, one hop away from the leader', async () => {
    const { nodes, leader, follower, other } = await three()
    const heard: Membership[] = []
    other.app.cluster.on('membershipChanged', (membership) => { heard.push(membership) })
    const added = await call(follower, 'POST', 'members', { id: 'n9', url: `${nowhere}/` })
    expect(added).toMatchObject({ status: 200, body: { clusterId: 'default', isSettled: true } })
    expect(added.headers.get('raft-node')).toBe(leader.id)
    expect(added.body['members']).toContainEqual({ id: 'n9', url: nowhere, role: 'learner' })
    expect(added.body['version']).toBeLessThanOrEqual(leader.app.cluster.membership.version)

    const { version: ifVersion } = leader.app.cluster.membership
    const { incarnation } = other.app.cluster.status
    const demoted = await call(follower, 'POST', `members/${other.id}/demote`, { ifVersion })
    expect(demoted.body['members']).toContainEqual({
      id: other.id,
      url: other.url,
      role: 'learner',
      demoted: true,
      incarnation
    })
    const promoted = await until('it is promoted', async () => {
      const answer = await call(follower, 'POST', `members/${other.id}/promote`)
      return answer.status === 200 ? answer : null
    })
    expect(promoted.body['members']).toContainEqual({ id: other.id, url: other.url, role: 'voter', incarnation })
    expect(await call(other, 'DELETE', `members/n9?ifVersion=${promoted.body['version'] as number}`)).toMatchObject({
      status: 200
    })
    for (const node of nodes) {
      await until(`${node.id} knows`, () => node.app.cluster.membership.members.every(({ id }) => id !== 'n9'))
    }
    const additions = heard.filter(({ members }) => members.some(({ id }) => id === 'n9'))
    expect(additions.at(0)?.members).toContainEqual({ id: 'n9', url: nowhere, role: 'learner' })
    await until('the last change was heard of', () => heard.at(-1)?.members.length === 3)
  })

  it('are reached at their new URL after a change, through any node', async () => {
    const { nodes, leader, follower, other } = await three()
    const proxy = await proxyTo(other.url)
    const { incarnation } = other.app.cluster.status
    const { version: ifVersion } = leader.app.cluster.membership
    const moved = await call(follower, 'POST', `members/${other.id}/url`, {
      url: `${proxy}/`,
      ifVersion,
      ifIncarnation: incarnation
    })
    expect(moved).toMatchObject({ status: 200, body: { isSettled: true } })
    expect(moved.body['members']).toContainEqual({ id: other.id, url: proxy, role: 'voter', incarnation })
    for (const node of nodes) {
      await until(`${node.id} knows`, () => node.app.cluster.membership.members.some(({ url }) => url === proxy))
    }
    await leader.app.cluster.map('m').set('k', 1)
    expect(await other.app.cluster.map('m').get('k')).toMatchObject({ value: 1 })
    expect((await leader.app.cluster.changeMemberUrl(other.id, other.url)).members).toContainEqual({
      id: other.id,
      url: other.url,
      role: 'voter',
      incarnation
    })
  })

  it('stay as they are when a change is refused, and the refusal has its code, through any node', async () => {
    const { leader, follower, other } = await three()
    const { members, version } = leader.app.cluster.membership
    const later = version + 1
    const refusals: ReadonlyArray<[string, string, object | undefined, number, string]> = [
      ['POST', 'members', { id: follower.id, url: nowhere }, 409, 'RAFT_MEMBER_EXISTS'],
      ['POST', 'members', { id: 'n9', url: leader.url }, 409, 'RAFT_MEMBER_EXISTS'],
      ['POST', 'members', { id: 'n9', url: nowhere, ifVersion: later }, 409, 'RAFT_VERSION_MISMATCH'],
      ['POST', 'members/n9/promote', undefined, 404, 'RAFT_UNKNOWN_MEMBER'],
      ['POST', 'members/n9/demote', {}, 404, 'RAFT_UNKNOWN_MEMBER'],
      ['DELETE', 'members/n9', undefined, 404, 'RAFT_UNKNOWN_MEMBER'],
      ['POST', `members/${follower.id}/promote`, {}, 409, 'RAFT_MEMBER_ROLE'],
      ['POST', `members/${follower.id}/demote`, { ifVersion: later }, 409, 'RAFT_VERSION_MISMATCH'],
      ['DELETE', `members/${follower.id}?ifVersion=0`, undefined, 409, 'RAFT_VERSION_MISMATCH'],
      ['POST', `members/${follower.id}/url`, { url: leader.url }, 409, 'RAFT_MEMBER_EXISTS'],
      ['POST', `members/${follower.id}/url`, { url: nowhere, ifVersion: later }, 409, 'RAFT_VERSION_MISMATCH'],
      [
        'POST',
        `members/${follower.id}/url`,
        { url: nowhere, ifIncarnation: 'ffffffffffffffff' },
        421,
        'RAFT_WRONG_INCARNATION'
      ],
      ['DELETE', `members/${follower.id}?ifIncarnation=ffffffffffffffff`, undefined, 421, 'RAFT_WRONG_INCARNATION'],
      ['POST', 'members/n9/url', { url: nowhere }, 404, 'RAFT_UNKNOWN_MEMBER'],
      ['POST', 'leader/transfer', { to: 'n9' }, 404, 'RAFT_UNKNOWN_MEMBER']
    ]
    for (const node of [leader, other]) {
      for (const [method, path, body, status, code] of refusals) {
        const answer = await call(node, method, path, body)
        expect([method, path, answer.status, answer.body['code']]).toEqual([method, path, status, code])
        expect(Object.keys(answer.body)).toEqual(['statusCode', 'code', 'error', 'message', 'leader', 'term'])
      }
    }
    expect(leader.app.cluster.membership.members).toEqual(members)
    expect(leader.app.cluster.isLeader).toBe(true)
  })

  it('a learner out of reach is not promoted and cannot lead', async () => {
    const { leader, follower } = await three()
    await call(follower, 'POST', 'members', { id: 'n9', url: nowhere })
    expect(await call(follower, 'POST', 'members/n9/promote')).toMatchObject({
      status: 412,
      body: { code: 'RAFT_MEMBER_LAGGING' }
    })
    expect(await call(follower, 'POST', 'leader/transfer', { to: 'n9' })).toMatchObject({
      status: 409,
      body: { code: 'RAFT_MEMBER_ROLE' }
    })
    expect(leader.app.cluster.isLeader).toBe(true)
  })

  it('a voter is not removed when too few of the others would be left', async () => {
    const { leader, follower, other } = await three({ requestTimeoutMs: 1_000 })
    await other.app.close()
    await leader.app.cluster.map('m').set('k', 'so that the loss is noticed')
    const refused = await until('the risk is seen', async () => {
      const answer = await call(follower, 'POST', `members/${follower.id}/demote`)
      expect(answer.status).not.toBe(200)
      return answer.body['code'] === 'RAFT_QUORUM_AT_RISK' ? answer : null
    })
    expect(refused.status).toBe(409)
    expect(await call(follower, 'DELETE', `members/${other.id}`)).toMatchObject({ status: 200 })
  })

  it('a change that is not complete in time is answered 504, and a second one 409 meanwhile', async () => {
    const { leader, follower, other } = await three({
      requestTimeoutMs: 300,
      heartbeatMs: 2_000,
      electionTimeoutMinMs: 6_500,
      electionTimeoutMaxMs: 8_000
    })
    // The leader notices the loss only when its lease has ended: the change is appended, and no peer acknowledges it.
    await Promise.all([follower.app.close(), other.app.close()])
    expect(leader.app.cluster.isLeader).toBe(true)
    expect(await call(leader, 'POST', 'members', { id: 'n9', url: nowhere })).toMatchObject({
      status: 504,
      body: { code: 'RAFT_OUTCOME_UNKNOWN' }
    })
    expect(await call(leader, 'POST', 'members', { id: 'n8', url: 'http://127.0.0.1:8' })).toMatchObject({
      status: 409,
      body: { code: 'RAFT_CHANGE_PENDING' }
    })
  })
})

describe('an invalid member or caller', () => {
  it.each([
    ['another machine', 'http://10.0.0.1:80'],
    ['a name that only looks like this machine', 'http://localhost.example:80'],
    ['another scheme', 'file:///etc/passwd'],
    ['a path', 'http://127.0.0.1:80/admin'],
    ['a query', 'http://127.0.0.1:80?x'],
    ['a user', 'http://me@127.0.0.1:80'],
    ['port 0', 'http://127.0.0.1:0'],
    ['the address of the metadata service', 'http://169.254.169.254'],
    ['no URL', 'n4'],
    ['nothing', '']
  ])('is refused: %s', async (_what, url) => {
    const { app, engine } = await fakeApp(threeMembers())
    engine.lead()
    const response = await app.inject({ method: 'POST', url: '/_cluster/v1/members', payload: { id: 'n4', url } })
    expect([response.statusCode, response.json<{ code: string }>().code]).toEqual([400, 'RAFT_INVALID_REQUEST'])
    await expect(app.cluster.addMember({ id: 'n4', url })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    const move = await app.inject({ method: 'POST', url: '/_cluster/v1/members/n2/url', payload: { url } })
    expect([move.statusCode, move.json<{ code: string }>().code]).toEqual([400, 'RAFT_INVALID_REQUEST'])
    await expect(app.cluster.changeMemberUrl('n2', url)).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
  })

  it.each([
    ['the members share a secret', { secret: makeSecret() }],
    ['insecure says so', { insecure: true }]
  ])('may be on another machine where %s', async (_why, trust) => {
    const { app, engine } = await fakeApp({ ...threeMembers(), ...trust })
    engine.lead()
    // The engine is asked then; this one has fixed members.
    await expect(app.cluster.addMember({ id: 'n4', url: 'http://10.0.0.4:4000' })).rejects.toThrow('a fixed membership')
  })

  it.each<[string, 'POST' | 'DELETE', string, string | undefined]>([
    ['an id that is none', 'POST', 'members', '{"id":"n 4","url":"http://127.0.0.1:4"}'],
    ['no url', 'POST', 'members', '{"id":"n4"}'],
    ['no body', 'POST', 'members', undefined],
    ['an unknown property', 'POST', 'members', '{"id":"n4","url":"http://127.0.0.1:4","role":"voter"}'],
    ['a version that is none', 'POST', 'members', '{"id":"n4","url":"http://127.0.0.1:4","ifVersion":-1}'],
    ['__proto__', 'POST', 'members', '{"id":"n4","url":"http://127.0.0.1:4","__proto__":{}}'],
    ['an id that climbs', 'POST', 'members/..%2F..%2Fx/promote', undefined],
    ['an unknown property of a promotion', 'POST', 'members/n2/promote', '{"force":true}'],
    ['no new url', 'POST', 'members/n2/url', '{}'],
    ['an unknown property of a new url', 'POST', 'members/n2/url', '{"url":"http://127.0.0.1:4","role":"voter"}'],
    ['an incarnation that is none', 'POST', 'members/n2/url', '{"url":"http://127.0.0.1:4","ifIncarnation":"A1"}'],
    [
      'an incarnation of a new member that is none',
      'POST',
      'members',
      '{"id":"n4","url":"http://127.0.0.1:4","incarnation":""}'
    ],
    ['an unknown query', 'DELETE', 'members/n2?force=true', undefined],
    ['an unknown property of a transfer', 'POST', 'leader/transfer', '{"target":"n2"}'],
    ['a target that is no id', 'POST', 'leader/transfer', '{"to":""}'],
    ['a body of a step-down', 'POST', 'leader/step-down', '{"now":true}']
  ])('a request with %s', async (_what, method, path, payload) => {
    const { app, engine } = await fakeApp(threeMembers())
    engine.lead()
    const response = await app.inject({
      method,
      url: `/_cluster/v1/${path}`,
      ...(payload === undefined ? {} : { payload, headers: { 'content-type': 'application/json' } })
    })
    expect(response.statusCode).toBe(400)
    expect(engine.currentLeadership()).not.toBeNull()
  })

  it('clients on other machines, behind proxies, and web pages', async () => {
    const { app, engine } = await fakeApp(threeMembers())
    engine.lead()
    const calls = [
      ['POST', 'members'],
      ['POST', 'members/n2/promote'],
      ['POST', 'members/n2/demote'],
      ['POST', 'members/n2/url'],
      ['DELETE', 'members/n2'],
      ['POST', 'leader/transfer'],
      ['POST', 'leader/step-down']
    ] as const
    for (const [method, path] of calls) {
      for (const from of [
        { remoteAddress: '10.0.0.5' },
        { headers: { 'x-forwarded-for': '127.0.0.1' } },
        { headers: { origin: 'http://evil.example' } }
      ]) {
        const response = await app.inject({ method, url: `/_cluster/v1/${path}`, ...from })
        expect([path, response.statusCode, response.json<{ code: string }>().code]).toEqual([
          path,
          403,
          'RAFT_UNAUTHORIZED'
        ])
      }
    }
    expect(engine.currentLeadership()).not.toBeNull()
  })
})

describe('a call that a follower sends to the leader', () => {
  /** A follower of a leader with given answers, and the requests that this leader got. */
  async function followerOf (
    answer: (headers: IncomingHttpHeaders) => {
      readonly status: number
      readonly headers?: Record<string, string>
      readonly cut?: boolean
    }
  ) {
    const requests: {
      readonly url: string | undefined
      readonly headers: IncomingHttpHeaders
      readonly body: string
    }[] = []
    const leader = createServer((req, res) => {
      let body = ''
      req
        .setEncoding('utf8')
        .on('data', (part: string) => {
          body += part
        })
        .on('end', () => {
          requests.push({ url: req.url, headers: req.headers, body })
          const { status, headers = {}, cut = false } = answer(req.headers)
          if (cut) req.socket.destroy()
          else res.writeHead(status, headers).end('{"from":"leader"}')
        })
    })
    await new Promise<void>((resolve) => {
      leader.listen(0, '127.0.0.1', resolve)
    })
    onTestFinished(async () => {
      await new Promise((resolve) => {
        leader.close(resolve)
      })
    })
    const { members = [] } = threeMembers()
    const url = `http://127.0.0.1:${(leader.address() as AddressInfo).port}`
    const { app, engine } = await fakeApp({
      id: 'n1',
      dataDir: import.meta.dirname,
      members: members.map((member) => (member.id === 'n2' ? { id: 'n2', url } : member)),
      forward: { waitForLeaderMs: 300 }
    })
    engine.lose('n2')
    const node = { id: 'n1', app, url: await app.listen({ port: 0, host: '127.0.0.1' }) }
    return { node, engine, requests }
  }

  it('goes to the same route, with the hop, and with the credentials of the client', async () => {
    const { node, requests } = await followerOf(() => ({ status: 412, headers: { 'raft-node': 'n2' } }))
    const answer = await call(node, 'DELETE', 'members/n3?ifVersion=7', undefined, {
      authorization: 'me',
      cookie: 'a=b',
      'x-own': '1',
      'raft-term': '9',
      te: 'trailers',
      'accept-encoding': 'gzip'
    })
    expect(answer).toMatchObject({ status: 412, body: { from: 'leader' } })
    expect(answer.headers.get('raft-node')).toBe('n2')
    expect(requests).toHaveLength(1)
    expect(requests[0]?.url).toBe('/_cluster/v1/members/n3?ifVersion=7')
    expect(requests[0]?.headers['raft-hop']).toMatch(/^v=1;from=n1;to=n2;term=1;id=/)
    expect(requests[0]?.headers).toMatchObject({ authorization: 'me', cookie: 'a=b', 'x-own': '1' })
    for (const name of ['raft-term', 'te', 'accept-encoding', 'via', 'x-forwarded-for']) {
      expect(requests[0]?.headers).not.toHaveProperty(name)
    }
    await call(node, 'POST', 'members', { id: 'n4', url: nowhere, ifVersion: 7 })
    expect(JSON.parse(requests[1]?.body ?? '')).toEqual({ id: 'n4', url: nowhere, ifVersion: 7 })
  })

  it('is repeated after an authentic "not executed" only', async () => {
    let refusals = 2
    const { node, requests } = await followerOf(({ 'raft-hop': hop }) => refusals-- > 0
      ? { status: 503, headers: { 'raft-not-executed': `1;id=${/id=([^;]+)/.exec(String(hop))?.[1]}` } }
      : { status: 503, headers: { 'raft-not-executed': '1;id=forged' } })
    const answer = await call(node, 'POST', 'members/n3/demote')
    expect(answer).toMatchObject({ status: 503, body: { from: 'leader' } })
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(requests).toHaveLength(3)
  })

  it('is not repeated when the connection is lost after sending', async () => {
    const { node, requests } = await followerOf(() => ({ status: 0, cut: true }))
    expect(await call(node, 'POST', 'members/n3/demote')).toMatchObject({
      status: 502,
      body: { code: 'RAFT_OUTCOME_UNKNOWN' }
    })
    expect(requests).toHaveLength(1)
  })

  it('ends with 503 when the leader cannot be reached, or no leader is known', async () => {
    const { node, engine } = await followerOf(() => ({ status: 200 }))
    for (const leader of ['n3', null]) {
      engine.lose(leader)
      const answer = await call(node, 'POST', 'leader/step-down')
      expect(answer).toMatchObject({ status: 503, body: { code: 'RAFT_NO_LEADER' } })
      expect(answer.headers.get('retry-after')).toBe('1')
    }
  })

  it('never makes a second hop', async () => {
    const { node, engine, requests } = await followerOf(() => ({ status: 200 }))
    const answer = await call(node, 'POST', 'leader/step-down', {}, { 'raft-hop': 'v=1;from=n3;to=n1;term=1;id=x' })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('raft-not-executed')).toBe('1;id=x')
    // Leadership ends between the check of the hop and the route.
    const { term } = engine.lead()
    const stepDown = engine.stepDown.bind(engine)
    engine.stepDown = async () => { engine.lapseSilently(); await stepDown() }
    const late = await call(node, 'POST', 'leader/step-down', {}, { 'raft-hop': `v=1;from=n3;to=n1;term=${term};id=y` })
    expect(late.status).toBe(503)
    expect(late.headers.get('raft-not-executed')).toBe(`${term};id=y`)
    expect(requests).toEqual([])
  })
})

describe('an application that authenticates its callers', () => {
  it('is called on the follower and on the leader', async () => {
    const asked: string[] = []
    const nodes = await clusterOfThree(async (app, options) => {
      app.addHook('onRequest', async (request, reply) => {
        asked.push(`${options.id} ${request.headers.authorization}`)
        if (request.headers.authorization !== 'me') await reply.code(401).send({ who: 'are you' })
      })
      await app.register(cluster, options)
    })
    const leader = await agreedLeader(nodes)
    const follower = nodes.find((node) => node !== leader) ?? leader
    expect((await call(follower, 'POST', 'leader/step-down')).status).toBe(401)
    expect(asked).toEqual([`${follower.id} undefined`])
    expect((await call(follower, 'POST', 'leader/step-down', {}, { authorization: 'me' })).status).toBe(200)
    expect(asked.slice(1)).toEqual([`${follower.id} me`, `${leader.id} me`])
  })
})

describe('leadership', () => {
  it('is transferred to the named member, through any node', async () => {
    const { nodes, leader, follower, other } = await three()
    const { term } = leader.app.cluster
    const answer = await call(follower, 'POST', 'leader/transfer', { to: other.id })
    expect(answer).toMatchObject({
      status: 200,
      body: { id: other.id, url: other.url, term: expect.any(Number) as number }
    })
    expect(answer.body['term']).toBeGreaterThan(term)
    expect((await agreedLeader(nodes)).id).toBe(other.id)
    expect(leader.app.cluster.isLeader).toBe(false)
    // To itself: nothing to do.
    expect(await call(follower, 'POST', 'leader/transfer', { to: other.id })).toMatchObject({
      status: 200,
      body: { id: other.id, term: answer.body['term'] }
    })
  })

  it('is transferred to the most caught-up voter when no member is named', async () => {
    const { nodes, leader } = await three()
    expect(await call(leader, 'POST', 'leader/transfer')).toMatchObject({
      status: 200,
      body: { id: expect.not.stringMatching(leader.id) as string }
    })
    expect(await agreedLeader(nodes)).not.toBe(leader)
  })

  it('ends by stepping down, and a node leads again in a later term', async () => {
    const { nodes, leader, follower } = await three()
    const { term } = leader.app.cluster
    expect(await call(follower, 'POST', 'leader/step-down')).toMatchObject({
      status: 200,
      body: { nodeId: leader.id, term }
    })
    const next = await agreedLeader(nodes)
    expect(next.app.cluster.term).toBeGreaterThan(term)
  })

  it('and membership can be changed in code, on the leader only', async () => {
    const { nodes, leader, follower } = await three()
    const { cluster: there } = follower.app
    for (const refused of [
      there.transferLeadership(),
      there.stepDown(),
      there.addMember({ id: 'n9', url: nowhere }),
      there.promoteMember('n1'),
      there.demoteMember('n1'),
      there.removeMember('n1'),
      there.changeMemberUrl('n1', nowhere)
    ]) {
      await expect(refused).rejects.toMatchObject({ code: 'RAFT_NOT_LEADER' })
    }
    const { cluster: here } = leader.app
    const { version } = await here.addMember(
      { id: 'n9', url: `${nowhere}/` },
      { ifVersion: here.membership.version, timeoutMs: 5_000 }
    )
    expect(here.membership).toMatchObject({ version, isSettled: true })
    await expect(here.removeMember('n9', { ifVersion: version + 1_000 })).rejects.toMatchObject({
      code: 'RAFT_VERSION_MISMATCH'
    })
    await expect(here.removeMember('n9', { ifVersion: -1 })).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    await expect(here.removeMember('n9', { timeoutMs: Number.NaN })).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS'
    })
    await expect(here.removeMember('n9', { signal: AbortSignal.abort(new Error('mine')) })).rejects.toThrow('mine')
    await expect(here.removeMember('../n9')).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    await here.removeMember('n9')
    const next = await here.transferLeadership(follower.id, { timeoutMs: 5_000 })
    expect(next.id).toBe(follower.id)
    expect((await agreedLeader(nodes)).id).toBe(follower.id)
    await follower.app.cluster.stepDown()
    expect(follower.app.cluster.isLeader).toBe(false)
  })
})
