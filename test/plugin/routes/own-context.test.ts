import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { until } from '../../support/until.ts'
import { twoCopies } from '../support/two-copies.ts'

describe('what runs after a forwarded request', () => {
  it('sees the async context of that request, on both copies and whoever opened the connection between them', async () => {
    const storage = new AsyncLocalStorage<string>()
    const seen: string[] = []
    const { follower } = await twoCopies(async (app, registerCluster, id) => {
      await registerCluster()
      app.addHook('onRequest', (request, reply, done) => {
        const name = String(request.headers['x-name'])
        reply.raw.once('finish', () => { seen.push(`${id} finish ${name}->${storage.getStore()}`) })
        storage.run(name, done)
      })
      app.addHook('onResponse', async (request) => {
        seen.push(`${id} onResponse ${String(request.headers['x-name'])}->${storage.getStore()}`)
      })
      app.post('/x', { forward: true }, async () => 'x'.repeat(100_000))
    })
    const post = async (name: string): Promise<void> => {
      const answer = await fetch(`${follower.url}/x`, { method: 'POST', headers: { 'x-name': name }, body: name })
      expect((await answer.text()).length).toBe(100_000)
    }
    for (const name of ['s0', 's1', 's2']) await post(name)
    await Promise.all(['c0', 'c1', 'c2', 'c3'].map(post))
    const names = ['s0', 's1', 's2', 'c0', 'c1', 'c2', 'c3']
    const expected = ['n1', 'n2'].flatMap((id) => ['finish', 'onResponse'].flatMap((event) =>
      names.map((name) => `${id} ${event} ${name}->${name}`)))
    await until('all hooks have run', () => seen.length === expected.length)
    expect([...seen].sort()).toEqual(expected.sort())
  })
})
