import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import type { ClusterSchedule } from '../../src/plugin/index.ts'
import { until } from '../support/until.ts'
import { runSnippet } from './support/run-snippet.ts'

const open: FastifyInstance[] = []
afterEach(async () => { for (const app of open.splice(0)) await app.close() })

/** Runs a snippet of docs/coordination.md, and closes its application after the test. */
async function run<T> (text: string, names: readonly string[]): Promise<T & { readonly app: FastifyInstance }> {
  const values = await runSnippet('docs/coordination.md', text, ['app', ...names]) as T & { readonly app: FastifyInstance }
  open.push(values.app)
  await values.app.ready()
  return values
}

describe('the section on locks in docs/coordination.md', () => {
  it('has numbers of invoices without a gap and without one that comes twice', async () => {
    const { nextNumber } = await run<{ nextNumber: () => Promise<number> }>('async function nextNumber', ['nextNumber'])
    const numbers = await Promise.all(Array.from({ length: 20 }, async () => await nextNumber()))
    expect(numbers.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1))
  })

  it('has readers that share, and a place for three at a time', async () => {
    const { app, prices, rendering } = await run<{
      prices: ReturnType<FastifyInstance['cluster']['readWriteLock']>
      rendering: ReturnType<FastifyInstance['cluster']['semaphore']>
    }>('readWriteLock(', ['prices', 'rendering'])
    const reader = await prices.read.acquire()
    await (await prices.read.acquire()).release()
    expect(await prices.write.tryAcquire()).toBeNull()
    await reader.release()
    await Promise.all([1, 2, 3].map(async () => await rendering.acquire()))
    expect(await app.cluster.semaphore('rendering', { permits: 3 }).tryAcquire()).toBeNull()
  })
})

describe('the section on sessions in docs/coordination.md', () => {
  it('has a lock that ends with the session that owns it', async () => {
    const { held, after } = await run<{ held: { state: string }, after: number }>("owner: 'backup'", ['held', 'after'])
    expect([held.state, after]).toEqual(['granted', 404])
  })
})

describe('the section on counters in docs/coordination.md', () => {
  it('counts, opens, goes on and limits', async () => {
    const values = await runSnippet(
      'docs/coordination.md',
      "counter('served')",
      ['served', 'round', 'allowed', 'retryAfterMs']
    )
    expect(values).toEqual({ served: 1, round: 0, allowed: true, retryAfterMs: 0 })
  })
})

describe('the section on schedules in docs/coordination.md', () => {
  it('has a schedule whose next slots are those of Paris', async () => {
    const { app, schedule } = await run<{ schedule: ClusterSchedule }>("schedule('invoices'", ['schedule'])
    expect(schedule.name).toBe('invoices')
    const slots = await until('the schedule is known', async () => {
      const answer = await app.inject('/invoices/next')
      return answer.statusCode === 200 && answer.json<readonly string[]>()
    })
    expect(slots).toHaveLength(3)
    for (const slot of slots) expect(slot).toMatch(/-(01|30|31)T0[45]:00:00\.000Z$/)
  })
})
