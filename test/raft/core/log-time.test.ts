import { describe, expect, it } from 'vitest'
import { LogTime } from '../../../src/raft/core/log-time.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf } from '../../support/core-cluster.ts'

const hourMs = 3_600_000

/** Log times of the whole log of a node, less that of the first entry. */
function timesOf (cluster: CoreCluster, name: string): readonly number[] {
  const times = cluster.node(name).log.map(({ timeMs }) => timeMs)
  return times.map((timeMs) => timeMs - (times[0] ?? 0))
}

/** Lets time pass on all monotonic clocks, and sets the wall clocks ahead or back besides. */
function pass (cluster: CoreCluster, byMs: number, wallByMs = byMs): void {
  cluster.monotonicMs += byMs
  cluster.wallMs += wallByMs
}

describe('log time', () => {
  it('starts with the wall clock of the first leader', () => {
    const cluster = clusterOf(3)
    cluster.wallMs = 1_700_000_000_000
    cluster.elect('n1')
    expect(cluster.node('n1').log[0]?.timeMs).toBe(1_700_000_000_000)
  })

  it.each([['ahead', hourMs], ['back', -hourMs]])('D27: does not follow a wall clock that is set %s', (_way, byMs) => {
    const cluster = clusterOf(3)
    cluster.wallMs = 2 * hourMs
    cluster.elect('n1')
    pass(cluster, 1_000, byMs)
    cluster.propose('n1', 'x')
    pass(cluster, 500, 500)
    cluster.propose('n1', 'y')
    expect(timesOf(cluster, 'n1')).toEqual([0, 1_000, 1_500])
  })

  it.each([['ahead', hourMs], ['behind', -hourMs]])(
    'D27: goes on from the last stamp under a leader whose wall clock is %s, by what its monotonic clock has counted since',
    (_way, byMs) => {
      const cluster = clusterOf(3)
      cluster.wallMs = 2 * hourMs
      cluster.elect('n1')
      pass(cluster, 1_000)
      cluster.propose('n1', 'x')
      cluster.settle()
      pass(cluster, 3_000, byMs)
      cluster.elect('n2')
      cluster.propose('n2', 'y')
      expect(timesOf(cluster, 'n2')).toEqual([0, 1_000, 4_000, 4_000])
    }
  )

  it('stands still while no node runs', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    pass(cluster, 1_000)
    cluster.propose('n1', 'x')
    cluster.settle()
    for (const name of ['n1', 'n2', 'n3']) cluster.crash(name)
    pass(cluster, hourMs)
    for (const name of ['n1', 'n2', 'n3']) cluster.restart(name)
    cluster.run(1)
    pass(cluster, 20)
    cluster.elect('n2')
    const [, ...times] = timesOf(cluster, 'n2')
    expect(times[0]).toBe(1_000)
    expect(times[1]).toBeLessThan(2_000)
  })

  it('loses nothing to rounding, however many entries come in a millisecond', () => {
    const time = new LogTime(1_000)
    time.received(1_000, { monotonicMs: 0, wallMs: 0 })
    let last = 0
    for (let count = 1; count <= 10_000; count++) last = time.stamp({ monotonicMs: count / 10, wallMs: 0 })
    expect(last).toBe(2_000)
  })

  it('never falls when a monotonic clock does', () => {
    const time = new LogTime(1_000)
    time.inputAt({ monotonicMs: 50, wallMs: 0 })
    expect(time.stamp({ monotonicMs: 40, wallMs: 0 })).toBe(1_000)
  })
})
