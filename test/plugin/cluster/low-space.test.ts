import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

/** More than any disk of a test has free. */
const alwaysLow = 2 ** 50

/** A member that has just started may not keep up yet: then it is asked again. */
async function handOver (nodes: readonly Node[], to: Node): Promise<void> {
  await until(`${to.id} leads`, async () => {
    const leader = await agreedLeader(nodes)
    if (leader !== to) await leader.app.cluster.transferLeadership(to.id, { timeoutMs: 5_000 }).catch(() => {})
    return to.app.cluster.isLeader
  }, 20_000)
}

describe('low space', () => {
  it('is reported by each node itself; followers go on to append entries, and a leader refuses commands', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      const dataDir = await mkdtemp(join(tmpdir(), 'fastify-raft-low-'))
      onTestFinished(async () => { await rm(dataDir, { recursive: true, force: true }) })
      await app.register(cluster, { ...options, dataDir, minFreeBytes: options.id === 'n1' ? 0 : alwaysLow })
    })
    const [first, second, third] = nodes
    if (first === undefined || second === undefined || third === undefined) throw new Error('three nodes')
    await handOver(nodes, first)
    await first.app.cluster.map('m').set('k', 1)
    for (const node of [second, third]) {
      await until(
        `${node.id} has it`,
        async () => (await node.app.cluster.map('m').get('k', { read: 'local' })) !== undefined
      )
    }
    expect(
      await Promise.all(
        nodes.map(
          async ({ url }) =>
            ((await (await fetch(`${url}/_cluster/v1/status`)).json()) as { lowSpace: unknown }).lowSpace
        )
      )
    ).toEqual([false, true, true])

    await handOver(nodes, second)
    await expect(second.app.cluster.map('m').set('k', 2)).rejects.toMatchObject({ code: 'RAFT_BUSY' })
  }, 60_000)
})
