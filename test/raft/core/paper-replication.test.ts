import { describe, expect, it } from 'vitest'
import type { Entry } from '../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import type { PlainMessage } from '../../support/core-cluster.ts'
import { clusterOf, entry, timing } from '../../support/core-cluster.ts'
import { entriesOf } from '../../support/core-node.ts'

function append (
  term: number,
  prevIndex: number,
  prevTerm: number,
  entries: readonly Entry[] = [],
  commit = 0
): PlainMessage {
  return {
    kind: 'append-request',
    from: 'n2',
    to: 'n1',
    term,
    prevIndex: asIndex(prevIndex),
    prevTerm: asTerm(prevTerm),
    entries,
    commit: asIndex(commit)
  }
}

describe('paper 5.3: log replication', () => {
  it('a leader appends a command to its log and sends it to all others', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const proposed = cluster.propose('n1', 'x')
    expect(proposed).toEqual({ kind: 'appended', term: 1, firstIndex: 2, count: 1 })
    expect(cluster.matching({ kind: 'append-request' })).toMatchObject([
      { to: 'n2', prevIndex: 1, prevTerm: 1, entries: [{ index: 2, term: 1 }] },
      { to: 'n3', prevIndex: 1, prevTerm: 1, entries: [{ index: 2, term: 1 }] }
    ])
  })

  it('only a leader takes commands', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    expect(cluster.propose('n2', 'x')).toEqual({ kind: 'refused', reason: 'not-leader' })
    expect(cluster.logTerms('n2')).toEqual([1])
  })

  it('an entry is committed once a majority holds it, and applied then', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.drop({ to: 'n4' })
    cluster.drop({ to: 'n5' })
    cluster.deliver({ to: 'n2' })
    cluster.deliver({ from: 'n2' })
    expect(cluster.applied('n1')).toEqual([])
    cluster.deliver({ to: 'n3' })
    cluster.deliver({ from: 'n3' })
    expect(cluster.applied('n1')).toEqual(['x'])
  })

  it('committing an entry commits all before it', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'a')
    cluster.propose('n1', 'b')
    cluster.propose('n1', 'c')
    const last = cluster.take({ kind: 'append-request', to: 'n2' })
    for (const message of last) cluster.hand(message)
    const answers = cluster.take({ from: 'n2', kind: 'append-response' })
    cluster.drop()
    const newest = answers.at(-1)
    if (newest !== undefined) cluster.hand(newest)
    expect(cluster.applied('n1')).toEqual(['a', 'b', 'c'])
  })

  it('followers learn of a commit and apply in log order, each entry once', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    for (const command of ['a', 'b', 'c', 'd']) cluster.propose('n1', command)
    cluster.settle()
    cluster.run(3 * timing.heartbeatTicks)
    expect(['n1', 'n2', 'n3'].map((name) => cluster.applied(name))).toEqual([
      ['a', 'b', 'c', 'd'],
      ['a', 'b', 'c', 'd'],
      ['a', 'b', 'c', 'd']
    ])
  })

  it('a leader repeats an append until all followers have the entry, also after it has answered the client', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.cut('n1', 'n3')
    cluster.propose('n1', 'x')
    cluster.settle()
    expect(cluster.applied('n1')).toEqual(['x'])
    expect(cluster.logTerms('n3')).toEqual([1])
    cluster.heal()
    cluster.run(4 * timing.heartbeatTicks)
    expect(cluster.applied('n3')).toEqual(['x'])
  })

  it('consistency check: a follower refuses entries whose predecessor it does not hold', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1] } })
    cluster.inject(append(1, 4, 1, [entry(5, 1)]))
    expect(cluster.logTerms('n1')).toEqual([1, 1])
    expect(cluster.take({ from: 'n1' })).toMatchObject([
      { kind: 'append-response', prevIndex: 4, result: { kind: 'rejected' } }
    ])
  })

  it('consistency check: a follower refuses entries whose predecessor has another term', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1, 2] } })
    cluster.inject(append(3, 3, 3, [entry(4, 3)]))
    expect(cluster.logTerms('n1')).toEqual([1, 1, 2])
    expect(cluster.take({ from: 'n1' })).toMatchObject([{ result: { kind: 'rejected' } }])
  })

  it('entries that contradict the leader are removed, with all entries behind them', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 2, 2, 2] } })
    cluster.inject(append(3, 1, 1, [entry(2, 3)]))
    expect(cluster.logTerms('n1')).toEqual([1, 3])
    expect(cluster.diskTerms('n1')).toEqual([1, 3])
  })

  it('entries that agree with the leader stay, with all entries behind them', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1, 2, 2] } })
    cluster.inject(append(2, 1, 1, [entry(2, 1, '2/1')]))
    expect(cluster.logTerms('n1')).toEqual([1, 1, 2, 2])
  })

  it('a follower appends only what it lacks', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1] } })
    const output = cluster.inject(append(1, 1, 1, [entry(2, 1, '2/1'), entry(3, 1)]))
    expect(output === null ? null : entriesOf(output).map(({ index }) => index)).toEqual([3])
    expect(cluster.logTerms('n1')).toEqual([1, 1, 1])
  })

  it('a leader never overwrites or removes an entry of its own log', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.inject({ ...append(1, 1, 1, [entry(2, 1, 'forged')]) })
    expect(cluster.violations).toEqual(['n1: a second leader in the term of this leader'])
    expect(cluster.node('n1').log.at(-1)).toMatchObject({ data: new TextEncoder().encode('x') })
  })

  it('a refusal carries a hint with index and term, and the leader skips a whole conflicting term at once', () => {
    const cluster = clusterOf(3, {
      logs: {
        n1: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        n2: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
        n3: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
      },
      terms: { n1: 6, n2: 6, n3: 6 }
    })
    cluster.cut('n1', 'n2')
    cluster.elect('n1')
    cluster.heal()
    let refusals = 0
    for (let step = 0; step < 60 && cluster.logTerms('n2').at(-1) !== 7; step++) {
      for (const name of ['n1', 'n2', 'n3']) cluster.tick(name)
      refusals += cluster
        .matching({ from: 'n2', kind: 'append-response' })
        .filter((message) => message.kind === 'append-response' && message.result.kind === 'rejected').length
      cluster.deliver()
    }
    expect(cluster.logTerms('n2')).toEqual([1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7])
    // Terms 2 and 3 differ from the leader's: at most one question for each term, not one for each of eight entries.
    expect(refusals).toBeLessThanOrEqual(3)
  })

  it('paper figure 7: a new leader brings every kind of differing follower to its own log', () => {
    const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    const logs = {
      n1: leader,
      n2: [1, 1, 1, 4, 4, 5, 5, 6, 6],
      n3: [1, 1, 1, 4],
      n4: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
      n5: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
      n6: [1, 1, 1, 4, 4, 4, 4],
      n7: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]
    }
    const cluster = clusterOf(7, { logs, terms: { n1: 7, n2: 7, n3: 7, n6: 7 } })
    cluster.elect('n1')
    cluster.run(timing.electionTicksMin * 2)
    for (const name of Object.keys(logs)) expect(cluster.logTerms(name), name).toEqual([...leader, 8])
  })

  it('log matching: the same index and term means the same command, and the same entries before it', () => {
    const cluster = clusterOf(3, {
      logs: { n1: [1, 1, 3], n2: [1, 2, 2, 2], n3: [1, 1] },
      terms: { n1: 3, n2: 3, n3: 3 }
    })
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.run(timing.electionTicksMin)
    for (const name of ['n2', 'n3']) expect(cluster.node(name).log).toEqual(cluster.node('n1').log)
  })

  it('appends to a follower that answers slowly stop at the limit for unanswered ones', () => {
    const cluster = clusterOf(3, { limits: { maxInFlightAppends: 3, maxEntriesPerAppend: 1 } })
    cluster.elect('n1')
    for (let command = 0; command < 10; command++) cluster.propose('n1', `c${command}`)
    expect(cluster.matching({ kind: 'append-request', to: 'n2' })).toHaveLength(3)
    cluster.settle()
    expect(cluster.applied('n1')).toHaveLength(10)
  })

  it('a peer that cannot be reached while it is probed does not get the whole log when it comes back', () => {
    const terms = Array.from({ length: 50 }, () => 1)
    const cluster = clusterOf(3, { logs: { n1: terms, n2: terms, n3: terms }, limits: { maxEntriesPerAppend: 10 } })
    cluster.cut('n1', 'n3')
    cluster.elect('n1')
    cluster.node('n1').unreachable(cluster.node('n3').id)
    cluster.heal()
    cluster.tick('n1', timing.heartbeatTicks)
    cluster.deliver({ kind: 'heartbeat-request' })
    cluster.deliver({ kind: 'heartbeat-response' })
    const sent = cluster.matching({ kind: 'append-request', to: 'n3' })
    expect(sent).toMatchObject([{ prevIndex: 50, entries: [{ index: 51 }] }])
  })

  it('commands past the limit for uncommitted bytes are refused as a whole, inherited entries included', () => {
    const logs = { n1: [1, 1, 1], n2: [1], n3: [1] }
    const cluster = clusterOf(3, { logs, limits: { maxUncommittedBytes: 12 } })
    cluster.elect('n1')
    expect(cluster.commitIndex('n1')).toBe(4)
    cluster.isolate('n1')
    expect(cluster.propose('n1', '0123456789')).toMatchObject({ kind: 'appended' })
    expect(cluster.propose('n1', 'abc')).toEqual({ kind: 'refused', reason: 'busy' })
    expect(cluster.logTerms('n1')).toHaveLength(5)
    cluster.heal()
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.propose('n1', 'abc')).toMatchObject({ kind: 'appended' })
  })

  it('log time never falls, even when the clock of a later leader is behind', () => {
    const cluster = clusterOf(3)
    cluster.wallMs = 5_000
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.settle()
    cluster.wallMs = 1_000
    cluster.elect('n2')
    cluster.propose('n2', 'y')
    cluster.settle()
    expect(cluster.node('n2').log.map(({ timeMs }) => timeMs)).toEqual([5_000, 5_000, 5_000, 5_000])
  })
})
