import { describe, expect, it } from 'vitest'
import type { LocalCluster, LocalNode } from '../../src/cli/local/local-cluster.ts'
import { pollUntil } from '../../src/cli/local/polling.ts'
import { startCluster } from './support/start-cluster.ts'

/** So long that no election is due to it: a leader is replaced within half a second where its end is noticed. */
const electionTimeoutMinMs = 4_000
/** Far apart: the first election must not tie, or the start takes too long. */
const electionTimeoutMaxMs = 8_000
/** The last heartbeat may have come an interval before the end of its leader. */
const heartbeatMs = 100
const stoppedMs = 2_000

async function startPatientCluster (): Promise<LocalCluster> {
  return await startCluster({
    gateway: false,
    nodeArguments: [
      '--heartbeat-ms',
      String(heartbeatMs),
      '--election-timeout-min-ms',
      String(electionTimeoutMinMs),
      '--election-timeout-max-ms',
      String(electionTimeoutMaxMs)
    ]
  })
}

async function termOf (cluster: LocalCluster, { id }: LocalNode): Promise<number> {
  return await pollUntil(`${id} to tell its term`, 10_000, async () => (await cluster.status(id))?.term ?? null)
}

describe('a leader', () => {
  it('is replaced long before an election timeout', { timeout: 120_000 }, async () => {
    const cluster = await startPatientCluster()
    try {
      const ended = await cluster.waitForLeader()
      const endedAtMs = performance.now()
      await cluster.kill(ended.id)
      const next = await cluster.waitForLeader()
      expect(next.id).not.toBe(ended.id)
      expect(performance.now() - endedAtMs).toBeLessThan(electionTimeoutMinMs - heartbeatMs)
    } finally {
      await cluster.stop()
    }
  })

  it('is not suspected while its process only stands still', { timeout: 120_000 }, async () => {
    const cluster = await startPatientCluster()
    try {
      const leader = await cluster.waitForLeader()
      const term = await termOf(cluster, leader)
      leader.child.signal('SIGSTOP')
      await new Promise((resolve) => setTimeout(resolve, stoppedMs))
      const roles = await Promise.all(
        cluster.followers(leader).map(async ({ id }) => (await cluster.status(id))?.role ?? 'no answer')
      )
      leader.child.signal('SIGCONT')
      expect(roles).toEqual(['follower', 'follower'])
      expect((await cluster.waitForLeader()).id).toBe(leader.id)
      expect(await termOf(cluster, leader)).toBe(term)
    } finally {
      await cluster.stop()
    }
  })
})
