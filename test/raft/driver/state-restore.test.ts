import { afterEach, describe, expect, it } from 'vitest'
import { StateRestore } from '../../../src/raft/driver/state-restore.ts'
import type { SnapshotInfo } from '../../../src/raft/index.ts'
import type { TestNode } from '../../support/engine-cluster.ts'
import { EngineCluster } from '../../support/engine-cluster.ts'
import { GatedSnapshots } from '../../support/gated-snapshots.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { until } from '../../support/until.ts'

const clusters: EngineCluster[] = []

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

/** A cluster of which one node, not the leader, restarts with a state that it cannot read to its end yet. */
async function restarted (size: number) {
  const stores = new Map<string, GatedSnapshots>()
  const logger = new MemoryLogger()
  const cluster = new EngineCluster({
    logger,
    snapshots: (id) => {
      const store = new GatedSnapshots()
      stores.set(id, store)
      return store
    }
  })
  clusters.push(cluster)
  await cluster.start(size)
  const leader = await until('a leader', () => cluster.leaders[0])
  for (let written = 0; written < 20; written++) await leader.engine.propose(Buffer.from(`w${written}`))
  const follower = [...cluster.nodes.values()].find((node) => node !== leader) ?? leader
  await follower.engine.readBarrier()
  await follower.engine.takeSnapshot()
  await follower.close()
  const gate = stores.get(follower.id)
  if (gate === undefined) throw new Error('no store')
  gate.close()
  const node = await cluster.restart(follower.id)
  await until('half of the snapshot is read', () => node.engine.status().restoring?.bytes)
  return { cluster, leader, node, gate, logger, stores }
}

function journalOf ({ machine }: TestNode): readonly string[] { return machine.journal }

describe('a start that takes long to restore its state', () => {
  it('takes part meanwhile: its log and its vote are what a majority needs', async () => {
    const { cluster, leader, node, gate } = await restarted(3)
    const third = [...cluster.nodes.values()].find((other) => other !== leader && other !== node)
    await third?.close()
    await leader.engine.propose(Buffer.from('with the log of the one that restores'))
    expect(journalOf(node)).toEqual([])
    expect(node.engine.status()).toMatchObject({ appliedIndex: 0, restoring: { bytes: expect.any(Number) as number } })
    gate.release()
    await node.engine.readBarrier()
    expect(journalOf(node)).toEqual(journalOf(leader))
    expect(node.engine.status().restoring).toBeNull()
  })

  it('refuses commands, reads and snapshots with a code of their own when their time is over', async () => {
    const { leader, node, gate } = await restarted(3)
    const before = journalOf(leader).length
    const refusal = {
      code: 'RAFT_RESTORING',
      message: expect.stringMatching(/still restores its state \(\d+ % of the snapshot is read\)/) as string
    }
    await expect(node.engine.propose(Buffer.from('early'), { timeoutMs: 50 })).rejects.toMatchObject(refusal)
    await expect(node.engine.readBarrier({ timeoutMs: 50 })).rejects.toMatchObject(refusal)
    await expect(node.engine.waitForState({ timeoutMs: 50 })).rejects.toMatchObject(refusal)
    await expect(node.engine.takeSnapshot()).rejects.toMatchObject(refusal)
    const abort = new AbortController()
    const aborted = node.engine.waitForState({ signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    const waiting = node.engine.propose(Buffer.from('patient'), { timeoutMs: 20_000 })
    gate.release()
    expect(await waiting).toMatchObject({ text: 'patient' })
    await node.engine.readBarrier()
    // What was refused was never sent.
    expect(journalOf(node).slice(before)).toEqual(['patient'])
  })

  it('leaves elections to the others, and takes no leadership that is handed to it', async () => {
    const { cluster, leader, node, gate } = await restarted(3)
    const third = [...cluster.nodes.values()].find((other) => other !== leader && other !== node)
    if (third === undefined) throw new Error('no third node')
    // The transfer fails, or another node is elected because of it.
    const next = await leader.engine.transferLeadership(node.id, { timeoutMs: 2_000 }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'RAFT_TIMEOUT' })
      return null
    })
    expect(next?.id).not.toBe(node.id)
    await until('a leader again', () => cluster.leaders[0])
    for (let round = 0; round < 3; round++) {
      const { term } = third.engine.status()
      await cluster.leaders[0]?.engine.stepDown()
      await until('another leadership', () => cluster.leaders[0] !== undefined && third.engine.status().term > term)
      expect(cluster.leaders[0]).not.toBe(node)
    }
    gate.release()
    await node.engine.waitForState()
    await (await until('a leader', () => cluster.leaders[0])).engine.transferLeadership(node.id)
    expect(node.engine.leader()?.id).toBe(node.id)
  })

  it('is elected in the end when no other node can be, and leads once its state is there', async () => {
    const { cluster, node, gate } = await restarted(1)
    await until('it leads its log', () => node.engine.status().role === 'leader')
    expect(cluster.leaders).toEqual([])
    gate.release()
    await until('it leads', () => node.engine.currentLeadership())
    expect(await node.engine.propose(Buffer.from('last'))).toMatchObject({ text: 'last' })
    expect(journalOf(node)).toHaveLength(21)
  })

  it('is elected after a while by others that have no state yet either', async () => {
    const { cluster, leader, node, gate, stores } = await restarted(3)
    const third = [...cluster.nodes.values()].find((other) => other !== leader && other !== node)
    if (third === undefined) throw new Error('no third node')
    await third.engine.takeSnapshot()
    await third.close()
    stores.get(third.id)?.close()
    const again = await cluster.restart(third.id)
    await leader.close()
    const elected = await until(
      'one leads the log',
      () => [node, again].find(({ engine }) => engine.status().role === 'leader'),
      30_000
    )
    expect(elected.engine.status().restoring).not.toBeNull()
    gate.release()
    stores.get(third.id)?.release()
    await until('one leads', () => cluster.leaders[0])
    expect(await elected.engine.propose(Buffer.from('last'))).toMatchObject({ text: 'last' })
  }, 45_000)

  it('ends when the node stops: waits are rejected, and nothing more is read', async () => {
    const { node, gate } = await restarted(3)
    const waiting = node.engine.waitForState({ timeoutMs: 20_000 })
    const refused = expect(waiting).rejects.toMatchObject({ code: 'RAFT_STOPPED' })
    await node.close()
    await refused
    gate.release()
    await new Promise((resolve) => { setImmediate(resolve) })
    expect(journalOf(node)).toEqual([])
  })

  it('says in the log when it begins and when it is over', async () => {
    const { node, gate, logger } = await restarted(3)
    expect(logger.messages('info')).toContain('restoring the state from a snapshot')
    gate.release()
    await node.engine.waitForState()
    expect(logger.lines.find(({ message }) => message === 'the state is restored')?.details).toMatchObject({
      bytes: expect.any(Number) as number,
      tookMs: expect.any(Number) as number
    })
  })
})

