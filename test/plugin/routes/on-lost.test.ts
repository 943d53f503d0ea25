import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { describe, expect, it, vi } from 'vitest'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** Routes whose handler does `meanwhile` before it answers. */
async function lostApp (answer: (reply: FastifyReply) => unknown = () => ({ a: 1 })) {
  let meanwhile = async (): Promise<void> => {}
  const made = await fakeApp({ ...threeMembers(), forward: { waitForLeaderMs: 50 } }, (app: FastifyInstance) => {
    const handler = async (_request: unknown, reply: FastifyReply): Promise<unknown> => {
      await meanwhile()
      return answer(reply)
    }
    app.post('/mark', { forward: true, onLost: 'mark' }, handler)
    app.post('/fail', { leaderOnly: true, onLost: 'fail' }, handler)
    app.post('/as-it-is', { leaderOnly: true }, handler)
  })
  made.engine.lead()
  return {
    ...made,
    post: async (url: string, work: () => void | Promise<void>) => {
      meanwhile = async () => { await work() }
      return await made.app.inject({ method: 'POST', url })
    }
  }
}

describe('onLost', () => {
  it('changes nothing while the leadership goes on', async () => {
    const { post } = await lostApp()
    for (const url of ['/mark', '/fail', '/as-it-is']) {
      const answer = await post(url, () => {})
      expect(answer.json()).toEqual({ a: 1 })
      expect(answer.headers).not.toHaveProperty('raft-leadership-lost')
    }
  })

  it('mark names the leadership that is over, and leaves the answer as it is', async () => {
    const { post, engine } = await lostApp()
    const answer = await post('/mark', () => { engine.lose('n2') })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toEqual({ a: 1 })
    expect(answer.headers['raft-leadership-lost']).toBe('1')
  })

  it('fail answers as if the leader had died: the outcome is unknown, and no 503 invites to repeat it', async () => {
    const { post, engine } = await lostApp((reply) => reply.header('etag', '"1"').header('x-own', 'kept').send('{"a":1}'))
    const answer = await post('/fail', () => { engine.lose('n2') })
    expect(answer.statusCode).toBe(502)
    expect(answer.json()).toMatchObject({ code: 'RAFT_OUTCOME_UNKNOWN', leader: { id: 'n2' } })
    expect(answer.headers).toMatchObject({ 'raft-leadership-lost': '1', 'x-own': 'kept' })
    expect(answer.headers).not.toHaveProperty('etag')
    expect(answer.headers).not.toHaveProperty('retry-after')
  })

  it('fail ends a stream that it does not send', async () => {
    const stream = Readable.from(['a', 'b'])
    const { post, engine } = await lostApp((reply) => reply.type('text/plain').send(stream))
    expect((await post('/fail', () => { engine.lose('n2') })).statusCode).toBe(502)
    expect(stream.destroyed).toBe(true)
  })

  it('fail replaces 404, which may have been read from an old state, and keeps an error that says that it failed', async () => {
    const statusOf = async (code: number): Promise<number> => {
      const { post, engine } = await lostApp((reply) => reply.code(code).send('{}'))
      return (await post('/fail', () => { engine.lose('n2') })).statusCode
    }
    expect(await statusOf(404)).toBe(502)
    expect(await statusOf(501)).toBe(501)
  })

  it('is about the leadership under which the handler began, also when its node leads again', async () => {
    const { post, engine } = await lostApp()
    const answer = await post('/mark', () => {
      engine.lose('n2')
      engine.lead()
    })
    expect(answer.headers['raft-leadership-lost']).toBe('1')
  })

  it('asks a majority when only the lease has lapsed: a leadership that is confirmed was not lost', async () => {
    const { post, engine } = await lostApp()
    const held = engine.currentLeadership()
    const barrier = vi.spyOn(engine, 'readBarrier').mockImplementation(async () => {
      vi.spyOn(engine, 'currentLeadership').mockReturnValue(held)
    })
    const confirmed = await post('/fail', () => { engine.lapseSilently() })
    expect(confirmed.statusCode).toBe(200)
    expect(barrier).toHaveBeenCalledOnce()
    vi.restoreAllMocks()
    engine.lead()
    engine.unavailable = true
    expect((await post('/fail', () => { engine.lapseSilently() })).statusCode).toBe(502)
  })

  it('left out, the answer is sent as it is', async () => {
    const { post, engine } = await lostApp()
    const answer = await post('/as-it-is', () => { engine.lose('n2') })
    expect(answer.statusCode).toBe(200)
    expect(answer.headers).not.toHaveProperty('raft-leadership-lost')
  })
})
