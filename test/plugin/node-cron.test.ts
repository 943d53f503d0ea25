import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import type { RunCoordinator } from 'node-cron'
import cron from 'node-cron'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../src/plugin/index.ts'
import { createRunCoordinator } from '../../src/plugin/node-cron.ts'
import { createTestCluster } from '../../src/testing/index.ts'
import { until } from '../support/until.ts'

/** What node-cron asks about a task at a minute. */
function slot (minute: number, name = 'report'): string {
  return `${name}:2026-11-28T12:${String(minute).padStart(2, '0')}:00.000Z`
}

/** Three copies in virtual time, each with a coordinator. */
async function startCopies () {
  const copies = await createTestCluster<FastifyInstance>({
    createApp: async ({ options }) => {
      const app = Fastify()
      await app.register(cluster, options)
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  await copies.elect('n1')
  const coordinators = new Map(['n1', 'n2', 'n3'].map((id) => [id, createRunCoordinator(copies.app(id).cluster)]))
  const ask = async (id: string, key: string): Promise<boolean> => {
    const coordinator = coordinators.get(id)
    return coordinator === undefined ? false : await copies.run(coordinator.shouldRun(key, 30_000))
  }
  return { copies, ask }
}

describe('the coordinator for node-cron', () => {
  it('lets the leader run each slot once', async () => {
    const { ask } = await startCopies()
    expect([await ask('n2', slot(1)), await ask('n1', slot(1)), await ask('n1', slot(1)), await ask('n3', slot(1))])
      .toEqual([false, true, false, false])
    expect([await ask('n1', slot(2)), await ask('n1', slot(2, 'other'))]).toEqual([true, true])
  })

  it('remembers what ran: another leader whose clock is minutes behind runs no slot again', async () => {
    const { copies, ask } = await startCopies()
    expect(await ask('n1', slot(5))).toBe(true)
    await copies.elect('n2')
    expect([await ask('n2', slot(3)), await ask('n2', slot(5)), await ask('n2', slot(6))]).toEqual([false, false, true])
  })

  it('says no in a bounded time when no majority answers', async () => {
    const { copies } = await startCopies()
    const app = copies.app('n1')
    const coordinator = createRunCoordinator(app.cluster, { timeoutMs: 50 })
    await copies.kill('n2')
    await copies.kill('n3')
    // Real time: nothing moves in the cluster meanwhile.
    expect(await coordinator.shouldRun(slot(1), 30_000)).toBe(false)
  })

  it('refuses keys that are not of its form, and options that are none', async () => {
    const { copies } = await startCopies()
    const app = copies.app('n1')
    await expect(createRunCoordinator(app.cluster).shouldRun('report', 1)).rejects.toMatchObject({ code: 'RAFT_INVALID_OPTIONS' })
    expect(() => createRunCoordinator(app.cluster, { timeoutMs: 0 })).toThrow(/timeoutMs/)
  })

  it('is one that node-cron takes', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster)
    await app.ready()
    const asked: Array<readonly [string, boolean]> = []
    const coordinator = createRunCoordinator(app.cluster)
    const runCoordinator = {
      shouldRun: async (key: string, ttlMs: number) => {
        const answers = [await coordinator.shouldRun(key, ttlMs), await coordinator.shouldRun(key, ttlMs)]
        asked.push([key, answers[1] ?? true])
        return answers[0] ?? false
      }
    } satisfies RunCoordinator
    const ran: Date[] = []
    const task = cron.schedule('* * * * * *', ({ date }) => { ran.push(date) }, {
      name: 'tick',
      distributed: true,
      noOverlap: true,
      runCoordinator
    })
    onTestFinished(async () => { await task.destroy() })
    await until('two runs', () => ran.length >= 2)
    expect(asked.every(([key, again]) => /^tick:.+Z$/.test(key) && !again)).toBe(true)
    expect(new Set(ran.map((date) => date.getTime())).size).toBe(ran.length)
  })
})
