import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { until } from '../support/until.ts'
import { runSnippet } from './support/run-snippet.ts'

const open: FastifyInstance[] = []
afterEach(async () => { for (const app of open.splice(0)) await app.close() })

describe('the section on broadcasts in docs/coordination.md', () => {
  it('empties a cache', async () => {
    const names = ['app', 'cache', 'priceOf', 'setPrice', 'changed']
    const { app, cache, priceOf, setPrice } = await runSnippet('docs/coordination.md', 'prices changed', names) as {
      app: FastifyInstance
      cache: ReadonlyMap<string, number>
      priceOf: (id: string) => Promise<number | undefined>
      setPrice: (id: string, price: number) => Promise<void>
    }
    open.push(app)
    await app.ready()
    await setPrice('tea', 3)
    await until('the message has come', () => !cache.has('tea'))
    expect([await priceOf('tea'), cache.get('tea')]).toEqual([3, 3])
    await setPrice('tea', 4)
    await until('the price is out of the cache', () => !cache.has('tea'))
    expect(await priceOf('tea')).toBe(4)
  })
})
