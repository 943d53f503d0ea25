import { describe, expect, it } from 'vitest'
import { createGrant } from '../../../src/plugin/primitives/grant.ts'
import { startTestCluster } from './support/primitives.ts'

function leadershipOf (engine: { currentLeadership: () => { token: number, term: number } | null }) {
  const leadership = engine.currentLeadership()
  if (leadership === null) throw new Error('not leading')
  return leadership
}

describe('grant', () => {
  it('carries token and term, and holds while this node leads', () => {
    const { engine } = startTestCluster().node(0)
    const { grant } = createGrant(engine, leadershipOf(engine))
    expect(grant).toMatchObject({ token: '1', term: 1 })
    grant.check()
    expect(grant.signal.aborted).toBe(false)
  })

  it('aborts and throws when the leadership is lost', () => {
    const { cluster, node } = startTestCluster(2)
    const { engine } = node(0)
    const { grant } = createGrant(engine, leadershipOf(engine))
    cluster.lead(1)
    expect(grant.signal.reason).toMatchObject({ code: 'RAFT_LEADERSHIP_LOST' })
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LEADERSHIP_LOST' }))
  })

  it('is not revived by the next leadership of the same node', () => {
    const { cluster, node } = startTestCluster()
    const { engine } = node(0)
    const { grant } = createGrant(engine, leadershipOf(engine))
    cluster.lead(0)
    expect(grant.signal.aborted).toBe(true)
    expect(() => { grant.check() }).toThrow()
    expect(() => { createGrant(engine, leadershipOf(engine)).grant.check() }).not.toThrow()
  })

  it('check tells the truth before any event', () => {
    const { engine } = startTestCluster().node(0)
    const leadership = leadershipOf(engine)
    const { grant } = createGrant(engine, leadership)
    engine.currentLeadership = () => null
    expect(grant.signal.aborted).toBe(false)
    expect(() => { grant.check() }).toThrow(expect.objectContaining({ code: 'RAFT_LEADERSHIP_LOST' }))
  })

  it('of a leadership that is over has aborted already', () => {
    const { cluster, node } = startTestCluster(2)
    const { engine } = node(0)
    const leadership = leadershipOf(engine)
    cluster.lead(1)
    expect(createGrant(engine, leadership).grant.signal.aborted).toBe(true)
  })

  it('ended by its giver, does not abort with the leadership any more; ended with a reason, aborts with it', () => {
    const { cluster, node } = startTestCluster(2)
    const { engine } = node(0)
    const done = createGrant(engine, leadershipOf(engine))
    const stopped = createGrant(engine, leadershipOf(engine))
    done.end()
    stopped.end(new Error('closing'))
    cluster.lead(1)
    expect(done.grant.signal.aborted).toBe(false)
    expect(stopped.grant.signal.reason).toMatchObject({ message: 'closing' })
    expect(() => { done.grant.check() }).toThrow()
  })

  it('takes one listener of the engine, however many are open', () => {
    const { engine } = startTestCluster().node(0)
    for (let count = 0; count < 1_000; count++) createGrant(engine, leadershipOf(engine))
    expect(engine.events.listenerCount('leadership')).toBe(1)
  })
})
