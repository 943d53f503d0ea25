import { describe, expect, it } from 'vitest'
import type { Output } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { configurationOf } from '../../support/configurations.ts'
import type { ClusterOptions, CoreCluster } from '../../support/core-cluster.ts'
import { append, clusterOf, entry, id, timing } from '../../support/core-cluster.ts'
import type { SnapshotTransfer } from '../../support/core-node.ts'

const names = ['n1', 'n2', 'n3']

/** n1 leads three nodes. */
function ledByN1 (options: ClusterOptions = {}): CoreCluster {
  const cluster = clusterOf(3, options)
  cluster.elect('n1')
  return cluster
}

function proposeAll (cluster: CoreCluster, ...commands: readonly string[]): void {
  for (const command of commands) cluster.propose('n1', command)
  cluster.settle()
}

/** n3 misses entries that n1 compacts; returns the index of the last of them. */
function leaveBehind (cluster: CoreCluster, ...commands: readonly string[]): number {
  cluster.isolate('n3')
  proposeAll(cluster, ...commands)
  cluster.node('n1').compact()
  return cluster.node('n1').core.base.index
}

/** A snapshot made up by a test; its state is one command for each index. */
function snapshotOf (
  index: number,
  term: number,
  { from = 'n1', to = 'n3', inTerm = term, voters = names } = {}
): SnapshotTransfer {
  return {
    from: id(from),
    to: id(to),
    term: asTerm(inTerm),
    snapshot: {
      point: {
        index: asIndex(index),
        term: asTerm(term),
        timeMs: 7,
        held: { index: 0, configuration: configurationOf(voters.map(id)) }
      },
      state: Array.from({ length: index }, (_, position) => entry(position + 1, term, `${position + 1}/${term}`))
    }
  }
}

function accepted (matchIndex: number) {
  return { kind: 'append-response', result: { kind: 'accepted', matchIndex } }
}

