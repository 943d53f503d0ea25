import { describe, expect, it } from 'vitest'
import type { ClusterOptions, CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function ledByN1 (limits: ClusterOptions['limits'] = {}): CoreCluster {
  const cluster = clusterOf(3, { limits })
  cluster.elect('n1')
  return cluster
}

function appendsTo (cluster: CoreCluster, to: string): number[][] {
  return cluster
    .matching({ from: 'n1', to, kind: 'append-request' })
    .map((message) => (message.kind === 'append-request' ? message.entries.map(({ index }) => index) : []))
}

describe('flow control', () => {
  it('no more bytes are in flight to a peer than allowed, and each answer lets more go', () => {
    const cluster = ledByN1({ maxInFlightBytes: 10, maxEntriesPerAppend: 1 })
    for (const command of ['aaaaa', 'bbbbb', 'ccccc', 'ddddd']) cluster.propose('n1', command)
    expect(appendsTo(cluster, 'n2')).toEqual([[2], [3]])
    cluster.deliver({ from: 'n1', to: 'n2', kind: 'append-request' })
    cluster.deliver({ from: 'n2', kind: 'append-response' })
    expect(appendsTo(cluster, 'n2').flat()).toEqual(expect.arrayContaining([4, 5]))
    cluster.settle()
    expect(cluster.applied('n2')).toEqual(['aaaaa', 'bbbbb', 'ccccc', 'ddddd'])
  })

  it('a command larger than the limit for bytes in flight is still sent, alone', () => {
    const cluster = ledByN1({ maxInFlightBytes: 3 })
    cluster.propose('n1', 'larger than that')
    cluster.propose('n1', 'x')
    expect(appendsTo(cluster, 'n2')).toEqual([[2]])
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['larger than that', 'x'])
  })

  it('commands that wait behind a full window are sent together, within the limits of an append', () => {
    const cluster = ledByN1({ maxInFlightAppends: 1, maxBytesPerAppend: 6 })
    for (const command of ['aa', 'bb', 'cc', 'dd', 'ee']) cluster.propose('n1', command)
    expect(appendsTo(cluster, 'n2')).toEqual([[2]])
    cluster.deliver({ from: 'n1', to: 'n2', kind: 'append-request' })
    cluster.deliver({ from: 'n2', kind: 'append-response' })
    expect(appendsTo(cluster, 'n2')).toEqual([[3, 4, 5]])
  })

  it('a peer in state probe is sent one append at a time', () => {
    const cluster = ledByN1()
    cluster.cut('n1', 'n3')
    cluster.node('n1').unreachable(id('n3'))
    cluster.heal()
    for (const command of ['a', 'b', 'c']) cluster.propose('n1', command)
    expect(appendsTo(cluster, 'n3')).toEqual([[2]])
    expect(appendsTo(cluster, 'n2').flat()).toEqual([2, 3, 4])
  })

  it('late answers open no new window: on a path that loses and reorders, appends do not multiply', () => {
    const cluster = ledByN1({ maxInFlightAppends: 8, maxEntriesPerAppend: 1 })
    for (let number = 0; number < 40; number++) cluster.propose('n1', `c${number}`)
    cluster.deliver({ from: 'n1', to: 'n3', kind: 'append-request' })
    const [last, ...late] = cluster.take({ from: 'n3', to: 'n1', kind: 'append-response' }).reverse()
    expect(late).toHaveLength(7)
    if (last !== undefined) cluster.hand(last)
    // One after the other, what that let go is found to be lost, and the answers to what went before come in.
    cluster.drop({ to: 'n3' })
    for (const answer of late) {
      cluster.node('n1').unreachable(id('n3'))
      cluster.hand(answer)
    }
    expect(appendsTo(cluster, 'n3')).toEqual(late.map(() => [10]))
    cluster.run(8 * timing.heartbeatTicks)
    expect(cluster.applied('n3')).toHaveLength(40)
  })

  it('one slow peer costs the others nothing: they are sent all entries, and it gets no more than its window', () => {
    const cluster = ledByN1({ maxInFlightAppends: 4, maxEntriesPerAppend: 1 })
    for (let number = 0; number < 50; number++) {
      cluster.propose('n1', `c${number}`)
      for (let hop = 0; hop < 3; hop++) cluster.deliver({ from: 'n1', to: 'n2' })
      cluster.deliver({ from: 'n2' })
    }
    cluster.deliver({ from: 'n1', to: 'n2' })
    expect(cluster.applied('n1')).toHaveLength(50)
    expect(cluster.applied('n2').length).toBeGreaterThan(45)
    expect(appendsTo(cluster, 'n3')).toHaveLength(4)
    cluster.settle()
    expect(cluster.applied('n3')).toHaveLength(50)
  })

  it('uncommitted bytes are bounded, also after a compaction, and the next commit makes room', () => {
    const cluster = ledByN1({ maxUncommittedBytes: 10 })
    cluster.propose('n1', 'before')
    cluster.settle()
    cluster.node('n1').compact()
    cluster.propose('n1', '12345678')
    expect(cluster.propose('n1', 'abc')).toEqual({ kind: 'refused', reason: 'busy' })
    cluster.settle()
    expect(cluster.propose('n1', 'abc')).toMatchObject({ kind: 'appended' })
  })

  it('a busy leader keeps a bounded log in memory: the trailing entries of each snapshot, and the newer ones', () => {
    const cluster = ledByN1()
    for (let round = 0; round < 30; round++) {
      cluster.propose('n1', ...Array.from({ length: 10 }, (_, number) => `${round}-${number}`))
      cluster.settle()
      cluster.node('n1').compact(5)
      expect(cluster.node('n1').log.length).toBe(5)
    }
    cluster.run(timing.heartbeatTicks)
    expect(cluster.applied('n2')).toHaveLength(300)
  })
})
