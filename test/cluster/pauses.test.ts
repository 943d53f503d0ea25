import { describe, expect, it } from 'vitest'
import { runPauseRounds } from './support/pause-faults.ts'
import { startCluster } from './support/start-cluster.ts'

const rounds = Number(process.env.PAUSE_ROUNDS ?? 6)

describe('a cluster whose nodes are stopped and continued', () => {
  it(
    `stays linearizable, has one leader a term and agrees at the end, over ${rounds} rounds`,
    { timeout: 60_000 + rounds * 30_000 },
    async () => {
      const cluster = await startCluster({ gateway: false })
      try {
        const result = await runPauseRounds(cluster, { rounds, random: Math.random })
        expect(result).toMatchObject({ rounds, violations: [], undecided: [], leaders: [], diverged: [] })
        expect(result.calls.writes).toBeGreaterThan(rounds * 12)
        expect(result.calls.reads).toBeGreaterThan(rounds * 12)
        // The leader is stopped in every third round, from the first on, until there is another one.
        expect(result.terms).toBeGreaterThan(Math.ceil(rounds / 3))
      } finally {
        await cluster.stop()
      }
    }
  )
})
