import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster, LocalNode } from '../../src/cli/local/local-cluster.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster

beforeAll(async () => { cluster = await startCluster() })
afterAll(async () => { await cluster.stop() })

// The plugin's default deadline of 5 seconds, and room for a slow machine.
const deadlineMs = 8_000

async function expectRefusal (method: string, url: string, body?: unknown): Promise<void> {
  const answer = await send(method, url, body)
  const { statusCode, code } = JSON.parse(answer.text) as { readonly statusCode: number, readonly code: string }
  const found = {
    call: `${method} ${url}`,
    status: answer.status,
    retryAfter: answer.headers.get('retry-after'),
    code,
    late: answer.elapsedMs > deadlineMs
  }
  // 503: certainly not executed, try again later. 504: possibly executed.
  expect([
    { ...found, status: 503, retryAfter: '1', code: found.code, late: false },
    { ...found, status: 504, code: 'RAFT_OUTCOME_UNKNOWN', late: false }
  ]).toContainEqual(found)
  expect(statusCode).toBe(answer.status)
  expect(code).toMatch(/^RAFT_/)
}

async function expectNoService (survivor: LocalNode): Promise<void> {
  await Promise.all([
    expectRefusal('PUT', `${survivor.url}/_cluster/v1/kv/during`, { value: 1 }),
    expectRefusal('DELETE', `${survivor.url}/_cluster/v1/kv/before`),
    expectRefusal('GET', `${survivor.url}/_cluster/v1/kv/before`),
    expectRefusal('GET', `${survivor.url}/orders`),
    expectRefusal('POST', `${survivor.url}/orders`, { id: 'during', item: 'tea' }),
    expectRefusal('POST', `${survivor.url}/reindex`),
    expectRefusal('POST', `${cluster.gatewayUrl}/orders`, { id: 'during-gateway', item: 'tea' })
  ])
  const local = await send('GET', `${survivor.url}/_cluster/v1/kv/before?read=local`)
  expect(local.status).toBe(200)
  expect((await send('GET', `${survivor.url}/_cluster/v1/readyz`)).status).toBe(503)
  // What a balancer asks: the node can take requests, and answers them with 503 and retry-after until a leader is back.
  expect((await send('GET', `${survivor.url}/_cluster/v1/readyz?exclude=leader`)).status).toBe(200)
  expect((await send('GET', `${survivor.url}/_cluster/v1/livez`)).status).toBe(200)
  expect((await send('GET', `${survivor.url}/_cluster/v1/leader/self`)).status).toBe(503)
}

describe('a cluster without a quorum', () => {
  it.each(['leader', 'follower'])(
    'refuses within the deadline when only the %s is left, and recovers',
    async (left) => {
      const leader = await cluster.waitForLeader()
      const [follower] = cluster.followers(leader)
      const survivor = left === 'leader' ? leader : (follower ?? leader)
      expect((await send('PUT', `${leader.url}/_cluster/v1/kv/before`, { value: left })).status).toBe(200)
      // A follower learns of the commit a heartbeat later. After this read it has applied it, and local reads show it.
      expect((await send('GET', `${survivor.url}/_cluster/v1/kv/before`)).status).toBe(200)
      const dead = cluster.nodes.filter((node) => node !== survivor)
      await Promise.all(
        dead.map(async ({ id }) => {
          await cluster.kill(id, 'SIGKILL')
        })
      )
      await expectNoService(survivor)

      for (const { child } of dead) child.start()
      await Promise.all(
        cluster.nodes.map(async ({ id }) => {
          await cluster.waitUntilReady(id)
        })
      )
      const read = await send('GET', `${survivor.url}/_cluster/v1/kv/before`)
      // The delete that was refused with an unknown outcome may have happened.
      expect([200, 404]).toContain(read.status)
      expect((await send('PUT', `${survivor.url}/_cluster/v1/kv/after`, { value: left })).status).toBe(200)
      for (const { url } of cluster.nodes) {
        expect(JSON.parse((await send('GET', `${url}/_cluster/v1/kv/after`)).text)).toMatchObject({ value: left })
      }
    }
  )
})
