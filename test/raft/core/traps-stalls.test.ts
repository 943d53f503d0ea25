import { describe, expect, it } from 'vitest'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { append, clusterOf, entry, id, timing } from '../../support/core-cluster.ts'

const longTicks = 10 * timing.electionTicksMax

/** One leader a term, no refused message, logs that match (paper section 5.3), and the same commands applied. */
function expectInvariants (cluster: CoreCluster): void {
  expect([...cluster.leaders].filter(([, leaders]) => leaders.size > 1)).toEqual([])
  expect(cluster.violations).toEqual([])
  const longest = cluster.up.map((node) => cluster.applied(node.id)).reduce((a, b) => a.length >= b.length ? a : b)
  for (const node of cluster.up) {
    const applied = cluster.applied(node.id)
    expect(longest.slice(0, applied.length), node.id).toEqual(applied)
    for (const other of cluster.up) {
      const shared = node.log.filter(({ index, term }) => other.entryAt(index)?.term === term)
      for (const { index, term } of node.log.filter((one) => one.index <= (shared.at(-1)?.index ?? 0))) {
        expect(other.entryAt(index)?.term ?? term, `${node.id} and ${other.id} at ${index}`).toBe(term)
      }
    }
  }
}

/** The cluster goes on: a command is committed, and these nodes apply it, or all that run. */
function expectProgress (
  cluster: CoreCluster,
  command: string,
  names: readonly string[] = cluster.up.map((node) => node.id)
): void {
  cluster.runUntil(() => cluster.up.some((node) => node.core.leadershipIndex !== null))
  const leader = cluster.up.filter((node) => node.core.leadershipIndex !== null)
    .reduce((a, b) => a.core.view.term > b.core.view.term ? a : b)
  expect(cluster.propose(leader.id, command)).toMatchObject({ kind: 'appended' })
  cluster.runUntil(() => names.every((name) => cluster.applied(name).includes(command)))
  expectInvariants(cluster)
}