describe('paper 7: log compaction', () => {
  it('a log is compacted as far as a snapshot covers it, and keeps the term and index of its end and its base', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b', 'c')
    const node = cluster.node('n2')
    const output = node.compact()
    expect(output.compactThrough).toBe(4)
    expect(node.core.base).toEqual({ index: 4, term: 1, timeMs: 1_000 })
    expect(node.core).toMatchObject({ lastIndex: 4, commitIndex: 4, stableIndex: 4 })
    expect(node.disk).toMatchObject({ base: { index: 4, term: 1 }, entries: [] })
    proposeAll(cluster, 'd')
    expect(cluster.applied('n2')).toEqual(['a', 'b', 'c', 'd'])
  })

  it('trailing entries stay for peers that are a little behind: up to a number and a size in bytes', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'aaaa', 'bb', 'c', 'd')
    cluster.node('n1').compact(2)
    expect(cluster.node('n1').core.base.index).toBe(3)
    const step = (keepBytes: number): Output =>
      cluster.node('n2').compactThrough(asIndex(5), 10, keepBytes)
    cluster.node('n2').compact(10)
    expect(step(8).compactThrough).toBeNull()
    expect(step(4).compactThrough).toBe(2)
    expect(step(3).compactThrough).toBe(3)
  })

  it('only entries that are committed and on the disk are compacted', () => {
    const cluster = ledByN1()
    cluster.slowDisk('n1')
    cluster.propose('n1', 'a')
    cluster.settle()
    const leader = cluster.node('n1')
    expect(leader.core.commitIndex).toBe(2)
    const { stableIndex } = leader.core
    expect(stableIndex).toBeLessThan(2)
    expect(
      leader.compactThrough(asIndex(2), 0, 0).compactThrough ?? 0
    ).toBeLessThanOrEqual(stableIndex)
    cluster.fastDisk('n1')
    cluster.isolate('n1')
    cluster.propose('n1', 'b')
    leader.compactThrough(asIndex(3), 0, 0)
    expect(leader.core.base.index).toBe(2)
  })

  it('a snapshot older than the base of the log compacts nothing', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b', 'c')
    const node = cluster.node('n1')
    node.compact()
    expect(node.compactThrough(asIndex(2), 0, 0).compactThrough).toBeNull()
    expect(node.core.base.index).toBe(4)
  })

  it('a restart goes on from the snapshot: the entries that it covers are not applied again', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b')
    cluster.node('n3').compact(1)
    proposeAll(cluster, 'c')
    cluster.restart('n3')
    expect(cluster.node('n3').core).toMatchObject({ base: { index: 2 }, commitIndex: 3, lastIndex: 4 })
    expect(cluster.applied('n3')).toEqual(['a', 'b'])
    cluster.run(timing.heartbeatTicks)
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c'])
  })

  it('elections compare with the base when the log has no entry behind it', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b')
    for (const name of names) cluster.node(name).compact()
    cluster.restart('n2')
    cluster.forgetLeaders()
    cluster.drop()
    const ask = (lastIndex: number, lastTerm: number) => {
      cluster.inject({
        kind: 'vote-request',
        from: 'n3',
        to: 'n2',
        term: 5,
        lastIndex: asIndex(lastIndex),
        lastTerm: asTerm(lastTerm),
        isTransfer: false
      })
      return cluster
        .take({ from: 'n2', kind: 'vote-response' })
        .map((message) => message.kind === 'vote-response' && message.granted)
    }
    expect(ask(2, 1)).toEqual([false])
    expect(ask(3, 1)).toEqual([true])
  })

  it('a cluster whose logs are all empty behind their bases elects a leader and goes on', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a')
    for (const name of names) {
      cluster.node(name).compact()
      cluster.restart(name)
    }
    cluster.runUntil(() => names.some((name) => cluster.role(name) === 'leader'))
    const leader = names.find((name) => cluster.role(name) === 'leader') ?? ''
    cluster.propose(leader, 'b')
    cluster.run(timing.heartbeatTicks)
    for (const name of names) expect(cluster.applied(name)).toEqual(['a', 'b'])
  })

  it('an append from below the base is accepted up to the base: all logs agree there', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b', 'c')
    cluster.node('n3').compact()
    const late = (length: number) =>
      append({
        from: 'n1',
        to: 'n3',
        term: 1,
        prev: [1, 1],
        entries: [entry(2, 1, 'a'), entry(3, 1, 'b'), entry(4, 1, 'c'), entry(5, 1, 'd')].slice(0, length)
      })
    cluster.inject(late(1))
    expect(cluster.take({ from: 'n3' })).toMatchObject([accepted(4)])
    cluster.inject(late(4))
    expect(cluster.take({ from: 'n3' })).toMatchObject([accepted(5)])
    expect(cluster.node('n3').core.lastIndex).toBe(5)
  })

  it('an append that contradicts the base is refused, because it would replace a committed entry', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b')
    cluster.node('n3').compact()
    cluster.inject(append({ from: 'n1', to: 'n3', term: 2, prev: [2, 1], entries: [entry(3, 2, 'x')] }))
    expect(cluster.violations).toEqual(['n3: an append that would replace a committed entry'])
    expect(cluster.node('n3').core.view.term).toBe(1)
  })
})

