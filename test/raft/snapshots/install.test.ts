import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Entry, NodeId } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { RaftNode } from '../../../src/raft/driver/node.ts'
import { openLog } from '../../../src/raft/driver/open-log.ts'
import { toTicks } from '../../../src/raft/driver/timing.ts'
import type { SnapshotStore, Storage } from '../../../src/raft/index.ts'
import { FileSnapshotStore, FileStorage, MemorySnapshotStore, MemoryStorage } from '../../../src/raft/index.ts'
import { systemClock } from '../../../src/raft/runtime/clock.ts'
import { toMeta } from '../../../src/raft/snapshots/meta.ts'
import { defaultSnapshotPolicy } from '../../../src/raft/snapshots/policy.ts'
import type { IncomingSnapshot, SnapshotInfo } from '../../../src/raft/storage/snapshot-store.ts'
import type { SnapshotChunk } from '../../../src/raft/transport/snapshot-codec.ts'
import { configurationOf } from '../../support/configurations.ts'
import { quietLogger } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'

const [n1, n2, n3] = [asNodeId('n1'), asNodeId('n2'), asNodeId('n3')]
const configuration = configurationOf([n1, n2, n3])

/** Something comes between two steps of a store that takes a snapshot. */
interface Between {
  written: () => Promise<unknown>
  finished: () => Promise<unknown>
}

function watched (store: SnapshotStore, between: Between): SnapshotStore {
  return {
    open: () => store.open(),
    latest: () => store.latest(),
    save: (meta, source) => store.save(meta, source),
    read: (info, offset) => store.read(info, offset),
    receive: async (info) => {
      const incoming = await store.receive(info)
      return {
        get info () { return incoming.info },
        get offset () { return incoming.offset },
        write: async (offset, bytes) => {
          const reached = await incoming.write(offset, bytes)
          await between.written()
          return reached
        },
        finish: async () => {
          const held = await incoming.finish()
          await between.finished()
          return held
        },
        discard: () => incoming.discard()
      } satisfies IncomingSnapshot
    }
  }
}

type Disks = () => Promise<{ readonly storage: Storage, readonly store: SnapshotStore }>

const inMemory: Disks = async () => ({ storage: new MemoryStorage(), store: new MemorySnapshotStore() })
const inFiles: Disks = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'raft-snapshot-install-'))
  onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
  return {
    storage: new FileStorage({ directory, identity: { clusterId: 'test', nodeId: 'n1' }, minFreeBytes: 0 }),
    store: new FileSnapshotStore({ directory, clusterId: 'test' })
  }
}

/** A follower, with the text of each snapshot that it restored. */
async function follower (disks: Disks) {
  const between: Between = { written: async () => {}, finished: async () => {} }
  const { storage, store } = await disks()
  const snapshots = watched(store, between)
  const restored: string[] = []
  const node = new RaftNode({
    nodeId: n1,
    configuration,
    timing: toTicks({ heartbeatMs: 1_000, electionTimeoutMinMs: 30_000, electionTimeoutMaxMs: 60_000 }),
    seed: 1,
    storage,
    snapshots,
    snapshotPolicy: defaultSnapshotPolicy,
    recovered: await openLog(storage, snapshots),
    clock: systemClock,
    logger: quietLogger
  })
  onTestFinished(async () => { await node.stop() })
  node.start({
    transport: {
      setPeers: () => {},
      send: () => {},
      forward: () => Promise.reject(new Error('nobody')),
      sendSnapshot: () => Promise.reject(new Error('nobody')),
      commitAwaitedBy: () => {},
      tryConnection: () => {},
      close: async () => {}
    },
    listener: {
      apply: () => {},
      snapshot: () => {
        throw new Error('none is due')
      },
      restore: async (source) => {
        const parts: Uint8Array[] = []
        for await (const part of source) parts.push(part)
        restored.push(Buffer.concat(parts).toString())
      },
      snapshotTaken: () => {},
      applied: () => {},
      readDecided: () => {},
      configurationChanged: () => {},
      viewChanged: () => {},
      leadershipNews: () => {},
      ticked: () => {},
      failed: () => {}
    }
  })
  return { node, between, restored, store }
}

