import { describe, expect, it } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import type { CoreCluster, PlainMessage } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

const { heartbeatTicks, leaseTicks, electionTicksMin, electionTicksMax } = timing

function asksPreVote (from: string, to: string, term: number, lastIndex = 9, lastTerm = 9): PlainMessage {
  return { kind: 'pre-vote-request', from, to, term, lastIndex: asIndex(lastIndex), lastTerm: asTerm(lastTerm) }
}

function asksVote (from: string, to: string, term: number): PlainMessage {
  return { kind: 'vote-request', from, to, term, lastIndex: asIndex(9), lastTerm: asTerm(9), isTransfer: false }
}

function heartbeat (from: string, to: string, round: number): PlainMessage {
  return { kind: 'heartbeat-request', from, to, term: 1, commit: asIndex(0), round }
}

function refuse (cluster: CoreCluster, peer: string, ...names: readonly string[]): void {
  for (const name of names) cluster.node(name).connectionRefused(id(peer))
}

/** The last heartbeat of the leader has just come to all; then it is gone. */
function ledByGone (size: number): CoreCluster {
  const cluster = clusterOf(size)
  cluster.elect('n1')
  cluster.node('n1').startRound()
  cluster.settle()
  cluster.crash('n1')
  return cluster
}

describe('a leader to which connections are refused', () => {
  it('is replaced as soon as no lease of it can hold any more', () => {
    const cluster = ledByGone(3)
    refuse(cluster, 'n1', 'n2', 'n3')
    cluster.run(leaseTicks - 1)
    expect([cluster.view('n2'), cluster.view('n3')]).toMatchObject([
      { role: 'follower', term: 1, leader: 'n1' }, { role: 'follower', term: 1, leader: 'n1' }
    ])
    cluster.run(1)
    expect(cluster.view('n2')).toMatchObject({ role: 'leader', term: 2 })
  })

  it('is replaced after an election timeout where nobody noticed', () => {
    const cluster = ledByGone(3)
    cluster.run(electionTicksMin - 1)
    expect(cluster.view('n2')).toMatchObject({ role: 'follower', leader: 'n1' })
    cluster.run(2 * electionTicksMax)
    expect([cluster.role('n2'), cluster.role('n3')]).toContain('leader')
  })

  it('is replaced by one node after the other in turn, and votes do not split', () => {
    const cluster = ledByGone(5)
    refuse(cluster, 'n1', 'n2', 'n3', 'n4', 'n5')
    cluster.crash('n2')
    cluster.run(leaseTicks + 1)
    expect(cluster.role('n3')).toBe('follower')
    cluster.run(1)
    expect(cluster.view('n3')).toMatchObject({ role: 'leader', term: 2 })
  })

  it('is replaced at once by a node whose log the first candidate lacks', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.node('n1').startRound()
    cluster.settle()
    cluster.cut('n1', 'n2')
    cluster.propose('n1', 'a')
    cluster.settle()
    cluster.crash('n1')
    refuse(cluster, 'n1', 'n2', 'n3')
    cluster.run(leaseTicks + 1)
    expect(cluster.view('n3')).toMatchObject({ role: 'leader', term: 2 })
  })

  it('costs nothing where it is heard: neither a pre-vote nor a change of role', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const sent: string[] = []
    for (let left = 20 * electionTicksMax; left > 0; left--) {
      refuse(cluster, 'n1', 'n2', 'n3')
      cluster.node('n1').tick()
      cluster.node('n2').tick()
      cluster.node('n3').tick()
      sent.push(...cluster.matching({ kind: ['pre-vote-request', 'vote-request'] }).map(({ kind }) => kind))
      cluster.settle()
    }
    expect(sent).toEqual([])
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
  })

  it('is not deposed by a node that cannot hear it while the others can', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.cut('n1', 'n3')
    for (let left = 20 * electionTicksMax; left > 0; left--) {
      // To all of them, however wrong.
      refuse(cluster, 'n1', 'n2', 'n3')
      cluster.run(1)
    }
    expect(cluster.view('n3')).toMatchObject({ role: 'pre-candidate', term: 1 })
    cluster.heal()
    cluster.run(2 * electionTicksMax)
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
    expect(cluster.view('n3')).toEqual({ role: 'follower', term: 1, leader: 'n1' })
  })

  it('is followed by a pre-vote: a term rises only when a majority would vote', () => {
    const cluster = ledByGone(3)
    cluster.crash('n3')
    refuse(cluster, 'n1', 'n2')
    cluster.run(20 * electionTicksMax)
    expect(cluster.view('n2')).toMatchObject({ role: 'pre-candidate', term: 1 })
  })

  it('gets what a lease relies on: no grant within it, whatever was heard later', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.inject(heartbeat('n1', 'n2', 50))
    cluster.drop()
    refuse(cluster, 'n1', 'n2')
    cluster.tick('n2', leaseTicks - 1)
    cluster.inject(asksPreVote('n3', 'n2', 2))
    expect(cluster.inject(asksVote('n3', 'n2', 2))?.deferred).toEqual([])
    expect(cluster.take({ kind: ['pre-vote-response', 'vote-response'] })).toMatchObject([{ granted: false }])
    cluster.tick('n2')
    cluster.drop()
    cluster.inject(asksPreVote('n3', 'n2', 2))
    expect(cluster.take({ kind: 'pre-vote-response' })).toMatchObject([{ granted: true }])
  })

  it('is no reason for others to vote: where it is not suspected votes are refused for an election timeout', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.inject(heartbeat('n1', 'n2', 50))
    cluster.tick('n2', electionTicksMin - 1)
    cluster.drop()
    cluster.inject(asksPreVote('n3', 'n2', 2))
    expect(cluster.take({ kind: 'pre-vote-response' })).toMatchObject([{ granted: false }])
  })

  it('is suspected until it is heard again, and only if it is the one that was heard last', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.inject(heartbeat('n1', 'n2', 50))
    refuse(cluster, 'n3', 'n2')
    cluster.tick('n2', leaseTicks)
    expect(cluster.role('n2')).toBe('follower')
    refuse(cluster, 'n1', 'n2')
    cluster.inject(heartbeat('n1', 'n2', 51))
    cluster.tick('n2', electionTicksMin - 1)
    expect(cluster.role('n2')).toBe('follower')
  })

  it('keeps the silence that a node owes it after a restart', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.restart('n2')
    refuse(cluster, 'n1', 'n2')
    cluster.tick('n2', electionTicksMin - 1)
    cluster.drop()
    cluster.inject(asksPreVote('n3', 'n2', 2))
    expect(cluster.take({ kind: 'pre-vote-response' })).toMatchObject([{ granted: false }])
  })

  it('keeps its lease against a new configuration whose voters gave it none', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    // n2 answers no heartbeat any more: what the leader counts rests on n3.
    cluster.tick('n2', leaseTicks)
    cluster.configure('n1', { kind: 'remove', id: id('n1') }, { kind: 'remove', id: id('n3') })
    cluster.deliver({ kind: 'append-request' })
    cluster.deliver({ kind: 'append-response' })
    cluster.deliver({ kind: 'append-request', to: 'n2' })
    expect(cluster.members('n2').voters).toEqual(['n2'])
    expect(cluster.members('n2').outgoing).toEqual([])
    expect(cluster.role('n1')).toBe('leader')
    refuse(cluster, 'n1', 'n2')
    cluster.tick('n2', leaseTicks - 1)
    expect(cluster.role('n2')).toBe('follower')
    cluster.tick('n2')
    expect(cluster.role('n2')).toBe('leader')
  })

  it('is asked about every tick at first, since the promises of the others may end a little later', () => {
    const cluster = ledByGone(3)
    refuse(cluster, 'n1', 'n2')
    cluster.tick('n2', leaseTicks)
    const asked = (): number => cluster.take({ kind: 'pre-vote-request', from: 'n2', to: 'n3' }).length
    expect(asked()).toBe(1)
    for (let tick = 1; tick <= heartbeatTicks; tick++) {
      cluster.tick('n2')
      expect(asked()).toBe(1)
    }
    cluster.tick('n2')
    expect(asked()).toBe(0)
  })
})
