import { Pool } from 'undici'
import { describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import type { KeyedWrite } from './support/keyed-client.ts'
import { KeyedClient, putKeyed } from './support/keyed-client.ts'
import { allEntries } from './support/kv-client.ts'
import { startCluster } from './support/start-cluster.ts'
import { SteppedClocks } from './support/stepped-clocks.ts'

const twoHoursMs = 7_200_000
const rounds = Number(process.env.IDEMPOTENCY_ROUNDS ?? 4)
/** More than were remembered of the whole cluster once. */
const loadKeys = 11_000

/** Waits until each client has had so many more writes answered. */
async function untilWritten (clients: readonly KeyedClient[], more: number): Promise<void> {
  const before = clients.map(({ written }) => written.length)
  await pollUntil('all clients to be answered', 60_000, () =>
    Promise.resolve(clients.every(({ written }, at) => written.length >= (before[at] ?? 0) + more) ? true : null))
}

/** Other keys, as many as fast as possible, through one node. */
async function load (url: string): Promise<void> {
  const pool = new Pool(url, { connections: 128 })
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < loadKeys) {
      const number = next++
      const { statusCode, body } = await pool.request({
        method: 'PUT',
        path: `/_cluster/v1/kv/load-${number % 100}`,
        headers: { 'content-type': 'application/json', 'idempotency-key': `load-${number}` },
        body: JSON.stringify({ value: number }),
        headersTimeout: 30_000
      })
      await body.dump()
      expect(statusCode).toBe(200)
    }
  }
  try {
    await Promise.all(Array.from({ length: 128 }, worker))
  } finally {
    await pool.destroy()
  }
}

/** Sends every write once more through some node, and gives those that were not answered as the first time. */
async function repeatAll (cluster: LocalCluster, writes: readonly KeyedWrite[]): Promise<readonly string[]> {
  const urls = cluster.nodes.map(({ url }) => url)
  const wrong: string[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let at = next++; at < writes.length; at = next++) {
      const write = writes[at]
      if (write === undefined) continue
      const again = await pollUntil(`an answer to ${write.key}`, 60_000, () =>
        putKeyed(urls[at % urls.length] ?? '', write))
      if (again !== write.revision) wrong.push(`${write.key}: ${write.revision}, and then ${again}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  return wrong
}

describe('idempotency keys', () => {
  it('D27, D28: execute once over nodes, killed leaders and clocks that jump two hours', { timeout: 300_000 }, async () => {
    const clocks = new SteppedClocks()
    try {
      const cluster = await startCluster({ gateway: false })
      try {
        const urls = cluster.nodes.map(({ url }) => url)
        const clients = Array.from({ length: 4 }, (_, at) => new KeyedClient(`c${at + 1}`, urls, Math.random))
        await untilWritten(clients, 2)
        for (let round = 0; round < rounds; round++) {
          const leader = await cluster.waitForLeader(60_000)
          const [other] = cluster.followers(leader)
          // Both ways, on the node that leads and on one that may lead next.
          const byMs = round % 2 === 0 ? twoHoursMs : -twoHoursMs
          await clocks.set(leader.id, byMs)
          await untilWritten(clients, 2)
          if (other !== undefined) await clocks.set(other.id, -byMs)
          await cluster.kill(leader.id)
          await untilWritten(clients, 2)
          await cluster.restart(leader.id, 60_000)
        }
        await Promise.all(clients.map(async (client) => { await client.stop() }))
        const written = clients.flatMap((client) => client.written)
        expect(written.length).toBeGreaterThan(rounds * 16)
        expect(await repeatAll(cluster, written)).toEqual([])
        await load((await cluster.waitForLeader(60_000)).url)
        expect(await repeatAll(cluster, written)).toEqual([])
        // What is stored was written by the first execution, and by no other.
        const stored = new Map((await allEntries(urls[0] ?? '', 'linearizable'))?.map((entry) => [entry.key, entry]))
        for (const { key, value, revision } of written) expect(stored.get(key)).toEqual({ key, value, revision })
      } finally {
        await cluster.stop()
      }
    } finally {
      clocks.end()
    }
  })
})
