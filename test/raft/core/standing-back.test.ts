import { describe, expect, it } from 'vitest'
import { clusterOf, timing } from '../../support/core-cluster.ts'

const manyTicks = 5 * timing.electionTicksMax

describe('a node that stands back', () => {
  it('does not campaign when its election timeout passes, and follows nobody from then on', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    expect(cluster.view('n2').leader).toBe('n1')
    for (let tick = 0; tick < manyTicks; tick++) cluster.node('n2').tick({ standsBack: true })
    expect(cluster.view('n2')).toEqual({ role: 'follower', term: 1, leader: null })
    expect(cluster.matching({ from: 'n2' })).toEqual([])
  })

  it('votes like any other node, and follows the leader that it elects', () => {
    const cluster = clusterOf(3)
    cluster.isolate('n1')
    for (let tick = 0; tick < manyTicks; tick++) cluster.node('n2').tick({ standsBack: true })
    cluster.elect('n3')
    expect(cluster.view('n2')).toEqual({ role: 'follower', term: 1, leader: 'n3' })
  })

  it('campaigns as soon as it does not stand back any more', () => {
    const cluster = clusterOf(3)
    for (let tick = 0; tick < manyTicks; tick++) cluster.node('n2').tick({ standsBack: true })
    cluster.elect('n2')
    expect(cluster.view('n2')).toMatchObject({ role: 'leader', term: 1 })
  })
})
