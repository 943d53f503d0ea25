import { describe, expect, it } from 'vitest'
import type { ClusterMark, ConfigurationChange, Message } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm, stableConfiguration } from '../../../src/raft/core/index.ts'
import { decodeConfiguration, encodeConfiguration } from '../../../src/raft/runtime/entry-codec.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function found (clusterUuid: string): ConfigurationChange {
  return { kind: 'found', clusterUuid }
}

function uuids (cluster: CoreCluster): Record<string, string | undefined> {
  return Object.fromEntries(cluster.up.map((node) => [node.id, node.core.clusterUuid]))
}

function ledByN1 (size: number): CoreCluster {
  const cluster = clusterOf(size, { voters: ['n1', 'n2', 'n3'] })
  cluster.elect('n1')
  cluster.run(timing.heartbeatTicks)
  return cluster
}

describe('the UUID of a cluster', () => {
  it('is drawn once: the first committed one is that of all nodes, through all changes', () => {
    const cluster = ledByN1(4)
    expect(uuids(cluster)).toEqual({ n1: undefined, n2: undefined, n3: undefined, n4: undefined })
    expect(cluster.configure('n1', found('one'))).toMatchObject({ kind: 'appended' })
    cluster.run(timing.heartbeatTicks)
    expect(uuids(cluster)).toEqual({ n1: 'one', n2: 'one', n3: 'one', n4: undefined })
    expect(cluster.configure('n1', found('two'))).toEqual({ kind: 'refused', reason: 'already-founded' })
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.settle()
    cluster.configure('n1', { kind: 'promote', id: id('n4') }, { kind: 'remove', id: id('n3') })
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.members('n4')).toEqual({ voters: ['n1', 'n2', 'n4'], outgoing: [], learners: [] })
    expect(uuids(cluster)).toEqual({ n1: 'one', n2: 'one', n3: 'one', n4: 'one' })
  })

  it('is not known before its entry is committed, and the UUID of a leader that committed nothing is replaced', () => {
    const cluster = ledByN1(3)
    cluster.isolate('n1')
    cluster.configure('n1', found('lost'))
    expect(cluster.node('n1').core.configuration.clusterUuid).toBe('lost')
    expect(cluster.node('n1').core.clusterUuid).toBeUndefined()
    cluster.elect('n2')
    cluster.configure('n2', found('kept'))
    cluster.heal()
    cluster.run(2 * timing.electionTicksMax)
    expect(uuids(cluster)).toEqual({ n1: 'kept', n2: 'kept', n3: 'kept' })
  })

  it('is known again right after a restart, also where nothing was written since', () => {
    const cluster = ledByN1(3)
    cluster.configure('n1', found('one'))
    cluster.run(timing.heartbeatTicks)
    for (const name of ['n1', 'n2', 'n3']) cluster.restart(name)
    expect(uuids(cluster)).toEqual({ n1: 'one', n2: 'one', n3: 'one' })
  })

  it('comes with a snapshot', () => {
    const cluster = ledByN1(4)
    cluster.configure('n1', found('one'))
    cluster.settle()
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.isolate('n4')
    cluster.propose('n1', 'x')
    cluster.run(timing.heartbeatTicks)
    cluster.node('n1').compact()
    cluster.heal()
    cluster.run(4 * timing.heartbeatTicks)
    expect(cluster.node('n4').disk.snapshot).not.toBeNull()
    expect(cluster.node('n4').core.clusterUuid).toBe('one')
    cluster.restart('n4')
    expect(cluster.node('n4').core.clusterUuid).toBe('one')
  })

  it('is part of an encoded configuration once there is one, and never empty', () => {
    const configuration = stableConfiguration([{ id: id('n1'), address: 'http://n1' }])
    const founded = { ...configuration, clusterUuid: 'one' }
    expect(decodeConfiguration(encodeConfiguration(founded))).toEqual(founded)
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration)
    for (const clusterUuid of ['', 7, null]) {
      expect(decodeConfiguration(Buffer.from(JSON.stringify({ ...configuration, clusterUuid })))).toBeNull()
    }
  })
})

/** A cluster of three that has founded `first`, and committed a command. */
function founded (options: Parameters<typeof clusterOf>[1] = {}): CoreCluster {
  const cluster = clusterOf(3, options)
  cluster.elect('n1')
  cluster.run(timing.heartbeatTicks)
  cluster.configure('n1', found('first'))
  cluster.propose('n1', 'x')
  cluster.run(timing.heartbeatTicks)
  return cluster
}

