import { describe, expect, it } from 'vitest'
import { maxTermsAhead } from '../../../src/raft/core/validation.ts'
import type { PlainMessage } from '../../support/core-cluster.ts'
import { CoreCluster } from '../../support/core-cluster.ts'

/** The highest number that a message can carry. */
const highest = 2 ** 48

/** Three nodes with two entries; n1 leads in term 1. */
function led (): CoreCluster {
  const cluster = new CoreCluster(['n1', 'n2', 'n3'])
  cluster.elect('n1')
  cluster.propose('n1', 'a')
  cluster.settle()
  return cluster
}

const bodies = [
  { kind: 'pre-vote-request', lastIndex: highest, lastTerm: highest },
  { kind: 'pre-vote-response', granted: true },
  { kind: 'vote-request', lastIndex: highest, lastTerm: highest, isTransfer: true },
  { kind: 'vote-response', granted: true },
  { kind: 'append-request', prevIndex: highest, prevTerm: 1, commit: highest, entries: [] },
  { kind: 'append-response', prevIndex: highest, result: { kind: 'accepted', matchIndex: highest } },
  { kind: 'heartbeat-request', commit: 1, round: highest },
  { kind: 'heartbeat-response', round: highest },
  { kind: 'read-request', context: highest },
  { kind: 'read-response', context: highest, index: highest },
  { kind: 'timeout-now' }
] as const

describe('absurd numbers', () => {
  it.each(bodies)('a $kind of a term that no election reached changes nothing', (body) => {
    const cluster = led()
    const before = ['n1', 'n2', 'n3'].map((name) => cluster.view(name))
    for (const to of ['n1', 'n3']) {
      cluster.inject({ from: 'n2', to, term: 2 + maxTermsAhead, ...body } as unknown as PlainMessage)
    }
    expect(['n1', 'n2', 'n3'].map((name) => cluster.view(name))).toEqual(before)
    expect(cluster.violations).toEqual(['n1: a term absurdly far ahead', 'n3: a term absurdly far ahead'])
  })

  it.each([
    { ...bodies[4], entries: [] },
    { ...bodies[6], commit: highest }
  ])('a $kind of the leader with an absurd index commits nothing', (body) => {
    const cluster = led()
    const commits = cluster.commitIndex('n3')
    cluster.inject({ from: 'n1', to: 'n3', term: 1, ...body } as unknown as PlainMessage)
    expect([cluster.commitIndex('n3'), cluster.logTerms('n3')]).toEqual([commits, cluster.logTerms('n1')])
  })

  it.each([bodies[5], bodies[7]])('a $kind with an absurd number does not count on the leader', (body) => {
    const cluster = led()
    const commits = cluster.commitIndex('n1')
    cluster.inject({ from: 'n3', to: 'n1', term: 1, ...body } as unknown as PlainMessage)
    expect([cluster.commitIndex('n1'), cluster.role('n1'), cluster.violations.length]).toEqual([commits, 'leader', 1])
  })
})
