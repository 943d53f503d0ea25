import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { getJson } from '../../src/cli/local/polling.ts'
import { NotesCluster } from './support/notes-cluster.ts'
import { send } from './support/requests.ts'

const idleMs = 20_000
/** Each session lives for 10 s after a beat, and three entries are written in that time. */
const intervalMs = 10_000 / 3

describe('three idle processes with a session each', () => {
  it('write one entry an interval together, and keep what they own', { timeout: 120_000 }, async () => {
    const cluster = await NotesCluster.start()
    onTestFinished(async () => { await cluster.stop() })
    for (const { url } of cluster.copies) expect((await send('POST', `${url}/presence`)).status).toBe(200)
    const leader = await cluster.leader()
    const lastIndex = async (): Promise<number> => (await cluster.status(leader))?.lastIndex ?? 0
    const before = await lastIndex()
    const startedMs = performance.now()
    await delay(idleMs)
    const entries = await lastIndex() - before
    const elapsedMs = performance.now() - startedMs
    process.stderr.write(`${JSON.stringify({ idle: 'three processes', elapsedMs: Math.round(elapsedMs), entries })}\n`)
    expect(entries).toBeGreaterThanOrEqual(2)
    expect(entries).toBeLessThanOrEqual(Math.ceil(elapsedMs / intervalMs) + 1)
    const page = await getJson<{ readonly entries: readonly unknown[] }>(`${leader.url}/_cluster/v1/kv`, 5_000)
    expect(page?.entries).toHaveLength(3)
  })
})