describe('what has stopped other implementations', () => {
  it.each(['before', 'after'] as const)(
    'A31 a transfer cut short by a step-down, %s the target was told: elected again, the node takes commands at once',
    (moment) => {
      const cluster = clusterOf(3)
      cluster.elect('n1')
      cluster.run(timing.heartbeatTicks)
      if (moment === 'before') {
        // The target never gets what it lacks, so that the transfer stays open.
        cluster.cutOneWay('n1', 'n2')
        cluster.propose('n1', 'lacks')
      }
      expect(cluster.node('n1').transfer(id('n2'))).toEqual({ kind: 'started', to: 'n2' })
      const late = cluster.take({ kind: 'timeout-now' })
      expect(late).toHaveLength(moment === 'before' ? 0 : 1)
      cluster.node('n1').stepDown()
      expect(cluster.role('n1')).toBe('follower')
      cluster.heal()
      cluster.elect('n1')
      expect(cluster.term('n1')).toBe(2)
      expect(cluster.node('n1').core.leadershipIndex).not.toBeNull()
      expect(cluster.propose('n1', 'at once')).toMatchObject({ kind: 'appended' })
      // What was meant for the first leadership has no effect in the second, and its deadline neither.
      for (const message of late) cluster.hand(message)
      cluster.run(longTicks)
      expect(cluster.view('n1')).toEqual({ role: 'leader', term: 2, leader: 'n1' })
      expect(cluster.node('n1').transfer(id('n3'))).toEqual({ kind: 'started', to: 'n3' })
      cluster.settle()
      expect(cluster.role('n3')).toBe('leader')
      expectProgress(cluster, 'last')
    }
  )

  it.each([
    ['ends in the middle of the tail', 3],
    ['ends beyond the tail', 9]
  ])('A32 a snapshot over a divergent tail that is still being written: %s', (_case, commands) => {
    const cluster = clusterOf(3)
    cluster.elect('n3')
    cluster.slowDisk('n3')
    cluster.isolate('n3')
    for (let number = 1; number <= 6; number++) cluster.propose('n3', `tail-${number}`)
    expect(cluster.node('n3').pendingWrites.length).toBeGreaterThan(0)
    cluster.elect('n1')
    for (let number = 1; number <= commands; number++) cluster.propose('n1', `kept-${number}`)
    cluster.settle()
    cluster.node('n1').compact()
    const { lastIndex } = cluster.node('n1').core
    cluster.heal()
    cluster.runUntil(() => cluster.snapshots.length > 0 || cluster.node('n3').core.commitIndex === lastIndex)
    cluster.runUntil(() => cluster.node('n3').core.commitIndex >= lastIndex)
    expect(cluster.node('n3').core.lastIndex).toBe(lastIndex)
    // Writes of the tail that end only now prove nothing of what has replaced it.
    cluster.fastDisk('n3')
    cluster.settle()
    expect(cluster.diskTerms('n3').every((term) => term === 2)).toBe(true)
    expectProgress(cluster, 'after the snapshot')
    cluster.restart('n3')
    expectProgress(cluster, 'after a restart')
    expect(cluster.node('n1').transfer(id('n3'))).toMatchObject({ kind: 'started' })
    cluster.settle()
    cluster.crash('n2')
    expectProgress(cluster, 'led by the one that had the tail')
    expect(cluster.applied('n3').filter((command) => command.startsWith('tail'))).toEqual([])
  })

  it('A33 five nodes that all reach one bridge only, which still hears the old leader: the bridge leads', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.propose('n1', 'before')
    cluster.settle()
    const ends = ['n1', 'n2', 'n4', 'n5']
    for (const one of ends) for (const other of ends) if (one < other) cluster.cut(one, other)
    expect(cluster.propose('n1', 'without a majority')).toMatchObject({ kind: 'appended' })
    cluster.runUntil(() => cluster.role('n3') === 'leader')
    expect(cluster.role('n1')).toBe('follower')
    expectProgress(cluster, 'across the bridge')
    const { term } = cluster.view('n3')
    cluster.run(longTicks)
    expect(cluster.view('n3')).toEqual({ role: 'leader', term, leader: 'n3' })
    cluster.heal()
    expectProgress(cluster, 'whole again')
    expect(cluster.term('n3')).toBe(term)
  })

  it('A33 five nodes of which a majority and the old leader hear each other through one bridge only', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.propose('n1', 'before')
    cluster.settle()
    for (const other of ['n2', 'n4', 'n5']) cluster.cut('n1', other)
    cluster.runUntil(() => ['n2', 'n3', 'n4', 'n5'].some((name) => cluster.role(name) === 'leader'))
    expectProgress(cluster, 'by the majority', ['n2', 'n3', 'n4', 'n5'])
    const leaders = [...cluster.leaders.keys()].length
    cluster.run(longTicks)
    expect([...cluster.leaders.keys()]).toHaveLength(leaders)
    cluster.heal()
    expectProgress(cluster, 'whole again')
  })

  it('A34 a follower that refuses append after append, and gets no heartbeat, does not campaign against its leader', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1, 1, 2, 2, 2], n2: [1, 1, 1, 2, 2, 2], n3: [1] } })
    cluster.elect('n1')
    const { term } = cluster.view('n1')
    cluster.crash('n3')
    cluster.restart('n3')
    cluster.inject(append({ from: 'n1', to: 'n3', term, prev: [1, 1] }))
    cluster.drop()
    // Each pause alone is shorter than any election timeout, and all of them together are many of them.
    for (let refused = 0; refused < 20; refused++) {
      cluster.tick('n3', timing.electionTicksMin - 1)
      expect(cluster.view('n3')).toEqual({ role: 'follower', term, leader: 'n1' })
      cluster.inject(append({ from: 'n1', to: 'n3', term, prev: [20 + refused, term] }))
      expect(cluster.take({ from: 'n3' })).toMatchObject([{ kind: 'append-response', result: { kind: 'rejected' } }])
    }
    expectProgress(cluster, 'caught up')
    expect(cluster.view('n1')).toEqual({ role: 'leader', term, leader: 'n1' })
    expect(cluster.logTerms('n3')).toEqual(cluster.logTerms('n1'))
  })

  it('A35 a conflicting last entry that is offered again: replaced once, and acknowledged when it is on disk', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 2], n2: [1, 2], n3: [1] } })
    cluster.slowDisk('n3')
    // The entry that will conflict is still on its way to the disk.
    cluster.inject(append({ from: 'n2', to: 'n3', term: 1, prev: [1, 1], entries: [entry(2, 1, 'of nobody')] }))
    cluster.drop()
    expect(cluster.logTerms('n3')).toEqual([1, 1])
    const entries = [entry(2, 2, '2/2'), entry(3, 3)]
    const offer = append({ from: 'n1', to: 'n3', term: 3, prev: [1, 1], entries })
    for (let times = 0; times < 3; times++) {
      cluster.inject(offer)
      expect(cluster.logTerms('n3')).toEqual([1, 2, 3])
      expect(cluster.matching({ from: 'n3', to: 'n1' })).toEqual([])
    }
    // The first write, of the entry that is gone, has ended. It proves nothing, and neither does another offer.
    cluster.node('n3').persist(1)
    cluster.inject(offer)
    expect(cluster.matching({ from: 'n3', to: 'n1' })).toEqual([])
    cluster.persist('n3')
    expect(cluster.diskTerms('n3')).toEqual([1, 2, 3])
    const accepted = cluster.take({ from: 'n3', to: 'n1' })
    expect(accepted).toHaveLength(4)
    for (const answer of accepted) expect(answer).toMatchObject({ result: { kind: 'accepted', matchIndex: 3 } })
    // Offered once more after a restart, and when it is committed, and the old one by its old leader: nothing changes.
    cluster.fastDisk('n3')
    cluster.restart('n3')
    cluster.inject(offer)
    cluster.inject(append({ from: 'n1', to: 'n3', term: 3, prev: [1, 1], entries, commit: 3 }))
    cluster.inject(offer)
    cluster.inject(append({ from: 'n2', to: 'n3', term: 1, prev: [1, 1], entries: [entry(2, 1, 'of nobody')] }))
    expect(cluster.diskTerms('n3')).toEqual([1, 2, 3])
    cluster.drop()
    expectProgress(cluster, 'last')
    expect(cluster.applied('n3')).not.toContain('of nobody')
  })
})
