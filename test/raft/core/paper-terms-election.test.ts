import { describe, expect, it } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { clusterOf, entry, timing } from '../../support/core-cluster.ts'

function grants (term: number, from: string) {
  return ({ kind: 'vote-response', from, to: 'n1', term, granted: true }) as const
}
function preGrants (term: number, from: string) {
  return ({ kind: 'pre-vote-response', from, to: 'n1', term, granted: true }) as const
}
function votes (from: string, term: number, lastIndex = 0, lastTerm = 0) {
  return {
    kind: 'vote-request',
    from,
    to: 'n1',
    term,
    lastIndex: asIndex(lastIndex),
    lastTerm: asTerm(lastTerm),
    isTransfer: false
  } as const
}
function appends (from: string, term: number, to = 'n1') {
  return {
    kind: 'append-request',
    from,
    to,
    term,
    prevIndex: asIndex(0),
    prevTerm: asTerm(0),
    entries: [],
    commit: asIndex(0)
  } as const
}

describe('paper 5.1: terms', () => {
  it('a follower that sees a higher term adopts it', () => {
    const cluster = clusterOf(3)
    cluster.inject(appends('n2', 4))
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 4, leader: 'n2' })
  })

  it('a candidate that sees a higher term becomes follower', () => {
    const cluster = clusterOf(3)
    cluster.startCampaign('n1')
    cluster.inject(preGrants(1, 'n2'))
    expect(cluster.role('n1')).toBe('candidate')
    cluster.inject({ kind: 'vote-response', from: 'n2', to: 'n1', term: 3, granted: false })
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 3, leader: null })
  })

  it('a leader that sees a higher term in an answer becomes follower', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.inject({ kind: 'heartbeat-response', from: 'n2', to: 'n1', term: 9, round: 0 })
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 9, leader: null })
  })

  it('a request with a stale term is refused, and the answer names the newer term', () => {
    const cluster = clusterOf(3, { terms: { n1: 5 } })
    cluster.inject({ ...appends('n2', 3), entries: [entry(1, 3)] })
    expect(cluster.logTerms('n1')).toEqual([])
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 5, leader: null })
    expect(cluster.take({ from: 'n1', to: 'n2' })).toMatchObject([{ term: 5 }])
  })

  it('a stale heartbeat neither makes a leader nor is confirmed', () => {
    const cluster = clusterOf(3, { terms: { n1: 5 } })
    cluster.inject({ kind: 'heartbeat-request', from: 'n2', to: 'n1', term: 3, commit: asIndex(0), round: 17 })
    expect(cluster.view('n1').leader).toBeNull()
    expect(cluster.take({ from: 'n1' })).toMatchObject([{ kind: 'heartbeat-response', term: 5, round: 0 }])
  })

  it('terms never fall, with any message and after any number of restarts', () => {
    const cluster = clusterOf(3)
    cluster.inject(appends('n2', 7))
    cluster.inject(appends('n3', 2))
    cluster.inject({ kind: 'vote-response', from: 'n3', to: 'n1', term: 1, granted: true })
    cluster.restart('n1')
    expect(cluster.term('n1')).toBe(7)
  })
})

