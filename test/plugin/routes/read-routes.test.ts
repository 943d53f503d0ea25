import type { FastifyInstance } from 'fastify'
import { describe, expect, it, vi } from 'vitest'
import { readLimits } from '../../../src/plugin/routes/read-guards.ts'
import { until } from '../../support/until.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'
import { twoCopies } from '../support/two-copies.ts'

function declare (app: FastifyInstance): void {
  for (const read of ['linearizable', 'leader', 'local'] as const) app.get(`/${read}`, { read }, async () => read)
}

async function follower () {
  const made = await fakeApp({ ...threeMembers(), forward: { waitForLeaderMs: 50 } }, declare)
  made.engine.uuid = 'u-1'
  made.engine.lose('n2')
  return made
}

describe('read: linearizable', () => {
  it('asks how far the log is committed before its handler runs, on a follower too', async () => {
    const order: string[] = []
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/linearizable', { read: 'linearizable' }, async () => {
        order.push('handler')
        return 'linearizable'
      })
    })
    engine.lose('n2')
    vi.spyOn(engine, 'readBarrier').mockImplementation(async () => {
      await Promise.resolve()
      order.push('barrier')
    })
    const answer = await app.inject('/linearizable')
    expect(answer.body).toBe('linearizable')
    expect(answer.headers['raft-node']).toBe('n1')
    expect(order).toEqual(['barrier', 'handler'])
    expect(answer.headers).not.toHaveProperty('raft-applied-index')
  })

  it('is 503 with retry-after without a leader, and its handler does not run', async () => {
    let ran = false
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/x', { read: 'linearizable' }, async () => { ran = true })
    })
    engine.unavailable = true
    const refused = await app.inject('/x')
    expect(refused.statusCode).toBe(503)
    expect(refused.headers['retry-after']).toBe('1')
    expect(refused.json()).toMatchObject({ code: 'RAFT_NO_LEADER' })
    expect(ran).toBe(false)
    expect((await app.inject({ method: 'HEAD', url: '/x' })).statusCode).toBe(503)
  })

  it('tells a gateway that nothing was executed, so that the leader is asked next', async () => {
    const { app, engine } = await follower()
    engine.unavailable = true
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = await fetch(`${base}/linearizable`, { headers: { 'raft-attempt': 'abc-1' } })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('raft-not-executed')).toBe('1;id=abc-1;cluster=u-1')
  })

  it('is bounded: past the limit reads are refused at once, and served again afterwards', async () => {
    const { app, engine } = await follower()
    const waiting: Array<() => void> = []
    vi.spyOn(engine, 'readBarrier').mockImplementation(async () => {
      await new Promise<void>((resolve) => { waiting.push(resolve) })
    })
    const reads = Array.from({ length: readLimits.maxWaitingReads }, async () => (await app.inject('/linearizable')).statusCode)
    // The node asks for itself as well, to see how far behind it is.
    await until('all wait', () => waiting.length >= readLimits.maxWaitingReads)
    const refused = await app.inject('/linearizable')
    expect(refused.json()).toMatchObject({ statusCode: 503, code: 'RAFT_BUSY' })
    // What needs no wait is served.
    expect((await app.inject('/local')).statusCode).toBe(200)
    for (const resolve of waiting) resolve()
    expect(new Set(await Promise.all(reads))).toEqual(new Set([200]))
    vi.restoreAllMocks()
    expect((await app.inject('/linearizable')).statusCode).toBe(200)
  })

  it('does not run its handler once handlerTimeout has answered', async () => {
    let ran = false
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/x', { read: 'linearizable', handlerTimeout: 20 }, async () => { ran = true })
    })
    let pass = (): void => {}
    vi.spyOn(engine, 'readBarrier').mockImplementation(async () => {
      await new Promise<void>((resolve) => { pass = resolve })
    })
    expect((await app.inject('/x')).statusCode).toBe(503)
    pass()
    await new Promise((resolve) => { setImmediate(resolve) })
    expect(ran).toBe(false)
  })
})

describe('read: leader', () => {
  it('is passed on to the leader, and served there', async () => {
    const { follower, leader } = await twoCopies(async (app, registerCluster, id) => {
      await registerCluster()
      app.get('/leader', { read: 'leader' }, async () => id)
    })
    for (const { url } of [follower, leader]) {
      const answer = await fetch(`${url}/leader`)
      expect(await answer.text()).toBe('n2')
      expect(answer.headers.get('raft-node')).toBe('n2')
    }
  })

  it('is not served behind a lapsed lease', async () => {
    const { app, engine } = await follower()
    engine.lead()
    expect((await app.inject('/leader')).statusCode).toBe(200)
    engine.lapseSilently()
    expect((await app.inject('/leader')).json()).toMatchObject({ code: 'RAFT_NO_LEADER' })
  })
})

describe('read: local', () => {
  it('asks nobody, and says how far the state is and when the leader was heard', async () => {
    const { app, engine } = await follower()
    const barrier = vi.spyOn(engine, 'readBarrier')
    engine.unavailable = true
    engine.contactMs = 41.2
    const answer = await app.inject('/local')
    expect(answer.body).toBe('local')
    expect(answer.headers).toMatchObject({ 'raft-applied-index': '1', 'raft-last-contact-ms': '42', 'raft-node': 'n1' })
    expect(barrier).not.toHaveBeenCalled()
    expect((await app.inject({ method: 'HEAD', url: '/local' })).headers['raft-applied-index']).toBe('1')
  })

  it('had contact just now on the leader, and never before there was any', async () => {
    const { app, engine } = await follower()
    const contactOf = async (): Promise<unknown> => (await app.inject('/local')).headers['raft-last-contact-ms']
    expect(await contactOf()).toBe('Infinity')
    // A limit in whatever program refuses it.
    expect(Number(await contactOf()) < 1_000_000).toBe(false)
    engine.lead()
    expect(await contactOf()).toBe('0')
  })

  it('waits for the state of a node that has just started', async () => {
    const { app, engine } = await fakeApp(threeMembers(), declare)
    const waited = vi.spyOn(engine, 'waitForState')
    expect((await app.inject('/local')).statusCode).toBe(200)
    expect(waited).toHaveBeenCalledOnce()
  })
})

