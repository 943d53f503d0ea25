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

describe('the same id back', () => {
  const add = { kind: 'add-learner', id: id('n3'), address: 'http://n3' } as const

  /** n3 is removed, wiped, added again and promoted, while no time passes on any clock. */
  function replaced (cluster: CoreCluster): void {
    const deliver = (kind: 'add' | 'promote' | 'remove'): void => {
      const result = cluster.configure('n1', kind === 'add' ? add : { kind, id: id('n3') })
      expect(result).toMatchObject({ kind: 'appended' })
      cluster.settle()
    }
    deliver('remove')
    cluster.crash('n3')
    cluster.node('n3').wipe()
    cluster.restart('n3')
    deliver('add')
    deliver('promote')
    expect(cluster.members('n3').voters).toContain('n3')
  }

  it('within the lease of the leader: the new node keeps as quiet about elections as the old one had promised', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    replaced(cluster)
    const { term } = cluster.view('n1')
    // n2 misses the leader from now on. n3 hears one more round, which confirms the lease of n1 without n2.
    cluster.cut('n1', 'n2')
    for (let ticks = 1; ticks < timing.electionTicksMin; ticks++) {
      for (const name of ['n2', 'n3']) cluster.tick(name)
      cluster.inject({
        kind: 'vote-request',
        from: 'n2',
        to: 'n3',
        term: asTerm(term + 1),
        lastIndex: asIndex(99),
        lastTerm: asTerm(9),
        isTransfer: false
      })
      cluster.settle()
      expect([cluster.term('n3'), cluster.role('n1'), cluster.role('n2')]).toEqual([term, 'leader', 'follower'])
    }
  })

  it('with the vote of the old node still on its way: a term has one leader', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    const { term } = cluster.view('n1')
    // n2 and n3 are cut off, and n3 votes for n2. The vote is late.
    cluster.isolate('n2', 'n3')
    for (let left: number = timing.electionTicksMin; left > 0; left--) cluster.tick('n3')
    cluster.startCampaign('n2')
    cluster.inject({
      kind: 'pre-vote-response', from: 'n4', to: 'n2', term: asTerm(term + 1), granted: true
    })
    cluster.deliver({ from: 'n2', to: 'n3', kind: 'pre-vote-request' })
    cluster.deliver({ from: 'n3', to: 'n2', kind: 'pre-vote-response' })
    cluster.deliver({ from: 'n2', to: 'n3', kind: 'vote-request' })
    const late = cluster.take({ from: 'n3', to: 'n2', kind: 'vote-response' })
    expect(late).toMatchObject([{ granted: true, term: term + 1 }])
    // The others replace n3 meanwhile, and n5 wins the same term with the vote of the new n3.
    cluster.crash('n3')
    cluster.heal()
    cluster.isolate('n2')
    replaced(cluster)
    cluster.isolate('n1')
    cluster.forgetLeaders()
    cluster.startCampaign('n5')
    cluster.settle()
    expect([cluster.role('n5'), cluster.term('n5')]).toEqual(['leader', term + 1])
    cluster.heal()
    for (const message of late) cluster.hand(message)
    cluster.run(2 * timing.electionTicksMax)
    for (const leaders of cluster.leaders.values()) expect(leaders.size).toBe(1)
  })

  it('in one change that removes and adds it is refused: the leader would go on with what it knew of the old log', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    const { configurationIndex } = cluster.node('n1').core
    expect(cluster.configure('n1', { kind: 'remove', id: id('n3') }, add)).toEqual({
      kind: 'refused',
      reason: 'already-member'
    })
    expect(cluster.node('n1').core.configurationIndex).toBe(configurationIndex)
  })

  it('in two changes, nothing that was heard of the old node counts for the new one', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    cluster.configure('n1', { kind: 'remove', id: id('n3') })
    cluster.settle()
    cluster.crash('n3')
    cluster.configure('n1', add)
    cluster.settle()
    cluster.run(timing.heartbeatTicks)
    // The new node never answered: it has caught up with nothing, and nobody is handed to it.
    expect(cluster.configure('n1', { kind: 'promote', id: id('n3') })).toEqual({ kind: 'refused', reason: 'lagging' })
  })
})
