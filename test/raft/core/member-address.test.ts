import { describe, expect, it } from 'vitest'
import type { ConfigurationChange } from '../../../src/raft/core/index.ts'
import { isJoint } from '../../../src/raft/core/index.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function addresses (cluster: CoreCluster, name: string): Record<string, string> {
  return Object.fromEntries(cluster.node(name).core.configuration.members.map((member) => [member.id, member.address]))
}

function is (name: string, address: string): ConfigurationChange {
  return { kind: 'confirm-address', id: id(name), address }
}

/** Led by n1; the addresses are by hand. */
function cluster (): CoreCluster {
  const started = clusterOf(3, { voters: ['n1', 'n2', 'n3'] })
  started.elect('n1')
  started.run(timing.heartbeatTicks)
  const byHand = ['n1', 'n2', 'n3'].map((name) => ({ kind: 'set-address', id: id(name), address: `p-${name}` } as const))
  expect(started.configure('n1', ...byHand)).toMatchObject({ kind: 'appended' })
  started.settle()
  return started
}

describe('the address of a member', () => {
  it('changes together with others in one entry, which is in force at once and joint with nothing', () => {
    const moved = cluster()
    const { configurationIndex } = moved.node('n1').core
    expect(moved.configure('n1', is('n1', 'p-n2'), is('n2', 'p-n1'), is('n3', 'elsewhere'))).toEqual({
      kind: 'appended',
      index: configurationIndex + 1
    })
    expect(isJoint(moved.node('n1').core.configuration)).toBe(false)
    moved.settle()
    for (const name of ['n1', 'n2', 'n3']) {
      expect(addresses(moved, name)).toEqual({ n1: 'p-n2', n2: 'p-n1', n3: 'elsewhere' })
      expect(moved.node(name).core.configuration).toMatchObject({ voters: ['n1', 'n2', 'n3'], outgoing: [] })
      expect(moved.node(name).core.configurationIndex).toBe(configurationIndex + 1)
    }
  })

  it('may be the last known one of a member that is away, when a member was found there; not when it is set by hand', () => {
    const moved = cluster()
    expect(moved.configure('n1', { kind: 'set-address', id: id('n1'), address: 'p-n2' })).toEqual({
      kind: 'refused',
      reason: 'address-in-use'
    })
    expect(moved.configure('n1', is('n1', 'p-n2'))).toMatchObject({ kind: 'appended' })
    moved.settle()
    expect(addresses(moved, 'n3')).toEqual({ n1: 'p-n2', n2: 'p-n2', n3: 'p-n3' })
    expect(moved.configure('n1', is('n9', 'p-n9'))).toEqual({ kind: 'refused', reason: 'unknown-member' })
  })

  it('does not change while another change is under way', () => {
    const moved = cluster()
    moved.isolate('n1')
    expect(moved.configure('n1', is('n2', 'elsewhere'))).toMatchObject({ kind: 'appended' })
    expect(moved.configure('n1', is('n3', 'elsewhere'))).toEqual({ kind: 'refused', reason: 'pending' })
  })
})