describe('paper 7: InstallSnapshot', () => {
  it('a follower that needs compacted entries is sent a snapshot, and then the entries behind it', () => {
    const cluster = ledByN1()
    const base = leaveBehind(cluster, 'a', 'b', 'c')
    proposeAll(cluster, 'd')
    cluster.heal()
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c', 'd'])
    expect(cluster.node('n3').core).toMatchObject({ base: { index: base }, commitIndex: base + 1 })
    expect(cluster.node('n3').disk).toMatchObject({ base: { index: base }, snapshot: { point: { index: base } } })
    proposeAll(cluster, 'e')
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('a follower that needs only trailing entries is sent no snapshot', () => {
    const cluster = ledByN1()
    cluster.isolate('n3')
    proposeAll(cluster, 'a', 'b', 'c')
    cluster.node('n1').compact(3)
    cluster.heal()
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c'])
    expect(cluster.node('n3').core.base.index).toBe(0)
  })

  it('while a snapshot is on its way, appends pause and heartbeats go on, and the peer counts as lagging', () => {
    const cluster = ledByN1()
    leaveBehind(cluster, 'a', 'b')
    cluster.heal()
    for (let round = 0; round < 3; round++) {
      cluster.tick('n1', timing.heartbeatTicks)
      for (let hop = 0; hop < 4; hop++) cluster.deliver()
    }
    expect(cluster.snapshots).toMatchObject([{ from: 'n1', to: 'n3' }])
    cluster.propose('n1', 'c')
    cluster.tick('n1', timing.heartbeatTicks)
    expect(cluster.matching({ from: 'n1', to: 'n3' }).map(({ kind }) => kind)).toEqual(['heartbeat-request'])
    expect(cluster.node('n1').transfer(id('n3'))).toEqual({
      kind: 'refused',
      reason: 'lagging'
    })
    // The leader still hears from it: without the third node, that is a majority.
    cluster.isolate('n2')
    for (let left = 3 * timing.electionTicksMin; left > 0; left--) {
      cluster.tick('n1')
      for (let hop = 0; hop < 2; hop++) cluster.deliver()
    }
    expect(cluster.role('n1')).toBe('leader')
    expect(cluster.snapshots).toHaveLength(1)
    cluster.heal()
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c'])
  })

  it('a snapshot that did not arrive is tried again when a heartbeat comes back', () => {
    const cluster = ledByN1()
    leaveBehind(cluster, 'a', 'b')
    cluster.heal()
    cluster.tick('n1', timing.heartbeatTicks)
    while (cluster.pool.length > 0) cluster.deliver()
    expect(cluster.takeSnapshots()).toHaveLength(1)
    expect(cluster.node('n1').snapshotFailed(id('n3')).snapshotsWanted).toEqual([])
    cluster.tick('n1', timing.heartbeatTicks)
    while (cluster.pool.length > 0) cluster.deliver()
    expect(cluster.snapshots).toHaveLength(1)
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['a', 'b'])
  })

  it('a peer out of reach is sent no snapshot', () => {
    const cluster = ledByN1()
    leaveBehind(cluster, 'a', 'b')
    cluster.run(3 * timing.electionTicksMin)
    proposeAll(cluster, 'c')
    cluster.run(timing.electionTicksMin)
    expect(cluster.snapshots).toEqual([])
    expect(cluster.role('n1')).toBe('leader')
  })

  it('a leader that compacts more while it sends a snapshot sends the next one afterwards', () => {
    const cluster = ledByN1()
    leaveBehind(cluster, 'a', 'b')
    cluster.heal()
    cluster.tick('n1', timing.heartbeatTicks)
    while (cluster.pool.length > 0) cluster.deliver()
    const [older] = cluster.takeSnapshots()
    if (older === undefined) throw new Error('no snapshot was sent')
    cluster.propose('n1', 'c')
    while (cluster.pool.length > 0) cluster.deliver()
    cluster.node('n1').compact()
    cluster.handSnapshot(older)
    expect(cluster.applied('n3')).toEqual(['a', 'b'])
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c'])
  })

  it('the acknowledgement waits for the disk, and after a crash before that the node goes on from the snapshot', () => {
    const cluster = clusterOf(3, { logs: { n3: [1, 1] }, terms: { n3: 2 } })
    cluster.slowDisk('n3')
    cluster.handSnapshot(snapshotOf(5, 2), false)
    expect(cluster.take({ from: 'n3' })).toEqual([])
    expect(cluster.node('n3').disk.base.index).toBe(0)
    cluster.restart('n3')
    expect(cluster.node('n3').core).toMatchObject({
      base: { index: 5, term: 2 },
      lastIndex: 5,
      commitIndex: 5,
      view: { term: 2 }
    })
    expect(cluster.applied('n3')).toHaveLength(5)
    cluster.handSnapshot(snapshotOf(7, 2), false)
    cluster.fastDisk('n3')
    expect(cluster.take({ from: 'n3' })).toMatchObject([accepted(7)])
    expect(cluster.node('n3').disk).toMatchObject({ base: { index: 7 }, entries: [] })
  })

  it('a node that lost the term of a snapshot uses no vote of an earlier term in it', () => {
    const cluster = clusterOf(3, { logs: { n3: [1, 1] }, terms: { n3: 1 } })
    cluster.node('n3').disk.hardState = { term: asTerm(1), vote: id('n2'), commit: asIndex(0) }
    cluster.slowDisk('n3')
    cluster.handSnapshot(snapshotOf(5, 2), false)
    cluster.restart('n3')
    expect(cluster.node('n3').disk.hardState).toEqual({ term: 2, vote: null, commit: 5 })
  })

  it('the configuration of the snapshot is in force, and the log wins for later ones', () => {
    const cluster = clusterOf(3, { logs: { n3: [1] } })
    const output = cluster.handSnapshot(snapshotOf(4, 2, { voters: ['n1', 'n2', 'n3', 'n4'] }), false)
    expect(cluster.members('n3').voters).toEqual(['n1', 'n2', 'n3', 'n4'])
    expect(output?.configuration?.voters).toHaveLength(4)
    cluster.restart('n3')
    expect(cluster.members('n3').voters).toEqual(['n1', 'n2', 'n3', 'n4'])
  })

  it('a configuration keeps the index of its entry when that entry is compacted, not the index of the snapshot', () => {
    const cluster = clusterOf(4, { voters: names })
    cluster.elect('n1')
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.run(timing.heartbeatTicks)
    proposeAll(cluster, 'a')
    cluster.run(timing.heartbeatTicks)
    const before = cluster.node('n1').core.configurationIndex
    const node = cluster.node('n2')
    node.compact()
    cluster.restart('n2')
    expect(cluster.members('n2')).toEqual({ voters: names, outgoing: [], learners: ['n4'] })
    expect(node.core.configurationIndex).toBe(before)
  })

  it('after a restart the log may start before the snapshot: the snapshot\'s configuration stays in force', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b', 'c')
    cluster.configure('n1', { kind: 'set-address', id: id('n3'), address: 'http://moved' })
    cluster.settle()
    const node = cluster.node('n2')
    const { configuration, configurationIndex } = node.core
    expect(configurationIndex).toBe(5)
    node.compact(10)
    cluster.restart('n2')
    cluster.settle()
    proposeAll(cluster, 'd')
    node.compact(3)
    expect(node.core.base.index).toBe(3)
    expect(node.core).toMatchObject({ configuration, configurationIndex })
  })

  it('an installation of an earlier term is refused, and its sender learns of the newer one', () => {
    const cluster = clusterOf(3, { logs: { n3: [1, 1] }, terms: { n3: 5 } })
    cluster.handSnapshot(snapshotOf(9, 2), false)
    expect(cluster.take({ from: 'n3' })).toMatchObject([{ kind: 'heartbeat-response', to: 'n1', term: 5, round: 0 }])
    expect(cluster.node('n3').core).toMatchObject({ base: { index: 0 }, lastIndex: 2, commitIndex: 0 })
  })

  it('a node that installs a snapshot of a later term becomes a follower', () => {
    const cluster = ledByN1()
    cluster.handSnapshot(snapshotOf(9, 2, { from: 'n2', to: 'n1' }), false)
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 2, leader: 'n2' })
    expect(cluster.node('n1').core.base.index).toBe(9)
  })

  it('a snapshot that violates the protocol is refused and changes nothing', () => {
    const cluster = ledByN1()
    proposeAll(cluster, 'a', 'b')
    cluster.handSnapshot(snapshotOf(9, 1, { from: 'n2', to: 'n1' }), false)
    cluster.handSnapshot(snapshotOf(9, 1, { from: 'n2' }), false)
    cluster.handSnapshot(snapshotOf(9, 3, { inTerm: 2 }), false)
    cluster.handSnapshot(snapshotOf(2, 2, { inTerm: 2 }), false)
    expect(cluster.violations).toEqual([
      'n1: a second leader in one term',
      'n3: a second leader in one term',
      'n3: a snapshot whose last entry is newer than its leader, or that covers no entry',
      'n3: a snapshot that would replace a committed entry'
    ])
    expect(cluster.node('n3').core).toMatchObject({ base: { index: 0 }, commitIndex: 3, view: { term: 1 } })
  })

  it('an answer to an append sent before the snapshot changes nothing in the peer\'s progress', () => {
    const cluster = ledByN1()
    cluster.propose('n1', 'a')
    const late = cluster.take({ from: 'n1', to: 'n3', kind: 'append-request' })
    leaveBehind(cluster, 'b', 'c')
    cluster.heal()
    cluster.tick('n1', timing.heartbeatTicks)
    while (cluster.pool.length > 0) cluster.deliver()
    for (const message of late) cluster.hand(message)
    while (cluster.pool.length > 0) cluster.deliver()
    expect(cluster.snapshots).toHaveLength(1)
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['a', 'b', 'c'])
  })
})