function chunkOf (term: number, index: number, text: string): SnapshotChunk {
  const bytes = Buffer.from(text)
  const info: SnapshotInfo = {
    ...toMeta({ index: asIndex(index), term: asTerm(2), timeMs: 0, held: { index: 0, configuration } }),
    bytes: bytes.byteLength,
    checksum: crc32(bytes)
  }
  return { term: asTerm(term), info, offset: 0, bytes }
}

function leads (from: NodeId, term: number) {
  return ({ kind: 'heartbeat-request', from, to: n1, term: asTerm(term), commit: asIndex(0), round: 1 }) as const
}
function accepted (index: number) {
  return { kind: 'append-response', to: 'n2', result: { kind: 'accepted', matchIndex: index } }
}

describe.each([['memory', inMemory], ['files', inFiles]])('a snapshot that is received, in %s', (_where, disks) => {
  it('is the one that is restored', async () => {
    const { node, restored } = await follower(disks)
    expect((await node.receiveSnapshot(n2, chunkOf(2, 9, 'from n2'))).messages).toMatchObject([accepted(9)])
    await until('the state', () => node.appliedIndex === 9)
    expect([restored, node.snapshotIndex, node.commitIndex]).toEqual([['from n2'], 9, 9])
  })

  it('whose sender was deposed before it was durable never becomes the latest: the snapshot of the next leader does', async () => {
    const { node, between, restored, store } = await follower(disks)
    between.written = () => node.receive([leads(n3, 3)])
    const { messages } = await node.receiveSnapshot(n2, chunkOf(2, 9, 'from n2'))
    expect(messages).toMatchObject([{ kind: 'heartbeat-response', to: 'n2', term: 3 }])
    expect([store.latest()?.index, restored, node.commitIndex]).toEqual([undefined, [], 0])
    between.written = async () => {}
    await node.receiveSnapshot(n3, chunkOf(3, 9, 'from the leader n3'))
    await until('the state', () => node.appliedIndex === 9)
    expect(restored).toEqual(['from the leader n3'])
  })

  it('whose sender was deposed just after is refused, and the node restores its own copy for the next leader', async () => {
    const { node, between, restored, store } = await follower(disks)
    between.finished = () => node.receive([leads(n3, 3)])
    await node.receiveSnapshot(n2, chunkOf(2, 9, 'from n2'))
    expect([restored, node.commitIndex]).toEqual([[], 0])
    // All of it is committed, and a start would begin with it. The same state may be other bytes on another node.
    expect(store.latest()).toMatchObject({ index: 9 })
    const { messages } = await node.receiveSnapshot(n3, chunkOf(3, 9, 'from the leader n3'))
    expect(messages).toMatchObject([{ ...accepted(9), to: 'n3' }])
    await until('the state', () => node.appliedIndex === 9)
    expect([restored, node.failure]).toEqual([['from n2'], null])
  })

  it('that the log overtakes before it is durable is discarded and changes nothing', async () => {
    const { node, between, restored, store } = await follower(disks)
    const entries = Array.from({ length: 12 }, (_, position): Entry => ({
      index: asIndex(position + 1),
      term: asTerm(2),
      kind: 'command',
      timeMs: 0,
      data: Buffer.from('c')
    }))
    between.written = () =>
      node.receive([
        {
          kind: 'append-request',
          from: n2,
          to: n1,
          term: asTerm(2),
          prevIndex: asIndex(0),
          prevTerm: asTerm(0),
          entries,
          commit: asIndex(12)
        }
      ])
    expect((await node.receiveSnapshot(n2, chunkOf(2, 9, 'from n2'))).messages).toMatchObject([accepted(12)])
    await until('the entries', () => node.appliedIndex === 12)
    expect([store.latest()?.index, restored, node.lastIndex, node.failure]).toEqual([undefined, [], 12, null])
  })

  it('from a second leader of the term, which is known only at the last chunk, is refused and discarded', async () => {
    const { node, between, restored, store } = await follower(disks)
    between.written = () => node.receive([leads(n3, 2)])
    await expect(node.receiveSnapshot(n2, chunkOf(2, 9, 'from n2'))).rejects.toMatchObject({
      code: 'RAFT_MALFORMED_MESSAGE',
      message: expect.stringContaining('second leader') as string
    })
    expect([store.latest()?.index, restored, node.commitIndex, node.failure]).toEqual([undefined, [], 0, null])
  })
})
