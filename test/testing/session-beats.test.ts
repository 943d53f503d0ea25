import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../src/plugin/index.ts'
import type { TestCluster } from '../../src/testing/index.ts'
import { createTestCluster } from '../../src/testing/index.ts'

/** Copies that each hold a lock and a key with their process. */
async function holdingCopies (size: number): Promise<TestCluster> {
  const copies = await createTestCluster({
    copies: size,
    createApp: async ({ options }) => {
      const app = Fastify()
      await app.register(cluster, options)
      return app
    }
  })
  onTestFinished(async () => { await copies.close() })
  await copies.until(() => copies.leader !== null)
  for (const [id, app] of copies.apps) {
    await copies.run(app.cluster.lock(id).acquire())
    await copies.run(app.cluster.map('here').set(id, 1, { ephemeral: true }))
  }
  return copies
}

function lastIndexOf (copies: TestCluster): number {
  return Math.max(...[...copies.apps.values()].map(({ cluster: { status } }) => status.lastIndex))
}

describe('the sessions of five idle processes', () => {
  it('cost one entry of the log an interval together, and none of them is lost', async () => {
    const copies = await holdingCopies(5)
    await copies.advance(10_000)
    const before = lastIndexOf(copies)
    await copies.advance(100_000)
    const entries = lastIndexOf(copies) - before
    // Three in the 10 seconds that a session lives. One entry of each process would be 150 and more.
    expect(entries).toBeGreaterThanOrEqual(25)
    expect(entries).toBeLessThanOrEqual(30)
    const { entries: here } = await copies.run(copies.app('n1').cluster.map('here').list())
    expect(here.map(({ key }) => key)).toEqual(['n1', 'n2', 'n3', 'n4', 'n5'])
  })

  it('live on when the leader is killed, and its own ends', async () => {
    const copies = await holdingCopies(5)
    for (let round = 0; round < 2; round++) {
      await copies.advance(7_000)
      const leader = copies.leader ?? ''
      await copies.kill(leader)
      await copies.advance(20_000)
      const [app] = copies.apps.values()
      const { entries } = await copies.run(app?.cluster.map('here').list() ?? Promise.reject(new Error('no copy')))
      expect(entries.map(({ key }) => key)).toEqual([...copies.apps.keys()])
    }
  })
})
