import { describe, expect, it } from 'vitest'
import { MovingCluster } from './support/moving-cluster.ts'
import { replaceMembers } from './support/replace-members.ts'
import { program } from './support/start-cluster.ts'

const rounds = Number(process.env.MEMBER_ROUNDS ?? 2)

describe('a cluster whose members are replaced under write load', () => {
  it(
    `grows to five and shrinks to three others, the old ones wiped: nothing is lost or applied twice, over ${rounds} rounds`,
    { timeout: 60_000 + rounds * 60_000 },
    async () => {
      const cluster = await MovingCluster.start(program, 3, 5)
      try {
        const result = await replaceMembers(cluster, rounds, Math.random)
        expect(result).toMatchObject({ rounds, lost: [], doubled: [], diverged: [] })
        // After two rounds none of the first three members has its first log any more.
        expect(result.members.slice(0, 2)).toEqual(['n3,n4,n5', 'n5,n1,n2'].slice(0, rounds))
        expect(result.acknowledged).toBeGreaterThan(rounds * 50)
        // Three election timeouts of at most a second.
        expect(result.longestStallMs).toBeLessThanOrEqual(3_000)
      } finally {
        await cluster.stop()
      }
    }
  )
})
