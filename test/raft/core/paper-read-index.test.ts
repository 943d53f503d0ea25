import { describe, expect, it } from 'vitest'
import { clusterOf, timing } from '../../support/core-cluster.ts'

describe('dissertation 6.4: ReadIndex', () => {
  it('a read is confirmed by a round that started after it, at the commit index of that moment', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.settle()
    const context = cluster.read('n1')
    expect(cluster.readResult('n1', context)).toBeUndefined()
    cluster.deliver({ kind: 'heartbeat-request', to: 'n2' })
    cluster.deliver({ kind: 'heartbeat-response', from: 'n2' })
    expect(cluster.readResult('n1', context)).toEqual({ kind: 'confirmed', context, index: 2 })
  })

  it('an answer to an earlier round confirms nothing', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.tick('n1', timing.heartbeatTicks)
    const early = cluster.take({ kind: 'heartbeat-request', to: 'n2' })
    const context = cluster.read('n1')
    cluster.drop({ kind: 'heartbeat-request' })
    for (const message of early) cluster.hand(message)
    cluster.deliver({ kind: 'heartbeat-response' })
    expect(cluster.readResult('n1', context)).toBeUndefined()
  })

  it('a read whose round was lost is confirmed by the next heartbeat', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const context = cluster.read('n1')
    cluster.drop()
    cluster.run(timing.heartbeatTicks)
    expect(cluster.readResult('n1', context)).toMatchObject({ kind: 'confirmed' })
  })

  it('reads that come while a round is under way share the next one', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const first = cluster.read('n1')
    const later = [cluster.read('n1'), cluster.read('n1'), cluster.read('n1')]
    expect(cluster.take({ kind: 'heartbeat-request', to: 'n3' })).toHaveLength(1)
    cluster.deliver({ to: 'n2' })
    cluster.deliver({ from: 'n2' })
    expect(cluster.readResult('n1', first)).toMatchObject({ kind: 'confirmed' })
    expect(later.map((context) => cluster.readResult('n1', context))).toEqual([undefined, undefined, undefined])
    expect(cluster.take({ kind: 'heartbeat-request', to: 'n3' })).toHaveLength(1)
    cluster.deliver({ to: 'n2' })
    cluster.deliver({ from: 'n2' })
    expect(later.map((context) => cluster.readResult('n1', context)?.kind)).toEqual([
      'confirmed',
      'confirmed',
      'confirmed'
    ])
  })

  it('a follower asks the leader, and its read index is at least the commit index at that moment', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.propose('n1', 'x')
    cluster.deliver({ to: 'n2' })
    cluster.deliver({ from: 'n2' })
    expect(cluster.commitIndex('n1')).toBe(2)
    expect(cluster.commitIndex('n3')).toBe(0)
    const context = cluster.read('n3')
    cluster.settle()
    expect(cluster.readResult('n3', context)).toEqual({ kind: 'confirmed', context, index: 2 })
  })

  it('without a leader a read is refused', () => {
    const cluster = clusterOf(3)
    const context = cluster.read('n1')
    expect(cluster.readResult('n1', context)).toEqual({ kind: 'refused', context, reason: 'no-leader' })
  })

  it('a leader refuses reads past its limit', () => {
    const cluster = clusterOf(3, { limits: { maxPendingReads: 2 } })
    cluster.elect('n1')
    const contexts = [cluster.read('n1'), cluster.read('n1'), cluster.read('n1')]
    expect(cluster.readResult('n1', contexts[2] ?? 0)).toMatchObject({ kind: 'refused', reason: 'busy' })
    cluster.settle()
    expect(contexts.slice(0, 2).map((context) => cluster.readResult('n1', context)?.kind)).toEqual([
      'confirmed',
      'confirmed'
    ])
  })

  it('a sole voter confirms its reads by itself', () => {
    const cluster = clusterOf(1)
    cluster.startCampaign('n1')
    const context = cluster.read('n1')
    expect(cluster.readResult('n1', context)).toEqual({ kind: 'confirmed', context, index: 1 })
  })

  it('a late answer to a heartbeat of an earlier term of the same leader confirms no round of its new term', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    for (let round = 0; round < 10; round++) cluster.tick('n1', timing.heartbeatTicks)
    // The newest heartbeat of term 1 to n3 stays on its way; everything else of that term is gone.
    const late = cluster.take({ kind: 'heartbeat-request', to: 'n3' }).at(-1)
    cluster.settle()
    cluster.elect('n2')
    cluster.elect('n1')
    expect(cluster.view('n1')).toMatchObject({ role: 'leader', term: 3 })
    // n3 knows of term 3, answers the heartbeat of term 1, and the answer takes its time.
    if (late === undefined) throw new Error('no heartbeat')
    cluster.hand(late)
    const answers = cluster.take({ from: 'n3', to: 'n1' })
    // Now n1 is cut off, and the others go on without it.
    cluster.isolate('n1')
    cluster.node('n2')
    for (const name of ['n2', 'n3']) cluster.tick(name, timing.electionTicksMin)
    cluster.drop()
    cluster.startCampaign('n2')
    cluster.settle()
    cluster.propose('n2', 'newer')
    cluster.settle()
    expect(cluster.applied('n2')).toEqual(['newer'])
    const context = cluster.read('n1')
    for (let round = 0; round < 3; round++) cluster.tick('n1', timing.heartbeatTicks)
    for (const answer of answers) cluster.hand(answer)
    expect(cluster.readResult('n1', context)?.kind).not.toBe('confirmed')
    expect(cluster.violations).toEqual([])
  })
})
