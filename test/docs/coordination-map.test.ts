import * as timers from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { runSnippet } from './support/run-snippet.ts'

const open: FastifyInstance[] = []
afterEach(async () => { for (const app of open.splice(0)) await app.close() })

describe('the section on the map in docs/coordination.md', () => {
  it('keeps a cache as the map is', async () => {
    const { app, prices, cache } = await runSnippet('docs/coordination.md', 'keepCache', ['app', 'prices', 'cache']) as {
      app: FastifyInstance
      prices: { set: (key: string, value: number) => Promise<unknown>, delete: (key: string) => Promise<unknown> }
      cache: ReadonlyMap<string, number>
    }
    open.push(app)
    await app.ready()
    await prices.set('eu/tea', 3)
    await prices.set('us/tea', 4)
    await until('the cache has the price', () => cache.get('eu/tea') === 3)
    await prices.set('eu/milk', 1)
    await prices.delete('eu/tea')
    await until('the cache follows', () => !cache.has('eu/tea'))
    expect([...cache]).toEqual([['eu/milk', 1]])
  })

  it('lists a copy for as long as it is there, and forgets a code', async () => {
    const names = ['app', 'keepListed', 'rememberCode']
    const more = { 'node:timers/promises': timers }
    const { app, keepListed, rememberCode } = await runSnippet('docs/coordination.md', 'keepListed', names, more) as {
      app: FastifyInstance
      keepListed: () => Promise<void>
      rememberCode: (user: string, code: string) => Promise<void>
    }
    open.push(app)
    await app.ready()
    const copies = app.cluster.map('copies')
    const kept = keepListed()
    await until('the copy is listed', async () => (await copies.get(app.cluster.nodeId))?.value === process.pid)
    const { session = '' } = await copies.get(app.cluster.nodeId) ?? {}
    await app.inject({ method: 'DELETE', url: `/_cluster/v1/sessions/${session}` })
    await until('the copy is listed again', async () => {
      const entry = await copies.get(app.cluster.nodeId)
      return entry?.session !== undefined && entry.session !== session
    })
    await rememberCode('ann', '4711')
    expect(await app.cluster.map('codes').get('ann')).toMatchObject({ value: '4711', ttlMs: 300_000 })
    await app.close()
    await kept
  })

  it('ships each order once, and no more than there is', async () => {
    const { app, ship } = await runSnippet('docs/coordination.md', 'async function ship', ['app', 'ship']) as {
      app: FastifyInstance
      ship: (order: string) => Promise<boolean>
    }
    open.push(app)
    await app.ready()
    await app.cluster.map('stock').set('tea', 2)
    const shipped: boolean[] = []
    for (const order of ['o1', 'o1', 'o2', 'o3']) shipped.push(await ship(order))
    expect(shipped).toEqual([true, false, true, false])
    expect(await app.cluster.map('stock').get('tea')).toMatchObject({ value: 0 })
    expect((await app.cluster.map('orders').list()).entries.map(({ key }) => key)).toEqual(['o1', 'o2'])
  })
})