describe('paper 5.2: leader election', () => {
  it('servers start up as followers', () => {
    const cluster = clusterOf(3)
    expect(['n1', 'n2', 'n3'].map((name) => cluster.role(name))).toEqual(['follower', 'follower', 'follower'])
  })

  it('a follower stays one as long as it hears from a leader', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.run(20 * timing.electionTicksMax)
    expect(cluster.view('n2')).toEqual({ role: 'follower', term: 1, leader: 'n1' })
    expect(cluster.view('n1').role).toBe('leader')
  })

  it('a leader sends heartbeats to all followers, every heartbeat interval', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    for (let beat = 0; beat < 3; beat++) {
      cluster.tick('n1', timing.heartbeatTicks)
      expect(cluster.take({ from: 'n1', kind: 'heartbeat-request' }).map(({ to }) => to)).toEqual(['n2', 'n3'])
    }
  })

  it('a follower that hears nothing for an election timeout starts an election: term + 1, a vote for itself, requests to all', () => {
    const cluster = clusterOf(5, { terms: { n1: 3 } })
    cluster.startCampaign('n1')
    cluster.drop()
    cluster.inject(preGrants(4, 'n2'))
    cluster.inject(preGrants(4, 'n3'))
    expect(cluster.view('n1')).toEqual({ role: 'candidate', term: 4, leader: null })
    expect(cluster.node('n1').disk.hardState).toMatchObject({ term: 4, vote: 'n1' })
    expect(cluster.take({ kind: 'vote-request', term: 4 }).map(({ to }) => to)).toEqual(['n2', 'n3', 'n4', 'n5'])
  })

  it('a candidate wins with the votes of a majority, its own among them', () => {
    const cluster = clusterOf(5)
    cluster.startCampaign('n1')
    for (const voter of ['n2', 'n3']) cluster.inject(preGrants(1, voter))
    cluster.inject(grants(1, 'n2'))
    expect(cluster.role('n1')).toBe('candidate')
    cluster.inject(grants(1, 'n3'))
    expect(cluster.role('n1')).toBe('leader')
  })

  it('a vote repeated by one voter counts once', () => {
    const cluster = clusterOf(5)
    cluster.startCampaign('n1')
    for (const voter of ['n2', 'n3']) cluster.inject(preGrants(1, voter))
    for (let times = 0; times < 3; times++) cluster.inject(grants(1, 'n2'))
    expect(cluster.role('n1')).toBe('candidate')
  })

  it('a refusal that comes after a grant of the same voter takes nothing back', () => {
    const cluster = clusterOf(5)
    cluster.startCampaign('n1')
    for (const voter of ['n2', 'n3']) cluster.inject(preGrants(1, voter))
    cluster.inject(grants(1, 'n2'))
    // The answer of a voter in this term to a question of an earlier one.
    cluster.inject({ kind: 'vote-response', from: 'n2', to: 'n1', term: 1, granted: false })
    cluster.inject(grants(1, 'n3'))
    expect(cluster.role('n1')).toBe('leader')
  })

  it('votes for another term do not count', () => {
    const cluster = clusterOf(3, { terms: { n1: 2 } })
    cluster.startCampaign('n1')
    cluster.inject(preGrants(3, 'n2'))
    cluster.inject(grants(2, 'n2'))
    expect(cluster.role('n1')).toBe('candidate')
  })

  it('each server votes for at most one candidate in a term, first come first served', () => {
    const cluster = clusterOf(3)
    cluster.inject(votes('n2', 1))
    cluster.inject(votes('n3', 1))
    expect(cluster.take({ from: 'n1', kind: 'vote-response' })).toMatchObject([
      { to: 'n2', granted: true }, { to: 'n3', granted: false }
    ])
  })

  it('the same candidate gets the same vote again', () => {
    const cluster = clusterOf(3)
    cluster.inject(votes('n2', 1))
    cluster.inject(votes('n2', 1))
    expect(cluster.take({ from: 'n1', kind: 'vote-response' })).toMatchObject([{ granted: true }, { granted: true }])
  })

  it('a candidate that hears from a leader of its term returns to follower', () => {
    const cluster = clusterOf(3)
    cluster.startCampaign('n1')
    cluster.inject(preGrants(1, 'n2'))
    cluster.inject(appends('n3', 1))
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 1, leader: 'n3' })
  })

  it('a candidate ignores a leader of an earlier term and stays candidate', () => {
    const cluster = clusterOf(3, { terms: { n1: 2 } })
    cluster.startCampaign('n1')
    cluster.inject(preGrants(3, 'n2'))
    cluster.inject(appends('n3', 2))
    expect(cluster.view('n1')).toMatchObject({ role: 'candidate', term: 3 })
  })

  it('a candidate with a majority against it gives up the term', () => {
    const cluster = clusterOf(3)
    cluster.startCampaign('n1')
    cluster.inject(preGrants(1, 'n2'))
    for (const from of ['n2', 'n3']) cluster.inject({ kind: 'vote-response', from, to: 'n1', term: 1, granted: false })
    expect(cluster.view('n1')).toEqual({ role: 'follower', term: 1, leader: null })
  })

  it('a split vote elects no leader, and a later election does', () => {
    const cluster = clusterOf(4)
    for (const name of ['n1', 'n2']) cluster.startCampaign(name)
    cluster.deliver({ kind: 'pre-vote-request', from: 'n1', to: 'n3' })
    cluster.deliver({ kind: 'pre-vote-request', from: 'n1', to: 'n4' })
    cluster.deliver({ kind: 'pre-vote-request', from: 'n2' })
    cluster.deliver({ kind: 'pre-vote-response' })
    cluster.drop({ kind: 'pre-vote-request' })
    expect([cluster.role('n1'), cluster.role('n2')]).toEqual(['candidate', 'candidate'])
    cluster.deliver({ kind: 'vote-request', from: 'n1', to: 'n3' })
    cluster.deliver({ kind: 'vote-request', from: 'n2', to: 'n4' })
    cluster.settle()
    expect(cluster.leaders.get(1)).toBeUndefined()
    cluster.runUntil(() => cluster.up.some((node) => node.core.view.role === 'leader'))
    expect([...cluster.leaders.values()].every((leaders) => leaders.size === 1)).toBe(true)
  })

  it('election timeouts are drawn anew each time, within the range', () => {
    const cluster = clusterOf(3)
    cluster.isolate('n1')
    const waits = new Set<number>()
    for (let election = 0; election < 60; election++) {
      let ticks = 0
      // Every new wait of a pre-candidate ends with the view unchanged, so the driver's own hint tells it.
      do { cluster.tick('n1'); ticks++ } while (!cluster.node('n1').core.campaignIsDue && ticks < 100)
      cluster.tick('n1')
      waits.add(ticks + 1)
    }
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(timing.electionTicksMin)
    expect(Math.max(...waits)).toBeLessThanOrEqual(timing.electionTicksMax)
    expect(waits.size).toBeGreaterThan(6)
  })

  it('election safety: a term has one leader at most, with any set of campaigning nodes', () => {
    const cluster = clusterOf(5)
    for (let round = 0; round < 12; round++) {
      const name = `n${round % 5 + 1}`
      cluster.forgetLeaders()
      cluster.startCampaign(name)
      cluster.startCampaign(`n${(round + 2) % 5 + 1}`)
      cluster.settle()
    }
    expect(cluster.leaders.size).toBeGreaterThan(5)
    expect([...cluster.leaders.values()].map((leaders) => leaders.size)).toEqual([...cluster.leaders].map(() => 1))
  })

  it('a sole voter elects itself at the end of its own wait, once its disk has the vote', () => {
    const cluster = clusterOf(1, { slowDisks: true })
    cluster.startCampaign('n1')
    expect(cluster.role('n1')).toBe('candidate')
    cluster.persist('n1')
    expect(cluster.role('n1')).toBe('leader')
  })
})
