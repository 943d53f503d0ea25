import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { freePorts } from '../../src/cli/local/ports.ts'
import { KillClient } from './support/kill-client.ts'
import { differences, doubledWrites, lostWrites, settledEntries } from './support/kill-rounds.ts'
import { RelocatedCluster } from './support/relocated-cluster.ts'

type Urls = Readonly<Record<string, string>>

const clients = 4
/** Long enough for some hundred writes before the move. */
const loadMs = 1_500

let cluster: RelocatedCluster

beforeAll(async () => { cluster = await RelocatedCluster.start() })
afterAll(async () => { await cluster.stop() })

/** Moves nodes under load, and says what became of the writes once all nodes are ready at their new addresses. */
async function moveUnderLoad (to: Urls, option: 'members' | 'join'): Promise<object> {
  const urls = Object.values(cluster.urls)
  const writers = Array.from({ length: clients }, (_, number) =>
    new KillClient(`c${number + 1}-${option}-${Object.values(to).join()}`, urls, Math.random))
  const acknowledged = (): number => writers.reduce((total, writer) => total + writer.acknowledged, 0)
  try {
    await delay(loadMs)
    await cluster.relocate(to, option)
    // Clients learn of it as from a load balancer.
    urls.splice(0, Infinity, ...Object.values(to))
    await cluster.ready()
    const before = acknowledged()
    expect(before).toBeGreaterThan(clients)
    await pollUntil('writes to go on', 30_000, async () => acknowledged() > before + clients ? true : null)
  } finally {
    for (const writer of writers) await writer.stop()
  }
  const stored = await settledEntries(cluster)
  return {
    urls: cluster.urls,
    lost: writers.flatMap((writer) => lostWrites(writer, stored)),
    doubled: writers.flatMap((writer) => [...writer.violations, ...doubledWrites(writer, stored)]),
    diverged: differences(stored)
  }
}

async function freeUrls (count: number): Promise<readonly string[]> {
  return (await freePorts(count)).map((port) => `http://127.0.0.1:${port}`)
}

describe('nodes that are started again at other addresses under load', () => {
  it('two that swap theirs, while the third one knows nothing of it: all are ready, and nothing is lost', async () => {
    const { n1 = '', n2 = '', n3 = '' } = cluster.urls
    const urls = { n1: n2, n2: n1, n3 }
    expect(await moveUnderLoad(urls, 'members')).toEqual({ urls, lost: [], doubled: [], diverged: [] })
  })

  it('one of them: all are ready, and nothing is lost', async () => {
    const [n2 = ''] = await freeUrls(1)
    const urls = { ...cluster.urls, n2 }
    expect(await moveUnderLoad(urls, 'members')).toEqual({ urls, lost: [], doubled: [], diverged: [] })
  })

  it.each(['members', 'join'] as const)(
    'all of them, found by the option %s: all are ready, and nothing is lost',
    async (option) => {
      const [n1 = '', n2 = '', n3 = ''] = await freeUrls(3)
      const urls = { n1, n2, n3 }
      expect(await moveUnderLoad(urls, option)).toEqual({ urls, lost: [], doubled: [], diverged: [] })
    }
  )
})
