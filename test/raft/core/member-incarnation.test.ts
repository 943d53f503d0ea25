import { describe, expect, it } from 'vitest'
import type { ConfigurationChange } from '../../../src/raft/core/index.ts'
import { stableConfiguration } from '../../../src/raft/core/index.ts'
import { decodeConfiguration, encodeConfiguration } from '../../../src/raft/runtime/entry-codec.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function is (name: string, incarnation: string): ConfigurationChange {
  return { kind: 'set-incarnation', id: id(name), incarnation }
}
function add (name: string, incarnation?: string): ConfigurationChange {
  return {
    kind: 'add-learner',
    id: id(name),
    address: `http://${name}`,
    ...(incarnation === undefined ? {} : { incarnation })
  }
}

function incarnations (cluster: CoreCluster, name: string): Record<string, string> {
  return Object.fromEntries(
    cluster.node(name).core.configuration.members.map((member) => [member.id, member.incarnation])
  )
}

function ledByN1 (size: number): CoreCluster {
  const cluster = clusterOf(size, { voters: ['n1', 'n2', 'n3'] })
  cluster.elect('n1')
  cluster.run(timing.heartbeatTicks)
  return cluster
}

describe('the incarnation of a member', () => {
  it('is recorded by the leader in one entry for all members that it knows, without a joint configuration', () => {
    const cluster = ledByN1(3)
    expect(incarnations(cluster, 'n2')).toEqual({ n1: '', n2: '', n3: '' })
    const result = cluster.configure('n1', is('n1', 'a'), is('n3', 'c'))
    cluster.settle()
    expect(result).toMatchObject({ kind: 'appended', index: cluster.node('n2').core.configurationIndex })
    for (const name of ['n1', 'n2', 'n3']) expect(incarnations(cluster, name)).toEqual({ n1: 'a', n2: '', n3: 'c' })
  })

  it('never changes once it is recorded, also when other changes come with it', () => {
    const cluster = ledByN1(3)
    cluster.configure('n1', is('n2', 'b'))
    cluster.settle()
    const { configurationIndex } = cluster.node('n1').core
    expect(cluster.configure('n1', is('n2', 'other'))).toEqual({ kind: 'refused', reason: 'other-incarnation' })
    expect(cluster.configure('n1', is('n1', 'a'), is('n2', 'other'))).toEqual({
      kind: 'refused',
      reason: 'other-incarnation'
    })
    expect(cluster.configure('n1', is('n9', 'z'))).toEqual({ kind: 'refused', reason: 'unknown-member' })
    expect(cluster.node('n1').core.configurationIndex).toBe(configurationIndex)
    expect(
      cluster.configure('n1', is('n2', 'b'), { kind: 'set-address', id: id('n2'), address: 'http://moved' })
    ).toMatchObject({ kind: 'appended' })
    cluster.settle()
    expect(incarnations(cluster, 'n3')).toEqual({ n1: '', n2: 'b', n3: '' })
  })

  it('stays with the member from its addition to its removal, and is another one when it is added again', () => {
    const cluster = ledByN1(4)
    cluster.configure('n1', add('n4', 'd'))
    cluster.settle()
    cluster.configure('n1', { kind: 'promote', id: id('n4') })
    cluster.settle()
    cluster.configure('n1', { kind: 'demote', id: id('n4') })
    cluster.settle()
    expect(incarnations(cluster, 'n2')).toMatchObject({ n4: 'd' })
    cluster.configure('n1', { kind: 'remove', id: id('n4') })
    cluster.settle()
    cluster.configure('n1', add('n4'))
    cluster.settle()
    expect(incarnations(cluster, 'n2')).toMatchObject({ n4: '' })
  })

  it('is unknown again when the entry that records it is replaced', () => {
    const cluster = ledByN1(3)
    cluster.isolate('n1')
    cluster.configure('n1', is('n1', 'a'))
    expect(incarnations(cluster, 'n1')).toMatchObject({ n1: 'a' })
    cluster.elect('n2')
    cluster.heal()
    cluster.run(2 * timing.electionTicksMax)
    expect(incarnations(cluster, 'n1')).toMatchObject({ n1: '' })
  })

  it('is a field of every encoded configuration, and a configuration without it is refused', () => {
    const configuration = stableConfiguration([{ id: id('n1'), address: 'http://n1' }])
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration)
    const without = JSON.stringify({ ...configuration, members: [{ id: 'n1', address: 'http://n1' }] })
    expect(decodeConfiguration(new TextEncoder().encode(without))).toBeNull()
  })
})
