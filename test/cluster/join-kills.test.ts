import { describe, expect, it } from 'vitest'
import { killJoiners } from './support/join-kills.ts'
import { MovingCluster } from './support/moving-cluster.ts'
import { program } from './support/start-cluster.ts'

const moments = Number(process.env.JOIN_MOMENTS ?? 4)

describe('a node that is killed while it joins', () => {
  it(
    `becomes a voter after its restart, killed at each of ${moments} moments while it catches up under load`,
    { timeout: 120_000 + moments * 60_000 },
    async () => {
      const cluster = await MovingCluster.start(program, 3, 4)
      try {
        const result = await killJoiners(cluster, { moments, entries: 15_000 })
        expect(result).toMatchObject({ failed: [], lost: [], doubled: [], diverged: [] })
        expect(result.acknowledged).toBeGreaterThan(moments * 10)
      } finally {
        await cluster.stop()
      }
    }
  )
})
