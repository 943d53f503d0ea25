import { describe, expect, it } from 'vitest'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { KillClient } from './support/kill-client.ts'
import { differences, doubledWrites, lostWrites } from './support/kill-rounds.ts'
import { MovingCluster } from './support/moving-cluster.ts'
import { program } from './support/start-cluster.ts'

const clients = 4

describe('copies that have new names at each deploy and leave when they are told to stop', () => {
  it('keep their majority while all are replaced, twice: writes go on, and nothing is lost', { timeout: 240_000 }, async () => {
    const cluster = await MovingCluster.start(program, 3, 9, ['--leave-on-close'])
    const urls = cluster.members.map(({ url }) => url)
    const writers = Array.from({ length: clients }, (_, number) => new KillClient(`c${number + 1}`, urls, Math.random))
    const acknowledged = (): number => writers.reduce((total, writer) => total + writer.acknowledged, 0)
    try {
      for (const id of ['n4', 'n5', 'n6', 'n7', 'n8', 'n9']) {
        urls.push((await cluster.grow(id)).url)
        const [oldest] = cluster.members
        if (oldest === undefined) throw new Error('There is no member')
        // Clients learn of it before, as from a load balancer.
        urls.splice(urls.indexOf(oldest.url), 1)
        await cluster.stopMember(oldest.id)
        expect(await cluster.voters()).toEqual(Array(3).fill(cluster.members.map((member) => member.id).sort().join()))
        const before = acknowledged()
        await pollUntil('writes to go on', 30_000, async () => acknowledged() > before + clients ? true : null)
      }
      expect(cluster.members.map(({ id }) => id)).toEqual(['n7', 'n8', 'n9'])
      await Promise.all(writers.map(async (writer) => { await writer.stop() }))
      const stored = await cluster.settledEntries()
      expect({
        lost: writers.flatMap((writer) => lostWrites(writer, stored)),
        doubled: writers.flatMap((writer) => [...writer.violations, ...doubledWrites(writer, stored)]),
        diverged: differences(stored)
      }).toEqual({ lost: [], doubled: [], diverged: [] })
    } finally {
      await Promise.all(writers.map(async (writer) => { await writer.stop() }))
      await cluster.stop()
    }
  })
})
