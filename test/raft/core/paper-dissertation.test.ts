import { describe, expect, it } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import type { PlainMessage } from '../../support/core-cluster.ts'
import { clusterOf, timing } from '../../support/core-cluster.ts'

function asksPreVote (from: string, to: string, term: number, lastIndex = 9, lastTerm = 9): PlainMessage {
  return { kind: 'pre-vote-request', from, to, term, lastIndex: asIndex(lastIndex), lastTerm: asTerm(lastTerm) }
}

function asksVote (from: string, to: string, term: number): PlainMessage {
  return { kind: 'vote-request', from, to, term, lastIndex: asIndex(9), lastTerm: asTerm(9), isTransfer: false }
}

describe('dissertation 9.6: pre-vote', () => {
  it('a node that is cut off does not raise its term, and does not disturb when it returns', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.isolate('n3')
    cluster.run(30 * timing.electionTicksMax)
    expect(cluster.view('n3')).toMatchObject({ role: 'pre-candidate', term: 1 })
    cluster.heal()
    cluster.run(2 * timing.electionTicksMax)
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
    expect(cluster.view('n3')).toEqual({ role: 'follower', term: 1, leader: 'n1' })
  })

  it('a grant needs an up-to-date log, a later term, and no contact with a leader', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 1] } })
    cluster.forgetLeaders()
    cluster.drop()
    cluster.inject(asksPreVote('n2', 'n1', 2, 1, 1))
    cluster.inject(asksPreVote('n2', 'n1', 1, 2, 1))
    cluster.inject(asksPreVote('n2', 'n1', 2, 2, 1))
    cluster.inject({ kind: 'heartbeat-request', from: 'n3', to: 'n1', term: 1, commit: asIndex(0), round: 1 })
    cluster.inject(asksPreVote('n2', 'n1', 2, 2, 1))
    expect(cluster.take({ kind: 'pre-vote-response' })).toMatchObject([
      { granted: false }, { granted: false }, { granted: true, term: 2 }, { granted: false }
    ])
  })

  it('A22 granting a pre-vote changes nothing: no term, no vote, no timer, nothing to write', () => {
    const cluster = clusterOf(3)
    let due = 0
    while (!cluster.node('n1').core.campaignIsDue) {
      cluster.tick('n1')
      const output = cluster.inject(asksPreVote('n2', 'n1', 5))
      expect(output?.write).toBeNull()
      due++
    }
    expect(due).toBeLessThan(timing.electionTicksMax)
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 0, leader: null })
    const granted = cluster.take({ kind: 'pre-vote-response', to: 'n2' })
    expect(granted.every((message) => message.kind === 'pre-vote-response' && message.granted)).toBe(true)
    cluster.inject(asksPreVote('n3', 'n1', 5))
    expect(cluster.take({ kind: 'pre-vote-response', to: 'n3' })).toMatchObject([{ granted: true }])
  })

  it('a pre-candidate whose term is behind adopts the term of a refusal', () => {
    const cluster = clusterOf(3, { terms: { n1: 2, n2: 7, n3: 7 } })
    cluster.startCampaign('n1')
    cluster.deliver({ kind: 'pre-vote-request', to: 'n2' })
    cluster.deliver({ kind: 'pre-vote-response' })
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 7, leader: null })
  })

  it('grants for another term do not count', () => {
    const cluster = clusterOf(3, { terms: { n1: 2 } })
    cluster.startCampaign('n1')
    for (const from of ['n2', 'n3']) {
      cluster.inject({ kind: 'pre-vote-response', from, to: 'n1', term: 9, granted: true })
    }
    expect(cluster.view('n1')).toMatchObject({ role: 'pre-candidate', term: 2 })
  })

  it('questions are repeated within one election timeout to the voters that have not granted', () => {
    const cluster = clusterOf(5)
    cluster.startCampaign('n1')
    cluster.drop()
    cluster.inject({ kind: 'pre-vote-response', from: 'n2', to: 'n1', term: 1, granted: true })
    cluster.inject({ kind: 'pre-vote-response', from: 'n3', to: 'n1', term: 0, granted: false })
    cluster.tick('n1', timing.heartbeatTicks)
    expect(cluster.take({ kind: 'pre-vote-request' }).map(({ to }) => to)).toEqual(['n3', 'n4', 'n5'])
  })

  it('a refusal that turns into a grant counts as a grant', () => {
    const cluster = clusterOf(3)
    cluster.startCampaign('n1')
    cluster.inject({ kind: 'pre-vote-response', from: 'n2', to: 'n1', term: 0, granted: false })
    cluster.inject({ kind: 'pre-vote-response', from: 'n2', to: 'n1', term: 1, granted: true })
    expect(cluster.role('n1')).toBe('candidate')
  })
})

