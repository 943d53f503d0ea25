import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster

beforeAll(async () => { cluster = await startCluster({ gateway: false }) })
afterAll(async () => { await cluster.stop() })

async function lastIndexOf (url: string): Promise<number> {
  const { lastIndex } = JSON.parse((await send('GET', `${url}/_cluster/v1/status`)).text) as {
    readonly lastIndex: number
  }
  return lastIndex
}

describe('a node whose majority was killed', () => {
  it.each(['leader', 'follower'])(
    'and that was the %s closes within 5 seconds of SIGTERM, and answers a write that waits',
    async (left) => {
      const leader = await cluster.waitForLeader()
      const [follower] = cluster.followers(leader)
      const survivor = left === 'leader' ? leader : (follower ?? leader)
      expect((await send('POST', `${survivor.url}/orders`, { id: `before-${left}`, item: 'tea' })).status).toBe(201)
      const others = cluster.nodes.filter((node) => node !== survivor)
      await Promise.all(
        others.map(async ({ id }) => {
          await cluster.kill(id, 'SIGKILL')
        })
      )

      const lastIndex = await lastIndexOf(survivor.url)
      const waiting = send('POST', `${survivor.url}/orders`, { id: `during-${left}`, item: 'tea' })
      // On the leader it is in the log. A follower holds it until there is a leader, and nothing shows that.
      if (left === 'leader') {
        await pollUntil('the write to be in the log', 5_000, async () =>
          (await lastIndexOf(survivor.url)) > lastIndex ? true : null
        )
      } else for (let round = 0; round < 5; round++) await send('GET', `${survivor.url}/_cluster/v1/livez`)
      const stoppedMs = performance.now()
      survivor.child.signal('SIGTERM')
      const answer = await waiting
      const { code } = JSON.parse(answer.text) as { readonly code: string }
      // 503: certainly not executed. 504: possibly executed, which a client must know before it repeats the request.
      expect([
        [503, 'RAFT_STOPPED'],
        [503, 'RAFT_NO_LEADER'],
        [503, 'RAFT_LEADERSHIP_LOST'],
        [504, 'RAFT_OUTCOME_UNKNOWN']
      ]).toContainEqual([answer.status, code])
      expect(answer.headers.get('retry-after')).toBe(answer.status === 503 ? '1' : null)
      expect(await survivor.child.exited).toEqual({ code: 0, signal: null })
      expect(performance.now() - stoppedMs).toBeLessThan(5_000)

      for (const { child } of cluster.nodes) child.start()
      await Promise.all(
        cluster.nodes.map(async ({ id }) => {
          await cluster.waitUntilReady(id)
        })
      )
      expect((await send('GET', `${survivor.url}/orders`)).text).toContain(`before-${left}`)
    }
  )
})
