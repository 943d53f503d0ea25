import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { maxQueuedMessages } from '../../../src/plugin/primitives/broadcast-channel.ts'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import { makeSecret } from '../../../src/raft/index.ts'
import type { TestCluster } from '../../../src/testing/index.ts'
import { createTestCluster } from '../../../src/testing/index.ts'

/** What each copy has heard, by its id. */
type Heard = Map<string, unknown[]>

interface Given {
  readonly durable?: boolean
  /** Options of the plugin beside those of the kit. */
  readonly options?: object
}

/** Three copies that listen to the topic `prices`. */
async function listeningCopies (
  { durable = false, options: more = {} }: Given = {}
): Promise<{ readonly copies: TestCluster, readonly heard: Heard }> {
  const heard: Heard = new Map()
  const copies = await createTestCluster({
    createApp: async ({ id, options }) => {
      const app = Fastify()
      await app.register(cluster, { ...options, ...more })
      const news: unknown[] = []
      heard.set(id, news)
      app.cluster.broadcast('prices', { durable }).subscribe({
        message: (message, { from }) => { news.push([from, message]) },
        lost: () => { news.push('lost') }
      })
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  return { copies, heard }
}

describe('a broadcast', () => {
  it('is heard by all copies, its own included, in the order of its sender, with and without a secret', async () => {
    for (const options of [{}, { secret: makeSecret() }]) {
      const { copies, heard } = await listeningCopies({ options })
      const prices = copies.app('n2').cluster.broadcast('prices')
      const published = [1, 2, 3].map(async (price) => await prices.publish({ price }))
      const reached = ['n1', 'n2', 'n3']
      for (const one of await copies.run(Promise.all(published))) {
        expect({ ...one, reached: 'reached' in one ? [...one.reached].sort() : [] }).toEqual({ kind: 'sent', reached, missed: [] })
      }
      await copies.advance(0)
      for (const id of copies.ids) expect(heard.get(id)).toEqual([1, 2, 3].map((price) => ['n2', { price }]))
    }
  })

  it('needs no leader', async () => {
    const { copies, heard } = await listeningCopies()
    const [first = '', second = ''] = copies.ids.filter((id) => id !== copies.leader)
    await copies.kill(copies.leader ?? '')
    const published = await copies.run(copies.app(first).cluster.broadcast('prices').publish(1))
    expect(published).toMatchObject({ kind: 'sent', reached: expect.arrayContaining([first, second]) as unknown })
    expect(published).toMatchObject({ missed: [expect.any(String)] })
    expect(heard.get(second)).toEqual([[first, 1]])
  })

  it('that does not arrive is told to its sender, and to the copy that missed it as soon as that is reached', async () => {
    const { copies, heard } = await listeningCopies()
    await copies.elect('n1')
    const prices = copies.app('n1').cluster.broadcast('prices')
    await copies.run(prices.publish('before'))
    copies.partition(['n1', 'n2'])
    const published = await copies.run(prices.publish('missed'))
    expect(published).toEqual({ kind: 'sent', reached: ['n1', 'n2'], missed: ['n3'] })
    expect(heard.get('n3')).toEqual([['n1', 'before']])
    copies.heal()
    await copies.until(() => heard.get('n3')?.at(-1) === 'lost')
    await copies.run(prices.publish('after'))
    await copies.advance(5_000)
    expect(heard.get('n3')).toEqual([['n1', 'before'], 'lost', ['n1', 'after']])
    expect(heard.get('n2')).toEqual([['n1', 'before'], ['n1', 'missed'], ['n1', 'after']])
  })

  it('of a sender that was started anew may follow some that were lost: listeners are told so', async () => {
    const { copies, heard } = await listeningCopies()
    await copies.run(copies.app('n1').cluster.broadcast('prices').publish('before'))
    copies.partition(['n1'], ['n2', 'n3'])
    const missed = await copies.run(copies.app('n1').cluster.broadcast('prices').publish('missed'))
    expect(missed).toMatchObject({ missed: ['n2', 'n3'] })
    await copies.kill('n1')
    copies.heal()
    await copies.start('n1')
    await copies.run(copies.app('n1').cluster.broadcast('prices').publish('after'))
    await copies.advance(0)
    for (const id of ['n2', 'n3']) expect(heard.get(id)).toEqual([['n1', 'before'], 'lost', ['n1', 'after']])
  })

  it('is not heard by other topics, nor by the durable one of the name, nor after the subscription', async () => {
    const { copies, heard } = await listeningCopies()
    const { cluster: { broadcast } } = copies.app('n1')
    expect(broadcast).toBeTypeOf('function')
    const others: unknown[] = []
    const listener = { message: (message: unknown) => { others.push(message) }, lost: () => {} }
    const of = (topic: string, durable: boolean) => copies.app('n1').cluster.broadcast(topic, { durable })
    const ends = [of('other', false), of('prices', true)].map((topic) => topic.subscribe(listener))
    await copies.run(of('prices', false).publish(1))
    await copies.advance(0)
    expect([heard.get('n1'), others]).toEqual([[['n1', 1]], []])
    for (const end of ends) end()
    await copies.run(of('other', false).publish(2))
    await copies.run(of('prices', true).publish(3))
    await copies.advance(0)
    expect([heard.get('n1'), others]).toEqual([[['n1', 1]], []])
  })

  it('is a copy for each listener, and one that throws harms nobody', async () => {
    const { copies } = await listeningCopies()
    const topic = copies.app('n1').cluster.broadcast<{ list: number[] }>('lists')
    const seen: number[][] = []
    topic.subscribe({ message: () => { throw new Error('of the application') }, lost: () => {} })
    for (let count = 0; count < 2; count++) {
      topic.subscribe({ message: ({ list }) => { seen.push(list.splice(0)) }, lost: () => {} })
    }
    await copies.run(topic.publish({ list: [1, 2] }))
    await copies.advance(0)
    expect(seen).toEqual([[1, 2], [1, 2]])
  })

  it('waits in a bounded queue: a listener that gets too much at once is told that it has lost some', async () => {
    const { copies } = await listeningCopies()
    const topic = copies.app('n1').cluster.broadcast('flood')
    const news: unknown[] = []
    topic.subscribe({ message: (message) => { news.push(message) }, lost: () => { news.push('lost') } })
    const published = Array.from({ length: maxQueuedMessages + 2 }, async (_, at) => await topic.publish(at))
    await copies.run(Promise.all(published))
    await copies.advance(0)
    expect(news).toEqual(['lost', maxQueuedMessages + 1])
  })

  it('refuses what is no message and no topic', async () => {
    const { copies } = await listeningCopies()
    const topic = copies.app('n1').cluster.broadcast('prices')
    await expect(topic.publish(() => {})).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    await expect(topic.publish('x'.repeat(limits.maxBroadcastBytes))).rejects.toMatchObject({ code: 'RAFT_TOO_LARGE' })
    for (const name of ['', 'x'.repeat(limits.maxTopicLength + 1)]) {
      expect(() => copies.app('n1').cluster.broadcast(name)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
    }
  })
})

describe('a durable broadcast', () => {
  it('is heard by every copy once, in one order, by one that was cut off as well', async () => {
    const { copies, heard } = await listeningCopies({ durable: true })
    await copies.elect('n1')
    copies.partition(['n1', 'n2'])
    for (const price of [1, 2, 3]) {
      const publisher = copies.app(price === 2 ? 'n2' : 'n1').cluster.broadcast('prices', { durable: true })
      expect(await copies.run(publisher.publish(price))).toMatchObject({ kind: 'durable' })
    }
    expect(heard.get('n3')).toEqual([])
    copies.heal()
    const all = [['n1', 1], ['n2', 2], ['n1', 3]]
    await copies.until(() => heard.get('n3')?.length === 3)
    for (const id of copies.ids) expect(heard.get(id)).toEqual(all)
  })

  it('that a snapshot covers is told as lost to a copy whose state comes from it, and to no other', async () => {
    const options = { snapshots: { everyEntries: 50, trailingEntries: 0, trailingBytes: 0 } }
    const { copies, heard } = await listeningCopies({ durable: true, options })
    await copies.elect('n1')
    const prices = copies.app('n1').cluster.broadcast('prices', { durable: true })
    await copies.run(prices.publish('before'))
    await copies.until(() => heard.get('n3')?.length === 1)
    copies.partition(['n1', 'n2'])
    for (let at = 0; at < 200; at++) await copies.run(prices.publish(at))
    await copies.run(copies.app('n1').cluster.takeSnapshot())
    copies.heal()
    await copies.until(() => heard.get('n3')?.includes('lost') === true)
    expect(heard.get('n3')?.[0]).toEqual(['n1', 'before'])
    expect(heard.get('n3')?.length).toBeLessThan(200)
    await copies.run(prices.publish('after'))
    await copies.until(() => JSON.stringify(heard.get('n3')?.at(-1)) === '["n1","after"]')
    expect(heard.get('n3')?.filter((news) => news === 'lost').length).toBe(1)
    expect(heard.get('n2')?.includes('lost')).toBe(false)
  })
})
