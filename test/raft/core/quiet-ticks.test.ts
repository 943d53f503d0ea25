import { describe, expect, it } from 'vitest'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

/** Ticks of n1, alone with its clock: how many were said to be quiet, and how many did something. */
function tickAlone (cluster: CoreCluster, count: number): { readonly quiet: number, readonly busy: number } {
  let quiet = 0
  let busy = 0
  for (let tick = 0; tick < count; tick++) {
    const { quietTicks } = cluster.node('n1').core
    const before = cluster.view('n1')
    cluster.drop()
    cluster.tick('n1')
    const hasActed = cluster.matching({ from: 'n1' }).length > 0 ||
      JSON.stringify(cluster.view('n1')) !== JSON.stringify(before)
    if (hasActed) busy++
    if (quietTicks === 1) continue
    quiet++
    expect(hasActed).toBe(false)
  }
  return { quiet, busy }
}

describe('ticks that are said to be quiet', () => {
  it('send nothing and change no role: of a leader, until it has lost its majority', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    const { quiet, busy } = tickAlone(cluster, timing.electionTicksMin - 1)
    expect(quiet).toBeGreaterThan(2)
    expect(busy).toBeGreaterThan(2)
    tickAlone(cluster, 2 * timing.electionTicksMin)
    expect(cluster.role('n1')).not.toBe('leader')
  })

  it('the same of a follower, up to its campaign and beyond', () => {
    const cluster = clusterOf(3)
    cluster.elect('n2')
    expect(cluster.role('n1')).toBe('follower')
    // Its first heartbeat interval and the next two ticks; from then on the leader is late.
    const quiet = timing.heartbeatTicks + 1
    expect(tickAlone(cluster, timing.electionTicksMin - 1)).toEqual({ quiet, busy: 0 })
    expect(tickAlone(cluster, 3 * timing.electionTicksMax).busy).toBeGreaterThan(3)
  })

  it('are none while the leader is suspected', () => {
    const cluster = clusterOf(3)
    cluster.elect('n2')
    const { core } = cluster.node('n1')
    core.connectionRefused(id('n2'))
    expect(core.quietTicks).toBe(1)
  })

  it('are no more than a heartbeat interval in a row', () => {
    const cluster = clusterOf(3)
    cluster.elect('n2')
    expect(cluster.node('n1').core.quietTicks).toBe(timing.heartbeatTicks)
  })

  it('end with a transfer that is given up', () => {
    const cluster = clusterOf(3)
    cluster.elect('n1')
    cluster.node('n1').core.transfer(null)
    cluster.drop()
    for (let tick = 0; tick < 2 * timing.electionTicksMin; tick++) {
      const { core } = cluster.node('n1')
      const wasTransferring = core.propose([new Uint8Array(1)], { monotonicMs: 0, wallMs: 0 }).kind
      const { quietTicks } = core
      core.tick({ monotonicMs: 0, wallMs: 0 }, false)
      const isTransferring = core.propose([new Uint8Array(1)], { monotonicMs: 0, wallMs: 0 }).kind
      if (quietTicks > 1) expect(isTransferring).toBe(wasTransferring)
    }
  })
})
