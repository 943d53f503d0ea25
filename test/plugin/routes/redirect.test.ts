import { request as rawRequest } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

const own = 'https://n1.example.com'
const urlsName = 'fastify-raft/public-urls'

function declare (app: FastifyInstance): void {
  app.post('/jobs/:id', { leaderOnly: true, redirect: 307 }, async () => 'done')
  app.get('/jobs', { leaderOnly: true, redirect: 308 }, async () => 'jobs')
}

/** A follower that knows the leader n2 and, unless null, where clients reach it. */
async function follower (publicUrl: unknown = 'https://n2.example.com') {
  const made = await fakeApp({ ...threeMembers(), publicUrl: own }, declare)
  if (publicUrl !== null) await made.app.cluster.map(urlsName).set('n2', publicUrl)
  made.engine.lose('n2')
  return made
}

describe('redirect', () => {
  it('sends the client to the leader by its own word, with path and query, and lets nobody keep that', async () => {
    const { app } = await follower()
    const answer = await app.inject({
      method: 'POST',
      url: '/jobs/a%2Fb?x=1&y=%3F',
      headers: { host: 'evil.example', 'x-forwarded-host': 'evil.example' },
      payload: { a: 1 }
    })
    expect(answer.statusCode).toBe(307)
    expect(answer.headers).toMatchObject({
      location: 'https://n2.example.com/jobs/a%2Fb?x=1&y=%3F',
      'cache-control': 'no-store',
      'raft-node': 'n1',
      'raft-leader': 'http://127.0.0.1:2'
    })
    expect(answer.body).toBe('')
    expect((await app.inject('/jobs')).statusCode).toBe(308)
    expect((await app.inject({ method: 'HEAD', url: '/jobs' })).headers.location).toBe('https://n2.example.com/jobs')
  })

  it('takes the origin from no part of the target', async () => {
    const { app } = await follower()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as { port: number }
    const locationOf = async (path: string): Promise<string | undefined> =>
      await new Promise((resolve, reject) => {
        const request = rawRequest({ port, path, host: '127.0.0.1', headers: { host: 'evil.example' } }, (response) => {
          response.resume().on('end', () => { resolve(response.headers.location) })
        })
        request.on('error', reject).end()
      })
    expect(await locationOf('http://evil.example/jobs?a=1')).toBe('https://n2.example.com/jobs?a=1')
    expect(await locationOf('/jobs?next=//evil.example')).toBe('https://n2.example.com/jobs?next=//evil.example')
  })

  it('is 503 with retry-after while no leader is known, and behind a lapsed lease', async () => {
    const { app, engine } = await follower()
    engine.lose()
    const refused = await app.inject('/jobs')
    expect(refused.statusCode).toBe(503)
    expect(refused.headers['retry-after']).toBe('1')
    expect(refused.headers.location).toBeUndefined()
    engine.lead()
    expect((await app.inject('/jobs')).body).toBe('jobs')
    engine.lapseSilently()
    expect((await app.inject('/jobs')).json()).toMatchObject({ code: 'RAFT_NOT_LEADER' })
  })

  it.each([
    ['the leader has not told', null, /n2 leads, and has not told yet where clients reach it/],
    ['it has this node\'s own, as behind a balancer', own, /n2 leads, and has the publicUrl of this node/],
    ['somebody wrote what is no origin', 'https://n2.example.com/path', /has not told yet/],
    ['somebody wrote no text', 7, /has not told yet/]
  ])('is 503 when %s', async (_what, publicUrl, message) => {
    const { app } = await follower(publicUrl)
    const refused = await app.inject('/jobs')
    expect(refused.statusCode).toBe(503)
    expect(refused.json()).toMatchObject({ code: 'RAFT_NOT_LEADER', message: expect.stringMatching(message) as string })
  })

  it('never answers a gateway, which looks for the leader itself', async () => {
    const { app } = await follower()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = await fetch(`${base}/jobs`, { redirect: 'manual', headers: { 'raft-attempt': 'abc-1' } })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('raft-not-executed')).toBe('1;id=abc-1')
  })

  it('needs publicUrl where there are other members, and a usable one', async () => {
    await expect(fakeApp(threeMembers(), declare)).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringContaining('redirect of POST /jobs/:id needs the option publicUrl') as string
    })
    await expect(fakeApp({ ...threeMembers(), publicUrl: 'https://a.example/x' })).rejects.toMatchObject({
      message: expect.stringContaining('publicUrl must not have a path') as string
    })
    const { app } = await fakeApp({}, declare)
    expect((await app.inject('/jobs')).body).toBe('jobs')
  })
})

describe('publicUrl', () => {
  it('is told by the leader once, and forgotten when it is taken out of the options or its node is no member', async () => {
    const { app, engine } = await fakeApp({ ...threeMembers(), publicUrl: own })
    const urls = app.cluster.map<string>(urlsName)
    await urls.set('gone', 'https://gone.example.com')
    engine.lead()
    await until('n1 has told', async () => (await urls.get('n1'))?.value === own)
    await until('nothing is kept of others', async () => (await urls.get('gone')) === null)
    const told = (await urls.get('n1'))?.revision
    engine.lose('n2')
    engine.lead()
    await app.cluster.map('x').set('later', 1)
    expect((await urls.get('n1'))?.revision).toBe(told)

    const other = await fakeApp(threeMembers())
    const otherUrls = other.app.cluster.map<string>(urlsName)
    await otherUrls.set('n1', own)
    other.engine.lead()
    await until('it is forgotten', async () => (await otherUrls.get('n1')) === null)
  })

  it('leads clients of every node to the leader, also to the next one: no two nodes send them to and fro', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      const url = options.members?.find(({ id }) => id === options.id)?.url ?? ''
      // The same server, by another name: where clients are, this name is the only one that leads there.
      await app.register(cluster, { ...options, publicUrl: url.replace('127.0.0.1', 'localhost') })
      app.post('/who', { leaderOnly: true, redirect: 307 }, async (request) => ({ by: options.id, got: request.body }))
    })
    for (let round = 0; round < 2; round++) {
      const leader = await agreedLeader(nodes)
      for (const { url } of nodes) {
        await until('the leader has told', async () => {
          const answer = await fetch(`${url}/who?a=1`, {
            method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' }
          })
          if (answer.status === 503) return false
          expect(await answer.json()).toEqual({ by: leader.id, got: { a: 1 } })
          return true
        })
      }
      await leader.app.cluster.transferLeadership()
    }
  })
})
