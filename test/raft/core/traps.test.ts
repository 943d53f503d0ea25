import { describe, expect, it } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import type { CoreCluster, PlainMessage } from '../../support/core-cluster.ts'
import { append, clusterOf, entry, timing } from '../../support/core-cluster.ts'

function asksVote (from: string, to: string, term: number, lastIndex = 0, lastTerm = 0): PlainMessage {
  return {
    kind: 'vote-request',
    from,
    to,
    term,
    lastIndex: asIndex(lastIndex),
    lastTerm: asTerm(lastTerm),
    isTransfer: false
  }
}

function grantsOf (cluster: CoreCluster, name: string, term: number): string[] {
  return cluster.matching({ from: name, kind: 'vote-response', term })
    .filter((message) => message.kind === 'vote-response' && message.granted).map(({ to }) => to)
}

describe('traps of safety', () => {
  it('A1 vote before fsync: a vote lost in a crash and the one given after it never both count', () => {
    const cluster = clusterOf(3, { terms: { n1: 4, n2: 4, n3: 4 } })
    cluster.forgetLeaders()
    cluster.drop()
    cluster.slowDisk('n1')
    cluster.inject(asksVote('n2', 'n1', 5))
    expect(grantsOf(cluster, 'n1', 5)).toEqual([])
    cluster.restart('n1')
    cluster.fastDisk('n1')
    for (let left = timing.electionTicksMin; left > 0; left--) cluster.node('n1').tick()
    cluster.drop({ kind: 'pre-vote-request' })
    cluster.inject(asksVote('n3', 'n1', 5))
    expect(grantsOf(cluster, 'n1', 5)).toEqual(['n3'])
  })

  it('A1 vote before fsync: once the grant was sent, the node gives no other vote after a crash', () => {
    const cluster = clusterOf(3)
    cluster.inject(asksVote('n2', 'n1', 5))
    expect(grantsOf(cluster, 'n1', 5)).toEqual(['n2'])
    cluster.restart('n1')
    for (let left = timing.electionTicksMin; left > 0; left--) cluster.node('n1').tick()
    cluster.inject(asksVote('n3', 'n1', 5, 9, 4))
    expect(grantsOf(cluster, 'n1', 5)).toEqual(['n2'])
  })

  it('A1 vote before fsync: a candidate sends no vote request and does not lead before its own vote is on disk', () => {
    const cluster = clusterOf(3, { slowDisks: true })
    cluster.startCampaign('n1')
    for (const from of ['n2', 'n3']) {
      cluster.inject({ kind: 'pre-vote-response', from, to: 'n1', term: 1, granted: true })
    }
    expect(cluster.matching({ kind: 'vote-request' })).toEqual([])
    for (const from of ['n2', 'n3']) cluster.inject({ kind: 'vote-response', from, to: 'n1', term: 1, granted: true })
    expect(cluster.role('n1')).toBe('candidate')
    cluster.persist('n1')
    expect(cluster.role('n1')).toBe('leader')
  })

  it('A2 entries before their term: if any part of the write survives, a leader of an earlier term changes nothing', () => {
    for (const tornEntries of [null, 0, 1, 2]) {
      const cluster = clusterOf(3, { logs: { n1: [1] }, slowDisks: true })
      cluster.inject(append({ from: 'n2', to: 'n1', term: 5, prev: [1, 1], entries: [entry(2, 5), entry(3, 5)] }))
      cluster.node('n1').crash({ completeWrites: 0, tornEntries })
      cluster.node('n1').start()
      const recovered = cluster.logTerms('n1')
      cluster.inject(append({ from: 'n3', to: 'n1', term: 1, prev: [1, 1], entries: [entry(2, 1)] }))
      if (tornEntries === null) {
        // Nothing was promised to the leader of term 5.
        expect(recovered).toEqual([1])
      } else {
        expect(cluster.term('n1')).toBe(5)
        expect(cluster.logTerms('n1')).toEqual(recovered)
      }
    }
  })

  it('A3 ack before fsync: a command that is only in a page cache is not acknowledged', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.isolate('n3')
    cluster.slowDisk('n2')
    cluster.propose('n1', 'x')
    cluster.settle()
    expect(cluster.applied('n1')).toEqual([])
    // n2 loses power and n1 is cut off: the others elect without the entry, whose client got no answer.
    cluster.heal()
    cluster.isolate('n1')
    cluster.restart('n2')
    cluster.fastDisk('n2')
    cluster.elect('n3')
    cluster.propose('n3', 'y')
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['y'])
    cluster.heal()
    cluster.run(3 * timing.electionTicksMax)
    for (const name of ['n1', 'n2', 'n3']) expect(cluster.applied(name)).toEqual(['y'])
  })

  it('A4 a single node does not answer before its own sync', () => {
    const cluster = clusterOf(1)
    cluster.startCampaign('n1')
    cluster.slowDisk('n1')
    cluster.propose('n1', 'x')
    expect(cluster.applied('n1')).toEqual([])
    cluster.persist('n1')
    expect(cluster.applied('n1')).toEqual(['x'])
  })

  it('A5 figure 8: an entry of an earlier term on a majority may still be replaced, so no node applies it', () => {
    // (a), (b): S1 left 2/2 on S1 and S2; S5 left 2/3 on itself only.
    const logs = { n1: [1, 2], n2: [1, 2], n3: [1], n4: [1], n5: [1, 3] }
    const cluster = clusterOf(5, { logs, terms: { n1: 3, n2: 3, n3: 3, n4: 3, n5: 3 } })
    // (c): S1 leads term 4 and gets 2/2 to S3, a majority; its own no-op reaches nobody.
    cluster.isolate('n5')
    cluster.forgetLeaders()
    cluster.startCampaign('n1')
    for (const kind of ['pre-vote-request', 'pre-vote-response', 'vote-request', 'vote-response'] as const) {
      cluster.deliver({ kind })
    }
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 4 })
    cluster.drop()
    cluster.inject(append({ from: 'n1', to: 'n3', term: 4, prev: [1, 1], entries: [entry(2, 2, '2/2')] }))
    cluster.inject(append({ from: 'n1', to: 'n2', term: 4, prev: [1, 1], entries: [entry(2, 2, '2/2')] }))
    cluster.deliver({ kind: 'append-response' })
    expect([1, 2, 3].map((number) => cluster.logTerms(`n${number}`)[1])).toEqual([2, 2, 2])
    for (const node of cluster.up) expect(cluster.applied(node.id)).not.toContain('2/2')
    // (d): S1 is gone; S5 is elected by S3 and S4 and replaces the entry everywhere.
    cluster.crash('n1')
    cluster.drop()
    cluster.heal()
    // Its first attempt tells it of term 4.
    cluster.forgetLeaders()
    cluster.startCampaign('n5')
    cluster.settle()
    cluster.elect('n5')
    cluster.restart('n1')
    cluster.run(2 * timing.electionTicksMax)
    for (const name of ['n1', 'n2', 'n3', 'n4', 'n5']) expect(cluster.logTerms(name).slice(0, 2)).toEqual([1, 3])
  })

  it('A6 a delayed shorter append after a longer one: the acknowledged tail stays', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'a')
    const shorter = cluster.matching({ kind: 'append-request', to: 'n2' })
    cluster.settle()
    cluster.propose('n1', 'b')
    cluster.settle()
    for (const message of shorter) cluster.hand(message)
    cluster.inject(append({ from: 'n1', to: 'n2', term: 1 }))
    expect(cluster.logTerms('n2')).toEqual([1, 1, 1])
    expect(cluster.diskTerms('n2')).toEqual([1, 1, 1])
  })

  it('A7 commit clamp: an empty append commits no further than it proves the logs to agree', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1, 1, 1, 1, 2, 2, 2, 2] }, terms: { n1: 3 } })
    cluster.inject(append({ from: 'n2', to: 'n1', term: 3, prev: [5, 1], commit: 9 }))
    expect(cluster.commitIndex('n1')).toBe(5)
  })

  it('A7 commit clamp: a heartbeat never commits past what the follower has confirmed', () => {
    const cluster = clusterOf(3, { logs: { n1: [1], n2: [1], n3: [1, 2, 2] } })
    cluster.cut('n1', 'n3')
    cluster.forgetLeaders()
    cluster.drop()
    cluster.isolate('n3')
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.settle()
    expect(cluster.commitIndex('n1')).toBe(3)
    cluster.heal()
    cluster.tick('n1', timing.heartbeatTicks)
    expect(cluster.matching({ kind: 'heartbeat-request', to: 'n3' })).toMatchObject([{ commit: 0 }])
    cluster.deliver({ kind: 'heartbeat-request' })
    expect(cluster.commitIndex('n3')).toBe(0)
  })

  it('A8 the completion of an overwritten write does not confirm the entries that replaced its own', () => {
    const cluster = clusterOf(3, { logs: { n1: [1] }, slowDisks: true })
    const node = cluster.node('n1')
    cluster.inject(append({ from: 'n2', to: 'n1', term: 2, prev: [1, 1], entries: [entry(2, 2)] }))
    cluster.inject(append({ from: 'n3', to: 'n1', term: 3, prev: [1, 1], entries: [entry(2, 3)] }))
    cluster.inject(append({ from: 'n2', to: 'n1', term: 4, prev: [1, 1], entries: [entry(2, 2)] }))
    expect(cluster.logTerms('n1')).toEqual([1, 2])
    node.persist()
    expect(node.core.stableIndex).toBe(1)
    expect(cluster.take({ kind: 'append-response', term: 4 })).toEqual([])
    node.persist()
    expect(node.core.stableIndex).toBe(1)
    expect(cluster.take({ kind: 'append-response', term: 4 })).toEqual([])
    node.persist()
    expect(node.core.stableIndex).toBe(2)
    expect(cluster.take({ kind: 'append-response', term: 4 })).toMatchObject([
      { result: { kind: 'accepted', matchIndex: 2 } }
    ])
  })

  it('A9 five voters acknowledge out of order: the commit index is the highest index that three of them hold', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    for (let command = 2; command <= 8; command++) cluster.propose('n1', `c${command}`)
    cluster.drop()
    const ack = (from: string, matchIndex: number): void => {
      cluster.inject({
        kind: 'append-response',
        from,
        to: 'n1',
        term: 1,
        prevIndex: asIndex(1),
        result: { kind: 'accepted', matchIndex: asIndex(matchIndex) }
      })
    }
    const seen: number[] = []
    for (const [from, matchIndex] of [
      ['n5', 8],
      ['n2', 3],
      ['n2', 2],
      ['n3', 5],
      ['n4', 4],
      ['n2', 7],
      ['n3', 1],
      ['n4', 8]
    ] as const) {
      ack(from, matchIndex)
      seen.push(cluster.commitIndex('n1'))
    }
    // n1 itself holds 8, so two more are needed: the second highest of the others.
    expect(seen).toEqual([1, 3, 3, 5, 5, 7, 7, 8])
  })

  it('A10 ReadIndex on a new leader waits for the first commit of its term', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.deliver({ to: 'n2' })
    cluster.deliver({ from: 'n2' })
    expect(cluster.applied('n1')).toEqual(['x'])
    expect(cluster.commitIndex('n2')).toBeLessThan(2)
    // n2 holds the entry but does not know that it is committed.
    cluster.isolate('n1')
    cluster.forgetLeaders()
    cluster.startCampaign('n2')
    for (const kind of ['pre-vote-request', 'pre-vote-response', 'vote-request', 'vote-response'] as const) {
      cluster.deliver({ kind })
    }
    expect(cluster.role('n2')).toBe('leader')
    const context = cluster.read('n2')
    cluster.drop({ kind: 'append-request' })
    cluster.deliver({ kind: 'heartbeat-request' })
    cluster.drop({ kind: 'append-request' })
    cluster.deliver({ kind: 'heartbeat-response' })
    expect(cluster.readResult('n2', context)).toBeUndefined()
    cluster.settle()
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.readResult('n2', context)).toMatchObject({ kind: 'confirmed', index: 3 })
  })

  it('A11 a read retried with the same context: answers to the first round do not confirm the second', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const node = cluster.node('n1')
    node.read([77])
    cluster.deliver({ kind: 'heartbeat-request' })
    const firstAnswers = cluster.take({ kind: 'heartbeat-response' })
    const [answer] = firstAnswers
    if (answer === undefined) throw new Error('no answer')
    cluster.hand(answer)
    expect(cluster.readResult('n1', 77)).toMatchObject({ index: 1 })
    // n1 is cut off without knowing; the others elect n2 and commit.
    cluster.isolate('n1')
    for (const name of ['n2', 'n3']) cluster.tick(name, timing.electionTicksMin)
    cluster.drop()
    cluster.startCampaign('n2')
    cluster.settle()
    cluster.propose('n2', 'newer')
    cluster.settle()
    expect(cluster.applied('n2')).toEqual(['newer'])
    expect(cluster.role('n1')).toBe('leader')
    node.read([77])
    for (const late of firstAnswers) cluster.hand(late)
    expect(cluster.reads.get('n1')?.filter(({ kind }) => kind === 'confirmed')).toHaveLength(1)
    cluster.tick('n1', 2 * timing.electionTicksMin)
    expect(cluster.reads.get('n1')?.at(-1)).toEqual({ kind: 'refused', context: 77, reason: 'leadership-lost' })
  })

  it('A12 a follower asks a partitioned ex-leader to read: it gets no answer', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.isolate('n1', 'n2')
    for (const name of ['n3', 'n4', 'n5']) cluster.tick(name, timing.electionTicksMin)
    cluster.drop()
    cluster.startCampaign('n3')
    cluster.settle()
    cluster.propose('n3', 'newer')
    cluster.settle()
    expect(cluster.applied('n3')).toEqual(['newer'])
    expect(cluster.view('n2').leader).toBe('n1')
    const context = cluster.read('n2')
    cluster.run(3 * timing.electionTicksMax)
    expect(cluster.readResult('n2', context)).toBeUndefined()
  })
})
