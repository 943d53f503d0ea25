import { describe, expect, it } from 'vitest'
import { asIndex } from '../../../src/raft/core/index.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { append, clusterOf, entry, timing } from '../../support/core-cluster.ts'

function isOneLeaderPerTerm (cluster: CoreCluster): boolean {
  return [...cluster.leaders.values()].every((leaders) => leaders.size === 1)
}

describe('traps of availability', () => {
  it('A14 transfer: after TimeoutNow the sender is no leader any more, and a failed transfer ends its term', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.node('n1').transfer(cluster.node('n2').id)
    expect(cluster.drop({ kind: 'timeout-now' })).toBe(1)
    expect(cluster.node('n1').core.leadershipIndex).toBeNull()
    for (let ticks = 0; ticks < timing.electionTicksMin; ticks++) {
      cluster.run(1)
      expect(cluster.node('n1').core.leadershipIndex).toBeNull()
    }
    expect(cluster.role('n1')).toBe('follower')
  })

  it('A14 transfer: the target leads at once, although the others are in contact with the old leader', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.run(timing.heartbeatTicks)
    cluster.node('n1').transfer(cluster.node('n2').id)
    cluster.settle()
    expect(cluster.view('n2')).toMatchObject({ role: 'leader', term: 2 })
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 2, leader: 'n2' })
  })

  it('A15 the disk stalls: ticks go on, and a candidate whose vote is not on disk does not become leader', () => {
    const cluster = clusterOf(3)
    cluster.slowDisk('n1')
    cluster.cut('n2', 'n3')
    for (let tick = 0; tick < 20 * timing.electionTicksMax; tick++) {
      cluster.tick('n1')
      cluster.settle()
    }
    expect(cluster.leaders.size).toBe(0)
    cluster.heal()
    cluster.runUntil(() => cluster.role('n2') === 'leader' || cluster.role('n3') === 'leader')
    expect(isOneLeaderPerTerm(cluster)).toBe(true)
  })

  it('A22 a node that can send but not receive cannot disrupt: its pre-vote requests change nothing', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.cutOneWay('n1', 'n3')
    cluster.cutOneWay('n2', 'n3')
    cluster.run(20 * timing.electionTicksMax)
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
    expect(cluster.view('n3').role).toBe('pre-candidate')
  })

  it('A22 a node with a higher term comes back: the leader adopts that term and steps down once', () => {
    const cluster = clusterOf(3, { terms: { n3: 9 } })
    cluster.isolate('n3')
    cluster.elect('n1')
    cluster.heal()
    cluster.run(6 * timing.electionTicksMax)
    const leader = cluster.up.find((node) => node.core.view.role === 'leader')
    expect(leader?.core.view.term).toBeGreaterThan(9)
    const terms = cluster.leaders.size
    cluster.run(10 * timing.electionTicksMax)
    expect(cluster.leaders.size).toBe(terms)
    expect(cluster.up.map((node) => node.core.view.leader)).toEqual([leader?.id, leader?.id, leader?.id])
  })

  it('A23 all appends in flight are lost: the next heartbeat reopens the flow', () => {
    const cluster = clusterOf(3, { limits: { maxInFlightAppends: 2, maxEntriesPerAppend: 1 } })
    cluster.elect('n1')
    for (let command = 0; command < 5; command++) cluster.propose('n1', `c${command}`)
    cluster.drop()
    cluster.run(8 * timing.heartbeatTicks)
    for (const name of ['n1', 'n2', 'n3']) expect(cluster.applied(name)).toHaveLength(5)
  })

  it('A23 a lost probe: the next heartbeat reopens the flow', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 2], n2: [1, 2], n3: [1] } })
    cluster.forgetLeaders()
    cluster.startCampaign('n1')
    for (const kind of ['pre-vote-request', 'pre-vote-response', 'vote-request', 'vote-response'] as const) {
      cluster.deliver({ kind })
    }
    cluster.drop()
    cluster.run(4 * timing.heartbeatTicks)
    expect(cluster.logTerms('n3')).toEqual([1, 2, 3])
  })

  it('a peer that was out of reach counts as caught up again by the next heartbeat, also when nothing is written', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.run(2 * timing.heartbeatTicks)
    const to = cluster.node('n2').id
    cluster.node('n1').unreachable(to)
    expect(cluster.node('n1').transfer(to)).toEqual({ kind: 'refused', reason: 'lagging' })
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.node('n1').transfer(to)).toEqual({ kind: 'started', to })
  })

  it('A25 an event loop that stalls: the leader is followed again, and its commands are not lost', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.settle()
    // n1 neither ticks nor hears; the others go on.
    for (let tick = 0; tick < 6 * timing.electionTicksMax; tick++) {
      for (const name of ['n2', 'n3']) cluster.tick(name)
      while (cluster.deliver({ from: 'n2', to: 'n3' }) + cluster.deliver({ from: 'n3', to: 'n2' }) > 0);
    }
    expect(cluster.role('n1')).toBe('leader')
    cluster.settle()
    expect(cluster.role('n1')).toBe('follower')
    expect(cluster.applied('n1')).toEqual(['x'])
    expect(isOneLeaderPerTerm(cluster)).toBe(true)
  })

  it.each([2, 4, 6])(
    'A25 %i nodes split in half: no leader, no commit, and all is well again when they meet',
    (size) => {
      const cluster = clusterOf(size)
      cluster.elect('n1')
      const half = cluster.up.map(({ id }) => id as string).slice(0, size / 2)
      cluster.isolate(...half)
      cluster.propose('n1', 'lost or not')
      cluster.run(10 * timing.electionTicksMax)
      expect(cluster.up.filter((node) => node.core.view.role === 'leader')).toEqual([])
      for (const node of cluster.up) expect(cluster.applied(node.id)).toEqual([])
      cluster.heal()
      cluster.runUntil(() =>
        cluster.up.some((node) => node.core.view.role === 'leader' && node.core.commitIndex === node.core.lastIndex)
      )
      cluster.run(2 * timing.electionTicksMax)
      const logs = cluster.up.map((node) => cluster.logTerms(node.id).join())
      expect(new Set(logs).size).toBe(1)
      expect(isOneLeaderPerTerm(cluster)).toBe(true)
    }
  )

  it('A25 a wiped node under its old id: its leader notices, counts no new entry from it, and the next leader sends it the log', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.run(2 * timing.heartbeatTicks)
    cluster.crash('n3')
    cluster.node('n3').wipe()
    cluster.node('n3').start()
    cluster.isolate('n2')
    cluster.propose('n1', 'y')
    for (let tick = 0; tick < timing.electionTicksMin - 2; tick++) cluster.run(1)
    expect(cluster.applied('n1')).toEqual(['x'])
    expect(cluster.violations).toContain(
      'n3: a heartbeat that commits more than this log holds: this node has lost entries it confirmed'
    )
    cluster.heal()
    cluster.elect('n2')
    cluster.run(2 * timing.electionTicksMax)
    for (const name of ['n1', 'n2', 'n3']) expect(cluster.applied(name)[0]).toBe('x')
  })

  it('a forged or malformed message changes nothing, and the answer names the reason', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1, 1] }, commits: { n1: 2 } })
    const before = { view: cluster.view('n1'), log: cluster.logTerms('n1') }
    cluster.inject(append({ from: 'n2', to: 'n1', term: 7, prev: [1, 1], entries: [entry(2, 7)] }))
    cluster.inject(append({ from: 'n2', to: 'n1', term: 7, prev: [3, 1], entries: [entry(5, 7)] }))
    cluster.inject(append({ from: 'n2', to: 'n1', term: 7, prev: [3, 1], entries: [entry(4, 8)] }))
    cluster.inject(append({ from: 'n2', to: 'n1', term: 2 ** 53 - 1 }))
    cluster.inject({ kind: 'heartbeat-request', from: 'n2', to: 'n1', term: 7, commit: asIndex(9), round: 1 })
    expect(cluster.violations).toHaveLength(5)
    expect({ view: cluster.view('n1'), log: cluster.logTerms('n1') }).toEqual(before)
    expect(cluster.pool).toEqual([])
  })
})
