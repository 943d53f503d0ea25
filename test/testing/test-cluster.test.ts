import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../src/plugin/index.ts'
import type { TestCluster, TestClusterOptions } from '../../src/testing/index.ts'
import { createTestCluster } from '../../src/testing/index.ts'

/** What the applications of a test have done, in order. */
type Journal = string[]

/** Starts copies of a small application; closed when the test ends. */
async function startCopies (
  journal: Journal = [],
  options: Omit<TestClusterOptions<FastifyInstance>, 'createApp'> = {}
): Promise<TestCluster> {
  const copies = await createTestCluster({
    ...options,
    createApp: async ({ id, options }) => {
      const app = Fastify()
      await app.register(cluster, options)
      app.cluster.singleton('report', async (signal) => {
        journal.push(`${id} begins`)
        await new Promise((resolve) => { signal.addEventListener('abort', resolve, { once: true }) })
        journal.push(`${id} ends`)
      })
      const clock = app.cluster.machine<null, null, number>('clock', {
        version: 1,
        initial: () => null,
        apply: (state, _command, { timeMs }) => ({ state, answer: timeMs })
      })
      app.get('/time', async () => await clock.propose(null))
      app.post('/orders', { forward: true }, async ({ body }) => ({ servedBy: id, body }))
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  return copies
}

describe('copies of an application in one process', () => {
  it('elect a leader, serve, and fail over when it is killed, within virtual time alone', async () => {
    const journal: Journal = []
    const copies = await startCopies(journal)
    await copies.elect('n1')
    await copies.until(() => journal.at(-1) === 'n1 begins')
    const order = { method: 'POST', url: '/orders', payload: { item: 'tea' } } as const
    const answer = await copies.run(copies.app('n2').inject(order))
    expect(answer.json()).toEqual({ servedBy: 'n1', body: { item: 'tea' } })
    const grant = await copies.run(copies.app('n1').cluster.lock('printer').acquire({ ttlMs: 5_000 }))
    expect(grant).not.toBeNull()
    await copies.run(copies.app('n3').cluster.map('orders').set('a', 1))

    const killedAtMs = copies.nowMs
    await copies.kill('n1')
    expect(copies.nowMs).toBe(killedAtMs)
    expect(journal.at(-1)).toBe('n1 ends')
    await copies.until(() => copies.leader !== null)
    const leader = copies.leader ?? ''
    expect(['n2', 'n3']).toContain(leader)
    await copies.until(() => journal.at(-1) === `${leader} begins`)
    expect(copies.nowMs - killedAtMs).toBeLessThan(5_000)
    expect(await copies.run(copies.app('n2').cluster.map('orders').get('a'))).toMatchObject({ value: 1 })
    const after = await copies.run(copies.app(leader === 'n2' ? 'n3' : 'n2').inject(order))
    expect(after.json()).toMatchObject({ servedBy: leader })
    // Nobody renews the lock: it is free when its time is over.
    const next = copies.app('n2').cluster.lock('printer').acquire({ timeoutMs: 60_000, ttlMs: 5_000 })
    expect(await copies.run(next)).not.toBeNull()
    expect(copies.nowMs - killedAtMs).toBeLessThan(30_000)
  })

  it('come back with the log that they had, and take over when they are elected', async () => {
    const copies = await startCopies()
    await copies.elect('n1')
    await copies.run(copies.app('n1').cluster.map('m').set('k', 'kept'))
    for (const id of copies.ids) await copies.kill(id)
    expect([copies.leader, copies.apps.size]).toEqual([null, 0])
    await Promise.all(copies.ids.map(async (id) => await copies.start(id)))
    await copies.elect('n3')
    expect(await copies.run(copies.app('n3').cluster.map('m').get('k'))).toMatchObject({ value: 'kept' })
    expect(() => copies.app('n4')).toThrow('there is no copy n4')
  })

  it('hand leadership over when one is stopped in order', async () => {
    const journal: Journal = []
    const copies = await startCopies(journal)
    await copies.elect('n2')
    const stoppedAtMs = copies.nowMs
    await copies.stop('n2')
    await copies.until(() => copies.leader !== null)
    expect(copies.nowMs - stoppedAtMs).toBeLessThan(1_000)
    expect(journal.slice(-2)).toEqual(['n2 ends', `${copies.leader} begins`])
    expect(() => copies.app('n2')).toThrow('the copy n2 does not run')
    await copies.start('n2')
    await copies.until(() => copies.app('n2').cluster.leader?.id === copies.leader)
  })

  it('part: the lonely leader loses its lease, the others elect, and all agree when they meet again', async () => {
    const copies = await startCopies()
    await copies.elect('n1')
    copies.partition(['n2', 'n3'])
    await copies.until(() => copies.leader !== null && copies.leader !== 'n1')
    expect(copies.app('n1').cluster.isLeader).toBe(false)
    const lonely = copies.app('n1').cluster.map('m').set('k', 'lonely', { timeoutMs: 500 })
    await expect(copies.run(lonely)).rejects.toMatchObject({ code: expect.stringMatching(/^RAFT_/) as unknown })
    await copies.run(copies.app('n2').cluster.map('m').set('k', 'together'))
    copies.heal()
    await copies.until(() => copies.app('n1').cluster.leader?.id === copies.leader)
    expect(await copies.run(copies.app('n1').cluster.map('m').get('k'))).toMatchObject({ value: 'together' })
  })

  it('pause: a leader that stood still is told so by check() before it does anything', async () => {
    const copies = await startCopies()
    await copies.elect('n1')
    const grant = await copies.run(copies.app('n1').cluster.waitForLeadership())
    copies.pause('n1')
    await copies.until(() => copies.leader !== null && copies.leader !== 'n1')
    copies.resume('n1')
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LEADERSHIP_LOST' }))
    await copies.until(() => grant.signal.aborted)
    await copies.until(() => copies.app('n1').cluster.leader?.id === copies.leader)
  })

  it('have wall clocks of their own', async () => {
    const copies = await startCopies([], { copies: 1, startsAt: new Date('2027-03-28T00:59:00Z') })
    expect(await timeOfDay(copies)).toBe('2027-03-28T00:59:00.000Z')
    copies.moveWallClock('n1', 120_000)
    await copies.advance(10_000)
    expect(await timeOfDay(copies)).toBe('2027-03-28T01:01:10.000Z')
  })

  it('do the same again for the same seed', async () => {
    const runs = []
    for (const seed of [7, 7]) {
      const copies = await startCopies([], { seed, copies: 5 })
      await copies.kill(copies.leader ?? '')
      await copies.until(() => copies.leader !== null)
      runs.push({ leader: copies.leader, nowMs: copies.nowMs })
    }
    expect(runs[0]).toEqual(runs[1])
  })

  it('say what is wrong with a call', async () => {
    const copies = await startCopies([], { copies: 1 })
    await expect(copies.until(() => false, { withinMs: 10 })).rejects.toThrow('after 10 ms of virtual time')
    await expect(copies.run(new Promise(() => {}), { withinMs: 10 })).rejects.toThrow('after 10 ms of virtual time')
    await expect(copies.run(Promise.reject(new Error('its own')))).rejects.toThrow('its own')
    await expect(copies.advance(-1)).rejects.toThrow(RangeError)
    await expect(copies.start('n1')).rejects.toThrow('runs already')
    await expect(startCopies([], { copies: 0 })).rejects.toThrow('from 1 to 9')
    await copies.kill('n1')
    expect(() => { copies.pause('n1') }).toThrow('does not run')
  })
})

/** The time of day that the log gives to a command. */
async function timeOfDay (copies: TestCluster): Promise<string> {
  const answer = await copies.run(copies.app('n1').inject('/time'))
  return new Date(answer.json<number>()).toISOString()
}
