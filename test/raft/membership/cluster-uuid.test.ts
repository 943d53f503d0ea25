import { afterEach, describe, expect, it } from 'vitest'
import type { ClusterMark, Message } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { OwnCluster } from '../../../src/raft/membership/own-cluster.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

async function start (size: number, logger = new MemoryLogger()): Promise<EngineCluster> {
  const cluster = new EngineCluster({ logger })
  clusters.push(cluster)
  await cluster.start(size)
  return cluster
}

/** The UUID that all nodes know. */
async function uuidOf (cluster: EngineCluster): Promise<string> {
  return await until('all know one UUID', () => {
    const [first, ...others] = [...cluster.nodes.values()].map(({ engine }) => engine.clusterUuid())
    return others.every((uuid) => uuid === first) ? first : null
  })
}

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

describe('the UUID of a cluster', () => {
  it('is the same on all nodes, for ever, and another one in each cluster', async () => {
    const [one, other] = [await start(3), await start(1)]
    const [n1] = one.nodes.values()
    const uuid = await uuidOf(one)
    expect(uuid).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(await uuidOf(other)).not.toBe(uuid)
    expect(n1?.engine.status().clusterUuid).toBe(uuid)
    for (const node of [...one.nodes.values()]) await node.close()
    const again = await one.restart('n1')
    // Known from the log, without a leader.
    expect(again.engine.clusterUuid()).toBe(uuid)
    await one.restart('n2')
    await one.restart('n3')
    await until('a leader', () => one.leaders[0])
    expect(await uuidOf(one)).toBe(uuid)
  }, 30_000)
})

/** Removes a member, again when leadership moves or the record of the members is under way. */
async function remove (cluster: EngineCluster, id: string): Promise<void> {
  await until(`${id} is removed`, async () => {
    const [leader] = cluster.leaders
    await leader?.engine.changeMembership([{ kind: 'remove', id }])
    return leader
  })
}

describe('two clusters of one name', () => {
  it('A26 never mix: removed nodes that found another one are refused by the last node of the first, which goes on', async () => {
    const logger = new MemoryLogger()
    const cluster = await start(3, logger)
    const first = await uuidOf(cluster)
    const last = cluster.node('n3')
    await until('a leader', () => cluster.leaders[0])
    await last.engine.propose(Buffer.from('of the first'))
    await remove(cluster, 'n1')
    await cluster.node('n1').close()
    await remove(cluster, 'n2')
    await cluster.node('n2').close()
    await until('it leads alone', () => last.engine.currentLeadership())
    const { term } = last.engine.status()
    for (const id of ['n1', 'n2']) {
      cluster.wipe(id)
      await cluster.restart(id)
    }
    const others = ['n1', 'n2'].map((id) => cluster.node(id))
    const second = await until('they found another one', () => others[0]?.engine.clusterUuid())
    expect(second).not.toBe(first)
    await others[0]?.engine.propose(Buffer.from('of the second'))
    // The leader of the second counts the last node of the first among its members, and sends it heartbeats.
    const refused = await until('it is refused', () =>
      logger.lines.find(({ message }) => message === 'refused a node of another cluster of the same name'))
    expect(refused.details).toMatchObject({ clusterUuid: first, peerClusterUuid: second })
    await last.engine.propose(Buffer.from('of the first again'))
    expect(last.engine.status()).toMatchObject({ term, role: 'leader', failure: null, clusterUuid: first })
    expect(last.machine.journal).toEqual(['of the first', 'of the first again'])
    for (const { machine, engine } of others) {
      expect([machine.journal.includes('of the first'), engine.status().failure]).toEqual([false, null])
    }
  }, 60_000)
})

describe('a node that knows its cluster', () => {
  const [n1, n2] = [asNodeId('n1'), asNodeId('n2')]
  const heartbeat: Message = {
    from: n2, to: n1, term: asTerm(7), kind: 'heartbeat-request', commit: asIndex(0), round: 1
  }
  const address = { clusterId: 'orders', from: n2, to: n1, incarnation: 'b', expectedIncarnation: '' }
  const code = (what: string): Error =>
    expect.objectContaining({ code: 'RAFT_OTHER_CLUSTER', message: expect.stringContaining(what) as string }) as Error

  function build (knownCluster: string | undefined): { readonly logger: MemoryLogger, readonly own: OwnCluster } {
    const logger = new MemoryLogger()
    const node = { knownCluster, clusterMark: undefined }
    return { logger, own: new OwnCluster({ nodeId: n1, clusterId: 'orders', node, logger }) }
  }

  it('refuses commands, snapshots and answers of another one, names both, and tells nobody to delete anything', () => {
    const { own, logger } = build('aaa')
    const cluster: ClusterMark = { uuid: 'bbb', isCommitted: true }
    for (const attempt of [
      () => { own.checkRequest({ ...address, cluster }, []) },
      () => { own.checkRequest({ ...address, cluster }, [{ ...heartbeat, cluster }]) },
      () => { own.checkAnswer({ ...address, cluster }) }
    ]) {
      expect(attempt).toThrow(code('"n2" belongs to bbb, and "n1" to aaa'))
      expect(attempt).toThrow(code('keep the data directories of both'))
      expect(attempt).not.toThrow(/empty|delete|wipe/)
    }
    expect(logger.messages('error')).toEqual(['refused a node of another cluster of the same name'])
  })

  it('remembers and logs a bounded number of senders: anybody can invent more', () => {
    const { own, logger } = build('aaa')
    const cluster: ClusterMark = { uuid: 'bbb', isCommitted: true }
    for (let number = 0; number < 1_000; number++) {
      expect(() => { own.checkRequest({ ...address, from: asNodeId(`x${number}`), cluster }, []) }).toThrow(code('bbb'))
    }
    expect(logger.messages('error')).toHaveLength(100)
  })

  it('takes commands and answers of a node that does not know its own yet, and no message of consensus', () => {
    const { own, logger } = build('aaa')
    own.checkRequest(address, [])
    own.checkAnswer(address)
    const cluster: ClusterMark = { uuid: 'bbb', isCommitted: false }
    own.checkAnswer({ ...address, cluster })
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(() => { own.checkRequest(address, [heartbeat]) }).toThrow(code('the leader brings it in'))
    }
    expect([logger.messages('error').length, logger.messages('info').length]).toEqual([0, 1])
  })

  it('takes everything from its own, and everything from anybody before it knows', () => {
    const cluster: ClusterMark = { uuid: 'aaa', isCommitted: true }
    for (const known of ['aaa', undefined]) {
      const { own } = build(known)
      own.checkRequest({ ...address, cluster }, [{ ...heartbeat, cluster }])
      own.checkAnswer({ ...address, cluster })
    }
    build(undefined).own.checkRequest(address, [heartbeat])
  })
})
