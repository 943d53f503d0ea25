import { describe, expect, it } from 'vitest'
import { asIndex, asTerm } from '../../../src/raft/core/index.ts'
import { clusterOf, timing } from '../../support/core-cluster.ts'

/** Whether n1, whose log is given, votes for a candidate whose log ends there. */
function wouldVote (log: readonly number[], lastIndex: number, lastTerm: number): boolean {
  const cluster = clusterOf(3, { logs: { n1: log } })
  cluster.forgetLeaders()
  cluster.drop()
  cluster.inject({
    kind: 'vote-request',
    from: 'n2',
    to: 'n1',
    term: 9,
    lastIndex: asIndex(lastIndex),
    lastTerm: asTerm(lastTerm),
    isTransfer: false
  })
  const [answer] = cluster.take({ kind: 'vote-response' })
  return answer?.kind === 'vote-response' && answer.granted
}

describe('paper 5.4.1: election restriction', () => {
  it.each([
    ['the same log', [1, 1, 2], 3, 2, true],
    ['a longer log of the same last term', [1, 1, 2], 4, 2, true],
    ['a shorter log of the same last term', [1, 1, 2], 2, 2, false],
    ['a shorter log of a later last term', [1, 1, 2], 1, 3, true],
    ['a longer log of an earlier last term', [1, 1, 2], 9, 1, false],
    ['an empty log, to a voter with entries', [1], 0, 0, false],
    ['an empty log, to a voter with none', [], 0, 0, true]
  ] as const)('a candidate with %s', (_name, log, lastIndex, lastTerm, expected) => {
    expect(wouldVote(log, lastIndex, lastTerm)).toBe(expected)
  })

  it('leader completeness: only a node that holds all committed entries can win', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    cluster.isolate('n4', 'n5')
    cluster.propose('n1', 'x')
    cluster.settle()
    expect(cluster.applied('n1')).toEqual(['x'])
    cluster.isolate('n1')
    cluster.heal()
    cluster.isolate('n1')
    for (const name of ['n4', 'n5', 'n4']) {
      cluster.forgetLeaders()
      cluster.startCampaign(name)
      cluster.settle()
      expect(cluster.role(name)).not.toBe('leader')
    }
    cluster.elect('n2')
    cluster.run(timing.heartbeatTicks * 3)
    expect(cluster.applied('n5')).toEqual(['x'])
  })
})

describe('paper 5.4.2: committing entries from previous terms', () => {
  it('a majority that holds an entry of an earlier term does not commit it', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 2], n2: [1, 2], n3: [1] } })
    cluster.forgetLeaders()
    cluster.startCampaign('n1')
    cluster.deliver({ kind: 'pre-vote-request' })
    cluster.deliver({ kind: 'pre-vote-response' })
    cluster.deliver({ kind: 'vote-request' })
    cluster.deliver({ kind: 'vote-response' })
    expect(cluster.role('n1')).toBe('leader')
    cluster.drop()
    cluster.inject({
      kind: 'append-response',
      from: 'n2',
      to: 'n1',
      term: 3,
      prevIndex: asIndex(1),
      result: { kind: 'accepted', matchIndex: asIndex(2) }
    })
    cluster.inject({
      kind: 'append-response',
      from: 'n3',
      to: 'n1',
      term: 3,
      prevIndex: asIndex(1),
      result: { kind: 'accepted', matchIndex: asIndex(2) }
    })
    expect(cluster.commitIndex('n1')).toBe(0)
  })

  it('an entry of the own term commits the earlier ones with it', () => {
    const cluster = clusterOf(3, { logs: { n1: [1, 2], n2: [1, 2], n3: [1] } })
    cluster.elect('n1')
    expect(cluster.logTerms('n1')).toEqual([1, 2, 3])
    expect(cluster.commitIndex('n1')).toBe(3)
  })

  it('a new leader appends an entry of its own term at once', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    expect(cluster.node('n1').log).toMatchObject([{ index: 1, term: 1, kind: 'noop' }])
    expect(cluster.node('n1').core.leadershipIndex).toBe(1)
  })
})