describe('a read token', () => {
  const tokenOf = (headers: Readonly<Record<string, unknown>>): unknown => headers['raft-read-token']

  it('is on the answers of reads and of marked writes, and on no others', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      declare(app)
      app.post('/write', { forward: true }, async () => { await app.cluster.map('m').set('k', 1) })
      app.post('/failed', { leaderOnly: true }, async () => {
        await app.cluster.map('m').set('k', 2)
        throw new Error('after the write')
      })
      app.get('/forwarded', { forward: true }, async () => 'x')
      app.post('/plain', async () => 'x')
    })
    engine.lead()
    expect(tokenOf((await app.inject('/local')).headers)).toBeUndefined()
    engine.uuid = 'u-1'
    const write = await app.inject({ method: 'POST', url: '/write' })
    expect(tokenOf(write.headers)).toBe(`${engine.appliedIndex()};cluster=u-1`)
    const failed = await app.inject({ method: 'POST', url: '/failed' })
    expect(failed.statusCode).toBe(500)
    expect(tokenOf(failed.headers)).toBe(`${engine.appliedIndex()};cluster=u-1`)
    for (const url of ['/linearizable', '/leader', '/local']) {
      expect(tokenOf((await app.inject(url)).headers)).toBe(`${engine.appliedIndex()};cluster=u-1`)
    }
    expect(tokenOf((await app.inject('/forwarded')).headers)).toBeUndefined()
    expect(tokenOf((await app.inject({ method: 'POST', url: '/plain' })).headers)).toBeUndefined()
  })

  it('of what is applied here lets a local read through at once; of what is not, it waits', async () => {
    const { app, engine } = await follower()
    const barrier = vi.spyOn(engine, 'readBarrier')
    const read = async (token: string) =>
      await app.inject({ url: '/local', headers: { 'raft-read-token': token } })
    expect((await read('1;cluster=u-1')).statusCode).toBe(200)
    expect(barrier).not.toHaveBeenCalled()
    barrier.mockImplementation(async () => {
      await app.cluster.map('m').set('k', 1)
    })
    const waited = await read('2;cluster=u-1')
    expect(waited.statusCode).toBe(200)
    expect(waited.headers['raft-applied-index']).toBe('2')
    barrier.mockRestore()
    engine.unavailable = true
    const refused = await read('3;cluster=u-1')
    expect(refused.json()).toMatchObject({ statusCode: 503, code: 'RAFT_NO_LEADER' })
    expect(refused.headers['retry-after']).toBe('1')
  })

  it.each([
    ['of another cluster', '1;cluster=u-2', /it is of another cluster/],
    ['of an entry that nobody has', '9007199254740991;cluster=u-1', /the cluster has no entry 9007199254740991/],
    ['of a number that is none', '9999999999999999;cluster=u-1', /it is malformed/],
    ['without a cluster', '1', /it is malformed/],
    ['twice', '1;cluster=u-1, 1;cluster=u-1', /it is malformed/],
    ['of nothing', '', /it is malformed/]
  ])('%s is refused, and waits for nothing', async (_what, token, message) => {
    const { app } = await follower()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    for (const path of ['local', 'linearizable']) {
      const answer = await fetch(`${base}/${path}`, { headers: { 'raft-read-token': token, 'raft-attempt': 'a-1' } })
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({
        code: 'RAFT_WRONG_READ_TOKEN',
        message: expect.stringMatching(message) as string
      })
      // Another node would say the same.
      expect(answer.headers.get('raft-not-executed')).toBeNull()
    }
  })

  it('of another cluster is refused where the leader reads, too', async () => {
    const { app, engine } = await follower()
    engine.lead()
    const answer = await app.inject({ url: '/leader', headers: { 'raft-read-token': '1;cluster=u-2' } })
    expect(answer.json()).toMatchObject({ code: 'RAFT_WRONG_READ_TOKEN' })
  })

  it('is judged by a node that has not heard yet which cluster it is in, once it has', async () => {
    const { app, engine } = await follower()
    engine.uuid = undefined
    const read = async () => await app.inject({ url: '/local', headers: { 'raft-read-token': '2;cluster=u-1' } })
    vi.spyOn(engine, 'readBarrier').mockImplementation(async () => {
      await app.cluster.map('m').set('k', 1)
      engine.uuid = 'u-1'
    })
    expect((await read()).statusCode).toBe(200)
    vi.restoreAllMocks()
    engine.uuid = undefined
    expect((await app.inject({ url: '/local', headers: { 'raft-read-token': '9;cluster=u-1' } })).statusCode).toBe(400)
  })

  it('is no field that handlers see, and no claim to be forwarded', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/seen', { read: 'local' }, async ({ headers }) => headers)
    })
    engine.uuid = 'u-1'
    engine.lose('n2')
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const answer = await fetch(`${base}/seen`, { headers: { 'raft-read-token': '1;cluster=u-1' } })
    expect(answer.status).toBe(200)
    expect(await answer.json()).not.toHaveProperty('raft-read-token')
  })
})