describe('the progress of a restore', () => {
  const snapshot: SnapshotInfo = {
    index: 7 as SnapshotInfo['index'],
    term: 1 as SnapshotInfo['term'],
    timeMs: 0,
    configuration: new Uint8Array(0),
    bytes: 400,
    checksum: 0
  }

  it('counts bytes as they are taken, and is logged every five seconds', async () => {
    const logger = new MemoryLogger()
    let nowMs = 0
    const restore = new StateRestore({ snapshot, nowMs: () => nowMs, logger })
    expect(restore.progress).toEqual({ snapshotIndex: 7, bytes: 0, totalBytes: 400, sinceMs: 0 })
    await expect(restore.wait({ timeoutMs: 0 })).rejects.toThrow('it begins with the start of the node')
    restore.begin()
    const bytes = restore.watch(snapshot, (async function * () {
      yield Buffer.alloc(100)
      yield Buffer.alloc(300)
    })())
    await bytes.next()
    nowMs = 4_999
    restore.tick()
    expect(logger.messages('info')).toEqual(['restoring the state from a snapshot'])
    nowMs = 5_000
    restore.tick()
    restore.tick()
    expect(logger.lines.slice(1)).toEqual([{
      level: 'info',
      details: { snapshotIndex: 7, bytes: 100, totalBytes: 400, sinceMs: 5_000 },
      message: 'still restoring the state'
    }])
    await expect(restore.wait({ timeoutMs: 0 })).rejects.toThrow('25 % of the snapshot is read')
    // The leader has sent a newer one, which is read next.
    const newer = restore.watch({ ...snapshot, index: 9 as SnapshotInfo['index'], bytes: 50 }, (async function * () {
      yield Buffer.alloc(50)
    })())
    await newer.next()
    expect(restore.progress).toEqual({ snapshotIndex: 9, bytes: 50, totalBytes: 50, sinceMs: 5_000 })
    restore.ended()
    expect(restore.progress).toBeNull()
    await restore.wait({ timeoutMs: 0 })
  })
})