describe('paper 5.5: follower and candidate crashes', () => {
  it('a leader goes on without a crashed follower, and brings it up to date when it restarts', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.crash('n3')
    for (const command of ['a', 'b']) cluster.propose('n1', command)
    cluster.run(timing.electionTicksMax)
    expect(cluster.applied('n1')).toEqual(['a', 'b'])
    cluster.restart('n3')
    cluster.run(timing.electionTicksMin)
    expect(cluster.applied('n3')).toEqual(['a', 'b'])
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 1 })
  })

  it('an append repeated after the answer was lost changes nothing', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.duplicate({ to: 'n2', kind: 'append-request' })
    cluster.drop({ from: 'n2' })
    const before = [...cluster.node('n2').log]
    cluster.deliver({ to: 'n2', kind: 'append-request' })
    expect(cluster.node('n2').log).toEqual(before)
    expect(cluster.outputs.get('n2')?.write).toBeNull()
    cluster.settle()
    expect(cluster.applied('n1')).toEqual(['x'])
  })

  it('a vote request repeated after the voter crashed gets the same vote', () => {
    const cluster = clusterOf(3)
    const request = {
      kind: 'vote-request',
      from: 'n2',
      to: 'n1',
      term: 1,
      lastIndex: asIndex(0),
      lastTerm: asTerm(0),
      isTransfer: false
    } as const
    cluster.inject(request)
    cluster.drop()
    cluster.restart('n1')
    cluster.tick('n1', timing.electionTicksMin)
    cluster.drop()
    cluster.inject({ ...request, from: 'n3' })
    cluster.inject(request)
    expect(cluster.take({ kind: 'vote-response' })).toMatchObject([
      { to: 'n3', granted: false },
      { to: 'n2', granted: true }
    ])
  })

  it('a candidate that crashes is replaced by another', () => {
    const cluster = clusterOf(3)
    cluster.startCampaign('n1')
    cluster.deliver({ kind: 'pre-vote-request' })
    cluster.deliver({ kind: 'pre-vote-response' })
    cluster.deliver({ kind: 'vote-request' })
    cluster.crash('n1')
    cluster.drop()
    cluster.elect('n2')
    expect(cluster.view('n2')).toMatchObject({ role: 'leader', term: 2 })
  })

  it('a leader that restarts in its term gets answers for entries it has lost: it accepts that, and gets them back', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.slowDisk('n1')
    cluster.propose('n1', 'x')
    cluster.deliver({ kind: 'append-request' })
    cluster.restart('n1')
    cluster.fastDisk('n1')
    expect(cluster.logTerms('n1')).toEqual([1])
    cluster.settle()
    expect(cluster.violations).toEqual([])
    cluster.elect('n2')
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.applied('n1')).toEqual(['x'])
  })

  it('a node restarts with the log, term and vote of its disk, and applies again from the start', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.run(2 * timing.heartbeatTicks)
    cluster.restart('n2')
    expect(cluster.logTerms('n2')).toEqual([1, 1])
    expect(cluster.term('n2')).toBe(1)
    cluster.run(timing.electionTicksMax)
    expect(cluster.applied('n2')).toEqual(['x'])
  })

  it('all nodes crash at once: every acknowledged command is there when they are back', () => {
    const cluster = clusterOf(5)
    cluster.elect('n1')
    for (const command of ['a', 'b', 'c']) cluster.propose('n1', command)
    cluster.settle()
    expect(cluster.applied('n1')).toEqual(['a', 'b', 'c'])
    for (const node of cluster.up) node.crash()
    cluster.drop()
    for (const name of ['n1', 'n2', 'n3', 'n4', 'n5']) cluster.restart(name)
    cluster.runUntil(() => cluster.up.every((node) => node.applied.length >= 5))
    for (const node of cluster.up) expect(cluster.applied(node.id)).toEqual(['a', 'b', 'c'])
  })
})

describe('paper 5.6: timing and availability', () => {
  it('safety does not depend on timing: a clock that runs too fast makes no second leader and loses no entry', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.settle()
    for (let turn = 0; turn < 50; turn++) {
      cluster.tick('n3', timing.electionTicksMax * 3)
      cluster.settle()
    }
    expect([...cluster.leaders.values()].every((leaders) => leaders.size === 1)).toBe(true)
    cluster.run(4 * timing.electionTicksMax)
    for (const name of ['n1', 'n2', 'n3']) expect(cluster.applied(name)).toEqual(['x'])
  })

  it('a stable majority elects a leader within a few election timeouts and keeps it', () => {
    const cluster = clusterOf(5)
    cluster.isolate('n4')
    cluster.isolate('n5')
    cluster.runUntil(() => cluster.up.some((node) => node.core.view.role === 'leader'), 5 * timing.electionTicksMax)
    const terms = cluster.leaders.size
    cluster.run(20 * timing.electionTicksMax)
    expect(cluster.leaders.size).toBe(terms)
  })

  it('when the leader dies the others have a new one within a few election timeouts', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.crash('n1')
    cluster.drop()
    cluster.runUntil(() => cluster.up.some((node) => node.core.view.role === 'leader'), 4 * timing.electionTicksMax)
    expect(cluster.up.filter((node) => node.core.view.role === 'leader')).toHaveLength(1)
  })
})
