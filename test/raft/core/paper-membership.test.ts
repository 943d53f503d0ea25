import { describe, expect, it } from 'vitest'
import type { ConfigurationChange } from '../../../src/raft/core/index.ts'
import type { ClusterOptions, CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function add (name: string): ConfigurationChange {
  return { kind: 'add-learner', id: id(name), address: `http://${name}` }
}
function promote (name: string): ConfigurationChange {
  return { kind: 'promote', id: id(name) }
}
function demote (name: string): ConfigurationChange {
  return { kind: 'demote', id: id(name) }
}
function remove (name: string): ConfigurationChange {
  return { kind: 'remove', id: id(name) }
}
function stable (voters: readonly string[], learners: readonly string[] = []) {
  return { voters, outgoing: [], learners }
}

/** n1 leads n1 to n3; the other nodes run and are no members. */
function ledByN1 (size: number, options: ClusterOptions = {}): CoreCluster {
  const cluster = clusterOf(size, { voters: ['n1', 'n2', 'n3'], ...options })
  cluster.elect('n1')
  cluster.run(timing.heartbeatTicks)
  return cluster
}

describe('paper 6: cluster membership changes', () => {
  it('a node is added as learner, catches up, is promoted, and counts from then on', () => {
    const cluster = ledByN1(4)
    cluster.propose('n1', 'a')
    expect(cluster.configure('n1', add('n4'))).toMatchObject({ kind: 'appended' })
    cluster.settle()
    expect(cluster.members('n4')).toEqual(stable(['n1', 'n2', 'n3'], ['n4']))
    expect(cluster.applied('n4')).toEqual(['a'])
    expect(cluster.configure('n1', promote('n4'))).toMatchObject({ kind: 'appended' })
    cluster.settle()
    for (const name of ['n1', 'n2', 'n3', 'n4']) expect(cluster.members(name)).toEqual(stable(['n1', 'n2', 'n3', 'n4']))
    cluster.isolate('n1', 'n2')
    cluster.propose('n1', 'b')
    cluster.settle()
    expect(cluster.applied('n1')).toEqual(['a'])
  })

  it('a learner counts neither for commits nor for elections, and does not campaign', () => {
    const cluster = ledByN1(4)
    cluster.configure('n1', add('n4'))
    cluster.settle()
    cluster.isolate('n1', 'n4')
    cluster.propose('n1', 'a')
    cluster.settle()
    expect(cluster.applied('n1')).toEqual([])
    cluster.isolate('n4')
    cluster.run(5 * timing.electionTicksMax)
    expect(cluster.view('n4')).toMatchObject({ role: 'follower', term: 1 })
  })

  it('a configuration is in force as soon as it is in the log, until its entry is replaced', () => {
    const cluster = ledByN1(5)
    cluster.isolate('n1')
    expect(cluster.configure('n1', add('n4'))).toMatchObject({ kind: 'appended' })
    expect(cluster.members('n1')).toEqual(stable(['n1', 'n2', 'n3'], ['n4']))
    cluster.runUntil(() => cluster.role('n2') === 'leader' || cluster.role('n3') === 'leader')
    cluster.heal()
    cluster.runUntil(() => cluster.role('n1') === 'follower' && cluster.view('n1').leader !== null)
    cluster.run(timing.heartbeatTicks)
    expect(cluster.members('n1')).toEqual(stable(['n1', 'n2', 'n3']))
  })

  it('while joint, a commit needs a majority of both halves', () => {
    const cluster = ledByN1(5)
    cluster.configure('n1', add('n4'))
    cluster.settle()
    cluster.configure('n1', add('n5'))
    cluster.settle()
    cluster.isolate('n1', 'n2', 'n3')
    // (n1 n4 n5) from (n1 n2 n3): all of the old, but only one of the new is there.
    expect(cluster.configure('n1', promote('n4'), promote('n5'), remove('n2'), remove('n3'))).toMatchObject({
      kind: 'appended'
    })
    cluster.run(1)
    const before = cluster.commitIndex('n1')
    expect(cluster.members('n1')).toMatchObject({ voters: ['n1', 'n4', 'n5'], outgoing: ['n1', 'n2', 'n3'] })
    cluster.run(2)
    expect(cluster.commitIndex('n1')).toBe(before)
    cluster.heal()
    cluster.runUntil(() => cluster.members('n1').outgoing.length === 0)
    expect(cluster.members('n1')).toEqual(stable(['n1', 'n4', 'n5']))
  })

  it('while joint, an election needs a majority of both halves', () => {
    const cluster = ledByN1(5)
    cluster.configure('n1', add('n4'))
    cluster.settle()
    cluster.configure('n1', add('n5'))
    cluster.settle()
    // All nodes have the joint configuration, and no follower knows that it is committed.
    cluster.configure('n1', promote('n4'), promote('n5'), remove('n2'), remove('n3'))
    cluster.deliver({ kind: 'append-request' })
    cluster.drop()
    cluster.crash('n1')
    cluster.isolate('n4', 'n5')
    cluster.run(5 * timing.electionTicksMax)
    expect(['n2', 'n3', 'n4', 'n5'].map((name) => cluster.role(name))).not.toContain('leader')
    cluster.heal()
    cluster.runUntil(() => cluster.members('n4').outgoing.length === 0)
    expect(cluster.members('n4')).toEqual(stable(['n1', 'n4', 'n5']))
  })

  it('a leader that is not in the new configuration commits it without counting itself, and tells another node to take over', () => {
    const cluster = ledByN1(3)
    cluster.propose('n1', 'a')
    cluster.settle()
    cluster.configure('n1', remove('n1'))
    cluster.settle()
    expect(cluster.role('n1')).toBe('follower')
    cluster.runUntil(() => cluster.role('n2') === 'leader' || cluster.role('n3') === 'leader', timing.electionTicksMin)
    expect(cluster.members('n2')).toEqual(stable(['n2', 'n3']))
    const { term } = cluster.view('n2')
    cluster.run(10 * timing.electionTicksMax)
    expect(cluster.view('n2').term).toBe(term)
    expect(cluster.role('n1')).toBe('follower')
  })

  it('A22 a removed node that does not know it cannot disturb the others', () => {
    const cluster = ledByN1(3)
    cluster.isolate('n3')
    cluster.configure('n1', remove('n3'))
    cluster.settle()
    expect(cluster.members('n1')).toEqual(stable(['n1', 'n2']))
    cluster.heal()
    cluster.run(10 * timing.electionTicksMax)
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
    expect(cluster.members('n3')).toEqual(stable(['n1', 'n2', 'n3']))
    expect(cluster.role('n3')).toBe('pre-candidate')
  })

  it.each([
    ['adding a member twice', [add('n2')], 'already-member'],
    ['removing one that is not there', [remove('n4')], 'unknown-member'],
    ['promoting a voter', [promote('n2')], 'not-learner'],
    ['promoting one that has not caught up', [add('n4'), promote('n4')], 'lagging'],
    ['removing all voters', [remove('n2'), remove('n3'), remove('n1')], 'no-voter-left'],
    ['demoting the last voter', [remove('n2'), remove('n3'), demote('n1')], 'no-voter-left']
  ] as const)('%s is refused and changes nothing', (_name, changes, reason) => {
    const cluster = ledByN1(4)
    const logBefore = cluster.logTerms('n1')
    expect(cluster.configure('n1', ...changes)).toEqual({ kind: 'refused', reason })
    expect(cluster.logTerms('n1')).toEqual(logBefore)
    expect(cluster.members('n1')).toEqual(stable(['n1', 'n2', 'n3']))
  })
})

describe('dissertation 4.2.2: who may campaign', () => {
  it('a leader that appended its own removal and was deposed campaigns until it is committed: no other node could win', () => {
    const cluster = clusterOf(2)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    cluster.configure('n1', remove('n1'))
    cluster.runUntil(() => {
      // n2 gets the joint configuration, and not the one that leaves it.
      cluster.deliver({ kind: 'append-request' })
      cluster.deliver({ kind: 'append-response' })
      return cluster.members('n1').outgoing.length === 0
    }, 1)
    cluster.drop()
    cluster.isolate('n1')
    cluster.restart('n1')
    cluster.run(5 * timing.electionTicksMax)
    expect(cluster.members('n1')).toEqual(stable(['n2']))
    expect(cluster.members('n2')).toMatchObject({ voters: ['n2'], outgoing: ['n1', 'n2'] })
    cluster.heal()
    cluster.runUntil(() => cluster.role('n2') === 'leader')
    expect(cluster.members('n2')).toEqual(stable(['n2']))
    cluster.run(5 * timing.electionTicksMax)
    expect(cluster.role('n1')).toBe('follower')
  })

  it('a node that is the only voter of a configuration not yet committed waits: another may still lead', () => {
    const cluster = clusterOf(2)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    cluster.configure('n1', remove('n1'))
    cluster.deliver({ kind: 'append-request' })
    cluster.deliver({ kind: 'append-response' })
    cluster.deliver({ kind: 'append-request', to: 'n2' })
    expect(cluster.members('n2')).toEqual(stable(['n2']))
    expect(cluster.role('n1')).toBe('leader')
    cluster.node('n2').campaign()
    expect(cluster.role('n2')).toBe('follower')
    cluster.restart('n2')
    cluster.node('n2').campaign()
    expect(cluster.role('n2')).toBe('follower')
  })

  it('a node that always was the only voter campaigns at once', () => {
    const cluster = clusterOf(1)
    cluster.elect('n1')
    cluster.configure('n1')
    cluster.restart('n1')
    cluster.node('n1').campaign()
    cluster.persist('n1')
    expect(cluster.role('n1')).toBe('leader')
  })
})

describe('traps of membership', () => {
  it('A20 a leader changes nothing before its own no-op is committed', () => {
    const cluster = ledByN1(4)
    cluster.isolate('n1')
    expect(cluster.configure('n1', add('n4'))).toMatchObject({ kind: 'appended' })
    cluster.forgetLeaders()
    cluster.startCampaign('n2')
    while (cluster.role('n2') !== 'leader') {
      cluster.deliver({ kind: ['pre-vote-request', 'pre-vote-response', 'vote-request', 'vote-response'] })
    }
    expect(cluster.configure('n2', remove('n1'))).toEqual({ kind: 'refused', reason: 'not-ready' })
    cluster.settle()
    cluster.heal()
    expect(cluster.configure('n2', remove('n1'))).toMatchObject({ kind: 'appended' })
    cluster.run(2 * timing.electionTicksMax)
    expect(cluster.members('n2')).toEqual(stable(['n2', 'n3']))
    expect(cluster.members('n3')).toEqual(stable(['n2', 'n3']))
  })

  it('A20 one change at a time: a second one is refused until the first is complete', () => {
    const cluster = ledByN1(5)
    cluster.configure('n1', add('n4'))
    expect(cluster.configure('n1', add('n5'))).toEqual({ kind: 'refused', reason: 'pending' })
    cluster.settle()
    cluster.configure('n1', promote('n4'))
    cluster.deliver({ kind: 'append-request' })
    expect(cluster.configure('n1', add('n5'))).toEqual({ kind: 'refused', reason: 'pending' })
    cluster.settle()
    expect(cluster.configure('n1', add('n5'))).toMatchObject({ kind: 'appended' })
  })

  it('A21 a promoted learner that does not know of it still votes', () => {
    const cluster = ledByN1(4)
    cluster.configure('n1', add('n4'))
    cluster.settle()
    cluster.cutOneWay('n1', 'n4')
    cluster.configure('n1', promote('n4'))
    cluster.settle()
    expect(cluster.members('n2')).toEqual(stable(['n1', 'n2', 'n3', 'n4']))
    expect(cluster.members('n4')).toEqual(stable(['n1', 'n2', 'n3'], ['n4']))
    cluster.crash('n1')
    cluster.crash('n3')
    cluster.run(10 * timing.electionTicksMax)
    // Two of four are no majority, three are; one of the three voters does not know that its vote counts.
    expect(cluster.role('n2')).not.toBe('leader')
    cluster.restart('n3')
    cluster.cut('n3', 'n1')
    cluster.runUntil(() => cluster.role('n2') === 'leader' || cluster.role('n3') === 'leader')
    cluster.run(timing.electionTicksMax)
    expect(cluster.members('n4')).toEqual(stable(['n1', 'n2', 'n3', 'n4']))
  })

  it('A21 the leader dies in a joint configuration: the next one leaves it', () => {
    const cluster = ledByN1(4)
    cluster.configure('n1', add('n4'))
    cluster.settle()
    cluster.configure('n1', promote('n4'), remove('n3'))
    cluster.deliver({ kind: 'append-request' })
    expect(cluster.members('n2')).toMatchObject({ voters: ['n1', 'n2', 'n4'], outgoing: ['n1', 'n2', 'n3'] })
    cluster.crash('n1')
    cluster.drop()
    cluster.runUntil(() => cluster.role('n2') === 'leader' || cluster.role('n4') === 'leader')
    cluster.run(timing.electionTicksMax)
    expect(cluster.members('n2')).toEqual(stable(['n1', 'n2', 'n4']))
    expect(cluster.members('n4')).toEqual(stable(['n1', 'n2', 'n4']))
  })

  it('a leader that removes itself during a transfer asks one node to take over, not two', () => {
    const cluster = ledByN1(3)
    const asked = new Set<string>()
    cluster.configure('n1', remove('n1'))
    // Two appends on their way: the target of the transfer confirms last, after the change is committed.
    cluster.deliver({ kind: 'append-request' })
    cluster.deliver({ kind: 'append-response', from: 'n2' })
    cluster.node('n1').transfer(id('n3'))
    for (let round = 0; round < 20; round++) {
      for (const { to } of cluster.matching({ kind: 'timeout-now' })) asked.add(to)
      cluster.drop({ kind: 'timeout-now' })
      cluster.deliver()
    }
    expect(cluster.role('n1')).toBe('follower')
    expect(asked.size).toBe(1)
  })

  it('a transfer to a removed node is given up, and the leader goes on', () => {
    const cluster = ledByN1(3)
    cluster.configure('n1', remove('n3'))
    cluster.node('n1').transfer(id('n3'))
    cluster.settle()
    cluster.run(2 * timing.electionTicksMin)
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
    expect(cluster.members('n1')).toEqual(stable(['n1', 'n2']))
  })
})
