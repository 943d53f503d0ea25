import { describe, expect, it } from 'vitest'
import { runCatchUp } from './support/catch-up.ts'
import { startCluster } from './support/start-cluster.ts'

// More than the trailing entries that the log keeps: only a snapshot can bring the node up to date.
const entries = Number(process.env.CATCH_UP_ENTRIES ?? 15_000)

describe('a follower that was down for longer than the log goes back', () => {
  it(`catches up by a snapshot while writes go on, after ${entries} entries`, async () => {
    const cluster = await startCluster({ gateway: false })
    try {
      const result = await runCatchUp(cluster, { entries, rate: 100, valueBytes: 100, keys: 5_000 })
      expect(result).toMatchObject({ lost: [], diverged: [] })
      expect(result.snapshotsSent).toBeGreaterThan(0)
      expect(result.meanwhile).toMatchObject({ failed: 0 })
      expect(result.meanwhile.acknowledged).toBeGreaterThan(100)
      for (const peak of Object.values(result.peakMiB)) expect(peak).toBeLessThan(300)
    } finally {
      await cluster.stop()
    }
  })
})
