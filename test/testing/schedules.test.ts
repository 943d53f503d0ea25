import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ScheduleOptions } from '../../src/plugin/index.ts'
import { cluster } from '../../src/plugin/index.ts'
import type { TestCluster } from '../../src/testing/index.ts'
import { createTestCluster } from '../../src/testing/index.ts'

const dayMs = 86_400_000

/** Three copies with a daily report that takes until the test ends it, half a minute before it is due. */
async function startCopies (delivery: NonNullable<ScheduleOptions['delivery']>) {
  const began: string[] = []
  const ends: Array<() => void> = []
  const copies = await createTestCluster<FastifyInstance>({
    startsAt: new Date('2027-03-13T07:29:30Z'),
    createApp: async ({ id, options }) => {
      const app = Fastify()
      await app.register(cluster, options)
      app.cluster.schedule('report', '30 2 * * *', async ({ scheduledFor, attempt, signal }) => {
        began.push(`${id} ${scheduledFor.toISOString().slice(0, 16)} attempt ${attempt}`)
        await new Promise<void>((resolve) => {
          ends.push(resolve)
          signal.addEventListener('abort', () => { resolve() }, { once: true })
        })
        signal.throwIfAborted()
      }, { timeZone: 'America/New_York', delivery })
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  await copies.elect('n1')
  return { copies, began, end: () => { ends.pop()?.() } }
}

/** What the copy that leads says of the runs that are over, newest first. */
async function historyOf (copies: TestCluster): Promise<readonly string[]> {
  const runs = await copies.run(copies.app(copies.leader ?? '').cluster.schedules.history('report'))
  return runs.map(({ node, attempt, outcome }) => `${node} attempt ${attempt} ${outcome}`)
}

describe('a daily schedule, on copies in one process', () => {
  it('runs once a day over changes of leader, also on the day that its time is left out', async () => {
    const { copies, began, end } = await startCopies('at-most-once')
    await copies.until(() => began.length === 1)
    end()
    await copies.elect('n2')
    await copies.advance(60_000)
    for (const id of copies.ids) copies.moveWallClock(id, dayMs - 2 * 60_000)
    await copies.until(() => began.length === 2)
    end()
    await copies.elect('n3')
    await copies.advance(60_000)
    expect(began).toEqual(['n1 2027-03-13T07:30 attempt 1', 'n2 2027-03-14T07:00 attempt 1'])
    expect(await historyOf(copies)).toEqual(['n2 attempt 1 completed', 'n1 attempt 1 completed'])
  })

  it.each([
    ['at-most-once', ['n1 attempt 1 lost']],
    ['at-least-once', ['n2 attempt 2 completed', 'n1 attempt 1 lost']]
  ] as const)('%s: after a kill in the middle of a run', async (delivery, history) => {
    const { copies, began, end } = await startCopies(delivery)
    await copies.until(() => began.length === 1)
    copies.partition(['n1'], ['n2'], ['n3'])
    await copies.kill('n1')
    copies.heal()
    await copies.elect('n2')
    await copies.advance(10_000)
    end()
    await copies.advance(1_000)
    expect(await historyOf(copies)).toEqual(history)
    expect(began.slice(1)).toEqual(delivery === 'at-least-once' ? ['n2 2027-03-13T07:30 attempt 2'] : [])
  })
})
