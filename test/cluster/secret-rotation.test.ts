import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RotatingCluster } from './support/secret-rotation.ts'

const perSecond = 500

let rotating: RotatingCluster

beforeAll(async () => { rotating = await RotatingCluster.start() })
afterAll(async () => { await rotating.stop() })

describe('a secret that is replaced under load', () => {
  it('in three steps, fails no request and elects nobody else', async () => {
    const { leadersBefore, leadersAfter, failures, requests, steps } = await rotating.rotate({ rounds: 1, perSecond })
    expect(failures).toEqual([])
    expect(leadersAfter).toEqual(leadersBefore)
    expect(steps).toEqual(['old, new', 'new, old', 'new'])
    expect(requests).toBeGreaterThan(1_000)
  })

  it('on one copy at once, costs that copy alone, and both sides say why', async () => {
    const { leadersBefore, leadersAfter, failures, earlyLog, leaderLog } = await rotating.rotateInWrongOrder(perSecond)
    expect(failures).toEqual([])
    expect(leadersAfter).toEqual(leadersBefore)
    expect([...earlyLog, ...leaderLog].join('\n')).toContain('has another secret than')
    expect(earlyLog).not.toEqual([])
    expect(leaderLog).not.toEqual([])
  })
})
