import { rm } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cli/local/local-cluster.ts'
import { send } from './support/requests.ts'
import { startCluster } from './support/start-cluster.ts'

let cluster: LocalCluster

beforeAll(async () => { cluster = await startCluster({ gateway: false }) })
afterAll(async () => { await cluster.stop() })

describe('a voter whose data directory was wiped', () => {
  it('A25 comes back under its old id and counts for nothing: an acknowledged write survives, and its process ends and says what to do', async () => {
    const leader = await cluster.waitForLeader()
    const [wiped, behind] = cluster.followers(leader)
    if (wiped === undefined || behind === undefined) throw new Error('There are two followers')
    expect((await send('PUT', `${leader.url}/_cluster/v1/kv/first`, { value: 1 })).status).toBe(200)
    await cluster.kill(behind.id)
    expect((await send('PUT', `${leader.url}/_cluster/v1/kv/acknowledged`, { value: 2 })).status).toBe(200)
    await Promise.all([cluster.kill(leader.id), cluster.kill(wiped.id)])
    await rm(wiped.dataDir, { recursive: true })

    // One node without the write and one without any data: by their ids a majority of three.
    behind.child.start()
    wiped.child.start()
    expect(await wiped.child.exited).toEqual({ code: 1, signal: null })
    expect(wiped.child.logTail()).toContain('remove the member and start this node with join')
    await delay(2_000)
    expect(await cluster.leader()).toBeNull()

    await cluster.restart(leader.id)
    expect(JSON.parse((await send('GET', `${behind.url}/_cluster/v1/kv/acknowledged`)).text)).toMatchObject({
      value: 2
    })
    // The leader still refuses it: it would count acknowledgements under the id of the member.
    wiped.child.start()
    expect(await wiped.child.exited).toEqual({ code: 1, signal: null })
    expect((await send('PUT', `${behind.url}/_cluster/v1/kv/after`, { value: 3 })).status).toBe(200)
  })
})
