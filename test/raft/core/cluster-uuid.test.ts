import { describe, expect, it } from 'vitest'
import type { ConfigurationChange } from '../../../src/raft/core/index.ts'
import { stableConfiguration } from '../../../src/raft/core/index.ts'
import { decodeConfiguration, encodeConfiguration } from '../../../src/raft/runtime/entry-codec.ts'
import type { CoreCluster } from '../../support/core-cluster.ts'
import { clusterOf, id, timing } from '../../support/core-cluster.ts'

function found (clusterUuid: string): ConfigurationChange {
  return { kind: 'found', clusterUuid }
}

function uuids (cluster: CoreCluster): Record<string, string | undefined> {
  return Object.fromEntries(cluster.up.map((node) => [node.id, node.core.clusterUuid]))
}

function ledByN1 (size: number): CoreCluster {
  const cluster = clusterOf(size, { voters: ['n1', 'n2', 'n3'] })
  cluster.elect('n1')
  cluster.run(timing.heartbeatTicks)
  return cluster
}

describe('the UUID of a cluster', () => {
  it('is drawn once: the first committed one is that of all nodes, through all changes', () => {
    const cluster = ledByN1(4)
    expect(uuids(cluster)).toEqual({ n1: undefined, n2: undefined, n3: undefined, n4: undefined })
    expect(cluster.configure('n1', found('one'))).toMatchObject({ kind: 'appended' })
    cluster.run(timing.heartbeatTicks)
    expect(uuids(cluster)).toEqual({ n1: 'one', n2: 'one', n3: 'one', n4: undefined })
    expect(cluster.configure('n1', found('two'))).toEqual({ kind: 'refused', reason: 'already-founded' })
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.settle()
    cluster.configure('n1', { kind: 'promote', id: id('n4') }, { kind: 'remove', id: id('n3') })
    cluster.run(2 * timing.heartbeatTicks)
    expect(cluster.members('n4')).toEqual({ voters: ['n1', 'n2', 'n4'], outgoing: [], learners: [] })
    expect(uuids(cluster)).toEqual({ n1: 'one', n2: 'one', n3: 'one', n4: 'one' })
  })

  it('is not known before its entry is committed, and the UUID of a leader that committed nothing is replaced', () => {
    const cluster = ledByN1(3)
    cluster.isolate('n1')
    cluster.configure('n1', found('lost'))
    expect(cluster.node('n1').core.configuration.clusterUuid).toBe('lost')
    expect(cluster.node('n1').core.clusterUuid).toBeUndefined()
    cluster.elect('n2')
    cluster.configure('n2', found('kept'))
    cluster.heal()
    cluster.run(2 * timing.electionTicksMax)
    expect(uuids(cluster)).toEqual({ n1: 'kept', n2: 'kept', n3: 'kept' })
  })

  it('is known again right after a restart, also where nothing was written since', () => {
    const cluster = ledByN1(3)
    cluster.configure('n1', found('one'))
    cluster.run(timing.heartbeatTicks)
    for (const name of ['n1', 'n2', 'n3']) cluster.restart(name)
    expect(uuids(cluster)).toEqual({ n1: 'one', n2: 'one', n3: 'one' })
  })

  it('comes with a snapshot', () => {
    const cluster = ledByN1(4)
    cluster.configure('n1', found('one'))
    cluster.settle()
    cluster.configure('n1', { kind: 'add-learner', id: id('n4'), address: 'http://n4' })
    cluster.isolate('n4')
    cluster.propose('n1', 'x')
    cluster.run(timing.heartbeatTicks)
    cluster.node('n1').compact()
    cluster.heal()
    cluster.run(4 * timing.heartbeatTicks)
    expect(cluster.node('n4').disk.snapshot).not.toBeNull()
    expect(cluster.node('n4').core.clusterUuid).toBe('one')
    cluster.restart('n4')
    expect(cluster.node('n4').core.clusterUuid).toBe('one')
  })

  it('is part of an encoded configuration once there is one, and never empty', () => {
    const configuration = stableConfiguration([{ id: id('n1'), address: 'http://n1' }])
    const founded = { ...configuration, clusterUuid: 'one' }
    expect(decodeConfiguration(encodeConfiguration(founded))).toEqual(founded)
    expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration)
    for (const clusterUuid of ['', 7, null]) {
      expect(decodeConfiguration(Buffer.from(JSON.stringify({ ...configuration, clusterUuid })))).toBeNull()
    }
  })
})