describe('dissertation 4.2.3 and 6.2: contact and check-quorum', () => {
  it('a node that hears from a leader ignores vote requests, whatever their term', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.run(1)
    const output = cluster.inject(asksVote('n3', 'n2', 50))
    expect(output?.messages.concat(output.deferred)).toEqual([])
    expect(cluster.view('n2')).toEqual({ role: 'follower', term: 1, leader: 'n1' })
  })

  it('a leader ignores vote requests of higher terms', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.inject(asksVote('n3', 'n1', 50))
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
  })

  it('the refusal lasts exactly the minimum election timeout after the last contact', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.tick('n2', timing.electionTicksMin - 1)
    cluster.inject(asksVote('n3', 'n2', 2))
    expect(cluster.take({ from: 'n2', kind: 'vote-response' })).toEqual([])
    cluster.tick('n2')
    cluster.inject(asksVote('n3', 'n2', 2))
    expect(cluster.take({ from: 'n2', kind: 'vote-response' })).toMatchObject([{ granted: true }])
  })

  it('the refusal lasts as long after a restart', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.restart('n2')
    cluster.tick('n2', timing.electionTicksMin - 1)
    cluster.inject(asksVote('n3', 'n2', 2))
    expect(cluster.take({ from: 'n2', kind: 'vote-response' })).toEqual([])
    cluster.tick('n2')
    cluster.inject(asksVote('n3', 'n2', 2))
    expect(cluster.take({ from: 'n2', kind: 'vote-response' })).toMatchObject([{ granted: true }])
  })

  it('a node without a term on its disk answers its first heartbeat only after that term is durable', () => {
    const cluster = clusterOf(3)
    cluster.slowDisk('n1')
    cluster.inject({ kind: 'heartbeat-request', from: 'n2', to: 'n1', term: 1, commit: asIndex(0), round: 1 })
    expect(cluster.take({ from: 'n1' })).toEqual([])
    cluster.restart('n1')
    // It may vote at once after this restart, so no leader may rely on its silence.
    cluster.inject(asksVote('n3', 'n1', 2))
    cluster.inject({ kind: 'heartbeat-request', from: 'n2', to: 'n1', term: 2, commit: asIndex(0), round: 1 })
    cluster.persist('n1')
    expect(cluster.take({ from: 'n1' })).toMatchObject([
      { kind: 'vote-response' },
      { kind: 'heartbeat-response', round: 1 }
    ])
  })

  it('a node that is told to campaign while in contact with a leader keeps its promise of silence', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.node('n2').campaign()
    expect(cluster.view('n2')).toEqual({ role: 'follower', term: 1, leader: 'n1' })
    cluster.forgetLeaders()
    cluster.drop()
    if (cluster.role('n2') === 'follower') cluster.node('n2').campaign()
    expect(cluster.role('n2')).toBe('pre-candidate')
  })

  it('a leader that hears from no majority for an election timeout steps down', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.isolate('n1', 'n2')
    cluster.run(2 * timing.electionTicksMin)
    expect(cluster.view('n1')).toMatchObject({ role: 'follower', term: 1 })
  })

  it('a leader that hears from a majority keeps leading, although other nodes are gone', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.isolate('n4')
    cluster.isolate('n5')
    cluster.run(10 * timing.electionTicksMax)
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
  })

  it('a leader whose messages arrive but that receives none steps down', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    for (const other of ['n2', 'n3']) cluster.cutOneWay(other, 'n1')
    cluster.runUntil(
      () => cluster.role('n2') === 'leader' || cluster.role('n3') === 'leader',
      5 * timing.electionTicksMax
    )
    expect(cluster.role('n1')).not.toBe('leader')
  })

  it('a leader that is told to step down does not lead again in this term', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const context = cluster.read('n1')
    cluster.node('n1').stepDown()
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 1, leader: null })
    expect(cluster.readResult('n1', context)).toMatchObject({ kind: 'refused', reason: 'leadership-lost' })
    expect(cluster.propose('n1', 'x')).toEqual({ kind: 'refused', reason: 'not-leader' })
  })
})