/** The removed nodes n1 and n2 were wiped and started again as first members, and have founded `second`. */
function foundedTwice (): CoreCluster {
  const cluster = founded()
  cluster.configure('n1', { kind: 'remove', id: id('n2') })
  cluster.run(timing.heartbeatTicks)
  cluster.configure('n1', { kind: 'remove', id: id('n1') })
  cluster.runUntil(() => cluster.role('n3') === 'leader')
  cluster.run(timing.heartbeatTicks)
  for (const name of ['n1', 'n2']) {
    cluster.crash(name)
    cluster.node(name).wipe()
    cluster.restart(name)
  }
  cluster.runUntil(() => cluster.role('n1') === 'leader' || cluster.role('n2') === 'leader')
  const leader = cluster.role('n1') === 'leader' ? 'n1' : 'n2'
  cluster.configure(leader, found('second'))
  cluster.propose(leader, 'y')
  cluster.run(timing.heartbeatTicks)
  return cluster
}

describe('two clusters of one name', () => {
  it('A26 never mix: removed nodes that found another one neither depose the last node of the first nor change its log', () => {
    const cluster = foundedTwice()
    expect(uuids(cluster)).toEqual({ n1: 'second', n2: 'second', n3: 'first' })
    const [term, log] = [cluster.term('n3'), cluster.logTerms('n3')]
    // The others get far ahead of it, in term and in log.
    for (const name of ['n1', 'n2', 'n1', 'n2', 'n1']) {
      for (const other of ['n1', 'n2']) cluster.node(other).stepDown()
      cluster.elect(name)
      cluster.propose(name, 'z')
      cluster.run(timing.heartbeatTicks)
    }
    expect(cluster.term('n1')).toBeGreaterThan(term)
    expect([cluster.role('n3'), cluster.term('n3'), cluster.logTerms('n3')]).toEqual(['leader', term, log])
    expect(cluster.propose('n3', 'still here')).toMatchObject({ kind: 'appended' })
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['x', 'still here'])
    expect(cluster.applied('n1')).not.toContain('x')
    expect(new Set(cluster.violations)).toContain('n3: a heartbeat-request of a node that does not name this cluster')
  })

  const committed: ClusterMark = { uuid: 'second', isCommitted: true }
  const tentative: ClusterMark = { uuid: 'second', isCommitted: false }
  const own: ClusterMark = { uuid: 'first', isCommitted: false }
  const head = { from: id('n2'), to: id('n1') }
  const place = { lastIndex: asIndex(99), lastTerm: asTerm(9) }
  const requests: ReadonlyArray<readonly [Message['kind'], object]> = [
    ['pre-vote-request', place],
    ['vote-request', { ...place, isTransfer: true }],
    ['append-request', { prevIndex: asIndex(0), prevTerm: asTerm(0), entries: [], commit: asIndex(0) }],
    ['heartbeat-request', { commit: asIndex(0), round: 1 }],
    ['read-request', { context: 1 }],
    ['timeout-now', {}]
  ]
  const responses: ReadonlyArray<readonly [Message['kind'], object]> = [
    ['pre-vote-response', { granted: false }],
    ['vote-response', { granted: false }],
    ['append-response', { prevIndex: asIndex(9), result: { kind: 'rejected', hintIndex: 0, hintTerm: 0 } }],
    ['heartbeat-response', { round: 0 }],
    ['read-response', { context: 1, index: asIndex(1) }]
  ]

  it.each(requests)('a node that knows its cluster takes no %s that does not name it', (kind, fields) => {
    const message = (cluster: ClusterMark | undefined, term: number): Message =>
      ({ ...head, kind, term: asTerm(term), ...fields, ...(cluster === undefined ? {} : { cluster }) }) as Message
    for (const mark of [undefined, tentative, committed]) {
      const cluster = founded()
      const before = cluster.view('n1')
      cluster.hand(message(mark, 50))
      expect([cluster.view('n1'), cluster.violations]).toEqual([
        before,
        [`n1: a ${kind} of a node that does not name this cluster`]
      ])
    }
    const cluster = founded()
    cluster.hand(message(own, 50))
    expect(cluster.violations).toEqual([])
  })

  it.each(responses)('a %s counts unless it surely comes from another cluster', (kind, fields) => {
    const message = (cluster?: ClusterMark): Message =>
      ({ ...head, kind, term: asTerm(50), ...fields, ...(cluster === undefined ? {} : { cluster }) }) as Message
    for (const mark of [undefined, tentative, own]) {
      const cluster = founded()
      cluster.hand(message(mark))
      expect([cluster.term('n1'), cluster.violations]).toEqual([50, []])
    }
    const cluster = founded()
    cluster.hand(message(committed))
    expect([cluster.role('n1'), cluster.violations]).toEqual([
      'leader',
      [`n1: a ${kind} of a node that does not name this cluster`]
    ])
  })

  it('a member without a cluster is brought in by the leader, also from a higher term', () => {
    const cluster = clusterOf(3, { terms: { n3: 7 } })
    cluster.isolate('n3')
    cluster.elect('n1')
    cluster.configure('n1', found('first'))
    cluster.run(timing.heartbeatTicks)
    expect(cluster.term('n1')).toBeLessThan(7)
    cluster.heal()
    cluster.runUntil(() => cluster.node('n3').core.clusterUuid === 'first')
    expect(uuids(cluster)).toEqual({ n1: 'first', n2: 'first', n3: 'first' })
  })

  it('a member whose leader died with an uncommitted UUID is brought in, and gets that of the others', () => {
    const cluster = clusterOf(3)
    cluster.elect('n3')
    cluster.isolate('n3')
    cluster.configure('n3', found('lost'))
    cluster.elect('n1')
    cluster.configure('n1', found('first'))
    cluster.run(timing.heartbeatTicks)
    cluster.heal()
    cluster.runUntil(() => cluster.node('n3').core.clusterUuid === 'first')
  })

  it('a voter that knows its cluster votes for a candidate whose log names it, committed there or not', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.configure('n1', found('first'))
    cluster.propose('n1', 'x')
    // n2 has both entries, and does not hear that they are committed. n3 has the first, and hears that it is.
    cluster.deliver({ to: 'n2', kind: 'append-request' })
    const [first] = cluster.take({ to: 'n3', kind: 'append-request' })
    if (first === undefined) throw new Error('n3 is sent the entry')
    cluster.hand(first)
    cluster.deliver({ to: 'n1', kind: 'append-response' })
    cluster.drop()
    cluster.tick('n1', timing.heartbeatTicks)
    cluster.deliver({ to: 'n3', kind: 'heartbeat-request' })
    cluster.drop()
    cluster.isolate('n1')
    const marks = ['n2', 'n3'].map((name) => cluster.node(name).core.clusterUuid)
    expect([marks, cluster.logTerms('n2').length > cluster.logTerms('n3').length]).toEqual([[undefined, 'first'], true])
    cluster.elect('n2')
    expect(cluster.node('n2').core.clusterUuid).toBe('first')
  })

  it('a node that is to join one of them takes nothing from the other', () => {
    const cluster = clusterOf(4, { voters: ['n1', 'n2', 'n3'] })
    cluster.node('n4').core.expectCluster('first')
    cluster.elect('n1')
    cluster.configure('n1', found('second'))
    cluster.settle()
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.run(4 * timing.heartbeatTicks)
    expect([cluster.logTerms('n4'), cluster.term('n4')]).toEqual([[], 0])
    cluster.node('n4').core.expectCluster('second')
    cluster.run(4 * timing.heartbeatTicks)
    expect(cluster.node('n4').core.clusterUuid).toBe('second')
  })

  it('a snapshot of the other one is refused before any of it is taken', () => {
    const cluster = founded()
    const point = cluster.node('n1').core.snapshotPoint(asIndex(1))
    const offer = (clusterUuid: string | undefined, index: number) => ({
      from: id('n2'),
      term: asTerm(50),
      snapshot: {
        ...point,
        index: asIndex(index),
        held: {
          index: 1,
          configuration: { ...point.held.configuration, ...(clusterUuid === undefined ? {} : { clusterUuid }) }
        }
      }
    })
    const judge = (uuid: string | undefined, index: number) =>
      cluster.node('n1').core.installViolation(offer(uuid, index))
    expect(judge('second', 99)).toMatchObject({ kind: 'foreign' })
    expect(judge(undefined, 99)).toMatchObject({ kind: 'foreign' })
    expect(judge(undefined, 1)).toBeNull()
    expect(judge('first', 99)).toBeNull()
  })
})