describe('trap A18: snapshots', () => {
  it('A18 two back to back: the later one counts, and each is acknowledged', () => {
    const cluster = clusterOf(3, { logs: { n3: [1] }, slowDisks: true })
    cluster.handSnapshot(snapshotOf(5, 2), false)
    cluster.handSnapshot(snapshotOf(8, 2), false)
    expect(cluster.node('n3').core).toMatchObject({ base: { index: 8 }, commitIndex: 8, lastIndex: 8 })
    cluster.fastDisk('n3')
    expect(cluster.take({ from: 'n3' })).toMatchObject([accepted(5), accepted(8)])
    expect(cluster.node('n3').disk.base.index).toBe(8)
    expect(cluster.applied('n3')).toHaveLength(8)
  })

  it('A18 an older one after a newer one changes nothing, and the answer names the commit index', () => {
    const cluster = clusterOf(3, { logs: { n3: [1] } })
    cluster.handSnapshot(snapshotOf(8, 2), false)
    cluster.drop()
    const output = cluster.handSnapshot(snapshotOf(5, 2), false)
    expect(output).toMatchObject({ installed: null, write: null, configuration: null })
    expect(cluster.take({ from: 'n3' })).toMatchObject([accepted(8)])
    expect(cluster.node('n3').core).toMatchObject({ base: { index: 8 }, commitIndex: 8 })
    expect(cluster.applied('n3')).toHaveLength(8)
  })

  it('A18 install drops a conflicting tail, with the configuration in it', () => {
    const cluster = ledByN1()
    cluster.isolate('n1')
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.propose('n1', 'lost')
    expect(cluster.members('n1').learners).toEqual(['n4'])
    cluster.heal()
    const output = cluster.handSnapshot(snapshotOf(2, 2, { from: 'n2', to: 'n1' }), false)
    expect(output).toMatchObject({
      installed: { snapshot: { index: 2 } },
      write: { kind: 'restart', base: { index: 2, term: 2 }, hardState: { term: 2, commit: 2 } }
    })
    expect(cluster.members('n1').learners).toEqual([])
    expect(cluster.node('n1').core).toMatchObject({ lastIndex: 2, stableIndex: 2 })
    expect(cluster.node('n1').disk).toMatchObject({ base: { index: 2 }, entries: [] })
  })

  it('A18 install keeps a tail that agrees: this node may have acknowledged it', () => {
    const cluster = clusterOf(3, { logs: { n3: [1, 1, 2, 2, 2] } })
    const output = cluster.handSnapshot(snapshotOf(3, 2, { inTerm: 3 }), false)
    expect(output).toMatchObject({ installed: null, write: { kind: 'append' } })
    expect(output?.committed.map(({ index }) => index)).toEqual([1, 2, 3])
    expect(cluster.node('n3').core).toMatchObject({ lastIndex: 5, commitIndex: 3 })
    expect(cluster.take({ from: 'n3' })).toMatchObject([accepted(3)])
    cluster.restart('n3')
    expect(cluster.logTerms('n3')).toEqual([1, 1, 2, 2, 2])
    expect(cluster.node('n3').core).toMatchObject({ lastIndex: 5, commitIndex: 3 })
  })

  it('A18 a write under way when a snapshot arrives confirms no entry behind the snapshot', () => {
    const cluster = clusterOf(3, { slowDisks: true })
    cluster.inject(
      append({ from: 'n1', to: 'n3', term: 2, entries: [1, 2, 3, 4, 5, 6].map((index) => entry(index, 1)) })
    )
    cluster.handSnapshot(snapshotOf(4, 2), false)
    cluster.inject(append({ from: 'n1', to: 'n3', term: 2, prev: [4, 2], entries: [entry(5, 2), entry(6, 2)] }))
    const node = cluster.node('n3')
    expect(node.core.stableIndex).toBe(4)
    node.persist()
    expect(node.core.stableIndex).toBe(4)
    node.persist()
    expect(node.core.stableIndex).toBe(4)
    cluster.persist('n3')
    expect(node.core.stableIndex).toBe(6)
  })
})
