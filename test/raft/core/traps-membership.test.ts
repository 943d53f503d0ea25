import { describe, expect, it } from 'vitest'
import type { Configuration, Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm, emptyHardState } from '../../../src/raft/core/index.ts'
import { configurationOf } from '../../support/configurations.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function saying (configuration: Configuration): Entry {
  return {
    index: asIndex(1),
    term: asTerm(1),
    kind: 'configuration',
    timeMs: 0,
    configuration
  }
}

/** Starts a node again on a disk that holds these entries, committed. */
function restartWith (cluster: CoreCluster, name: string, entries: readonly Entry[]): void {
  const node = cluster.node(name)
  node.crash()
  node.disk = {
    ...node.disk,
    hardState: { ...emptyHardState, term: asTerm(1), commit: asIndex(entries.length) },
    entries: [...entries]
  }
  node.start()
}

describe('traps of membership', () => {
  it('A19 options say {1,2,3}, the log says {1,2,4}: the log wins, for elections and for commits', () => {
    const cluster = clusterOf(4, { voters: ['n1', 'n2', 'n3'] })
    const entries = [saying(configurationOf(['n1', 'n2', 'n4'].map(id)))]
    for (const name of ['n1', 'n2', 'n4']) restartWith(cluster, name, entries)
    expect(cluster.members('n1').voters).toEqual(['n1', 'n2', 'n4'])
    // With n3 alone n1 has no majority, with n4 alone it has.
    cluster.isolate('n1', 'n3')
    cluster.run(5 * timing.electionTicksMax)
    expect(cluster.role('n1')).not.toBe('leader')
    cluster.heal()
    cluster.isolate('n1', 'n4')
    cluster.runUntil(() => ['n1', 'n4'].some((name) => cluster.role(name) === 'leader'))
    const leader = cluster.role('n1') === 'leader' ? 'n1' : 'n4'
    cluster.propose(leader, 'x')
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.applied(leader)).toEqual(['x'])
  })
})
