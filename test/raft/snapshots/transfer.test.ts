import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import type { AppendResponse, Index, Message, SnapshotOffer } from '../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/index.ts'
import { systemTimers } from '../../../src/raft/runtime/timers.ts'
import { toMeta } from '../../../src/raft/snapshots/meta.ts'
import { SnapshotReceiver } from '../../../src/raft/snapshots/receiver.ts'
import { SnapshotSender } from '../../../src/raft/snapshots/sender.ts'
import type { SnapshotInfo } from '../../../src/raft/storage/snapshot-store.ts'
import { FileSnapshotStore } from '../../../src/raft/storage/snapshots/file-snapshot-store.ts'
import { MemorySnapshotStore } from '../../../src/raft/storage/snapshots/memory-snapshot-store.ts'
import type { SnapshotChunk } from '../../../src/raft/transport/snapshot-codec.ts'
import { encodeSnapshotChunk } from '../../../src/raft/transport/snapshot-codec.ts'
import { configurationOf } from '../../support/configurations.ts'
import { EngineCluster, quietLogger } from '../../support/engine-cluster.ts'
import { until } from '../../support/until.ts'
import { temporaryDirectory } from '../storage/support/opening.ts'

const n1 = asNodeId('n1')
const n2 = asNodeId('n2')

function metaOf (index: number, clusterUuid?: string) {
  return toMeta({
    index: asIndex(index),
    term: asTerm(2),
    timeMs: 0,
    held: {
      index: 0,
      configuration: { ...configurationOf([n1, n2]), ...(clusterUuid === undefined ? {} : { clusterUuid }) }
    }
  })
}

async function bytesOf (store: MemorySnapshotStore, info: SnapshotInfo): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of store.read(info)) parts.push(part)
  return Buffer.concat(parts).toString()
}

function save (store: MemorySnapshotStore, index: number, ...chunks: readonly string[]): Promise<SnapshotInfo> {
  return store.save(metaOf(index), (async function * () { for (const chunk of chunks) yield Buffer.from(chunk) })())
}

/** n1 sends to n2, which installs by noting it; `cut` lets a chunk fail before or after it arrived. */
function createPair (options: { readonly bytesPerSecond?: number } = {}) {
  const world = {
    parts: [] as Array<{ readonly offset: number, readonly length: number, readonly index: number }>,
    installed: [] as number[],
    ended: [] as Array<Index | null>,
    cut: (_part: number): 'before' | 'after' | null => null,
    beforePart: async (_part: number): Promise<void> => {},
    term: asTerm(2)
  }
  const from = new MemorySnapshotStore({ keep: 1 })
  const to = new MemorySnapshotStore()
  const receiver = new SnapshotReceiver(to, {
    position: () => ({ term: world.term, commitIndex: 0 }),
    installViolation: () => null
  })
  const install = ({ snapshot, term }: SnapshotOffer): Message[] => {
    if (term < world.term) return [{ kind: 'heartbeat-response', from: n2, to: n1, term: world.term, round: 0 }]
    world.installed.push(snapshot.index)
    return [answerFor(snapshot.index)]
  }
  const answerFor = (index: Index): AppendResponse => ({
    kind: 'append-response',
    from: n2,
    to: n1,
    term: asTerm(2),
    prevIndex: index,
    result: { kind: 'accepted', matchIndex: index }
  })
  const sender = new SnapshotSender({
    store: from,
    bytesPerSecond: options.bytesPerSecond ?? Infinity,
    retryAfterMs: 1,
    nowMs: () => performance.now(),
    timers: systemTimers,
    logger: quietLogger
  }, {
    sendChunk: async (_peer, chunk) => {
      const number = world.parts.push({ offset: chunk.offset, length: chunk.bytes.byteLength, index: chunk.info.index })
      await world.beforePart(number)
      const cut = world.cut(number)
      if (cut === 'before') throw new Error('connection lost')
      const { offset, installation } = await receiver.receive(n1, chunk)
      const messages = installation === null ? [] : install(installation)
      if (cut === 'after') throw new Error('connection lost')
      return { offset, messages }
    },
    transferEnded: (_peer, index) => { world.ended.push(index) }
  })
  return { world, from, to, sender }
}

/** A transfer that was started twice, and whose first part waits for `goOn`. */
async function heldUp () {
  const { world, from, sender } = createPair()
  await save(from, 9, 'abc')
  let go = (): void => {}
  world.beforePart = async (part) => { if (part === 1) await new Promise<void>((resolve) => { go = resolve }) }
  sender.start(n2, asTerm(2))
  sender.start(n2, asTerm(2))
  await until('the first part', () => world.parts.length === 1)
  expect(sender.oldestIndex).toBe(9)
  return { world, sender, goOn: () => { go() } }
}

describe('a snapshot on its way', () => {
  it('is sent in chunks, and is installed when all of it is durable', async () => {
    const { world, from, to, sender } = createPair()
    const info = await save(from, 9, 'abc', 'de', 'f')
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 1)
    expect(world.ended).toEqual([9])
    expect(world.installed).toEqual([9])
    expect(world.parts.map(({ offset, length }) => [offset, length])).toEqual([[0, 0], [0, 3], [3, 2], [5, 1]])
    expect(await bytesOf(to, info)).toBe('abcdef')
  })

  it('one without data is installed at once', async () => {
    const { world, from, sender } = createPair()
    await save(from, 9)
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 1)
    expect(world).toMatchObject({ ended: [9], installed: [9] })
  })

  it('goes on where it stopped after the connection was lost, before or after a chunk had arrived', async () => {
    const { world, from, sender } = createPair()
    await save(from, 9, 'abc', 'de', 'f')
    world.cut = (part) => part === 3 ? 'before' : part === 6 ? 'after' : null
    for (const ends of [1, 2, 3]) {
      sender.start(n2, asTerm(2))
      await until('the end', () => world.ended.length === ends)
    }
    expect(world.ended).toEqual([null, null, 9])
    expect(world.parts.map(({ offset, length }) => [offset, length])).toEqual([
      [0, 0],
      [0, 3],
      [3, 2],
      [0, 0],
      [3, 2],
      [5, 1],
      [0, 0]
    ])
    // The last chunk had arrived: the snapshot is installed, and its data is not sent again.
    expect(world.installed).toEqual([9, 9])
  })

  it('a newer one that replaces it is sent instead', async () => {
    const { world, from, to, sender } = createPair()
    await save(from, 9, 'abc', 'de', 'f')
    world.cut = (part) => part === 3 ? 'before' : null
    sender.start(n2, asTerm(2))
    await until('the loss', () => world.ended.length === 1)
    const newer = await save(from, 12, 'xyz')
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 2)
    expect(world).toMatchObject({ ended: [null, 12], installed: [12] })
    expect(await bytesOf(to, newer)).toBe('xyz')
  })

  it('one whose file is gone before it is read is replaced by the newer one at once', async () => {
    const { world, from, sender } = createPair()
    await save(from, 9, 'abc')
    world.beforePart = async (part) => { if (part === 1) await save(from, 12, 'xyz') }
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 1)
    expect(world.ended).toEqual([12])
    expect(world.parts.map(({ index }) => index)).toEqual([9, 12, 12])
  })

  it('a receiver that has lost the beginning is sent it again', async () => {
    const { world, from, to, sender } = createPair()
    const info = await save(from, 9, 'abc', 'de', 'f')
    world.beforePart = async (part) => { if (part === 3) await (await to.receive(info)).discard() }
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 1)
    expect(world.ended).toEqual([9])
    expect(await bytesOf(to, info)).toBe('abcdef')
  })

  it('is the only one on its way to that peer; stopping it ends it without a report', async () => {
    const { world, sender, goOn } = await heldUp()
    sender.stop()
    expect(sender.oldestIndex).toBeNull()
    goOn()
    sender.start(n2, asTerm(3))
    await until('the end of the second', () => world.ended.length === 1)
    expect(world.ended).toEqual([9])
  })

  it('ends without a report when its receiver is no member any more, and not when another one is', async () => {
    const { world, sender, goOn } = await heldUp()
    sender.keep([n1, n2])
    expect(sender.oldestIndex).toBe(9)
    sender.keep([n1])
    expect(sender.oldestIndex).toBeNull()
    goOn()
    sender.start(n2, asTerm(2))
    await until('the end of the second', () => world.ended.length === 1)
    expect(world.ended).toEqual([9])
  })

  it('chunks of several snapshots that arrive at once are handled one after the other, and leave no other file', async () => {
    const directory = await temporaryDirectory()
    const store = new FileSnapshotStore({ directory, clusterId: 'orders' })
    await store.open()
    const data = Buffer.from('abc')
    const receiver = new SnapshotReceiver(store, {
      position: () => ({ term: asTerm(2), commitIndex: 0 }),
      installViolation: () => null
    })
    const chunk = (index: number, offset: number, bytes: Uint8Array): SnapshotChunk => ({
      term: asTerm(2), info: { ...metaOf(index), bytes: data.length, checksum: crc32(data) }, offset, bytes
    })
    const replies = await Promise.all(
      [
        chunk(6, 0, data.subarray(0, 2)),
        chunk(7, 0, data.subarray(0, 2)),
        chunk(7, 0, data),
        chunk(7, 2, data.subarray(2)),
        chunk(7, 2, data.subarray(2))
      ].map((one) => receiver.receive(n1, one))
    )
    expect(replies.map(({ offset }) => offset)).toEqual([2, 2, 2, 3, 3])
    expect(replies.flatMap(({ installation }) => installation?.snapshot.index ?? [])).toEqual([7, 7])
    expect(await readdir(join(directory, 'snapshots'))).toEqual(['snapshot-0000000000000007-0000000000000002'])
  })

  it('is not sent faster than allowed', async () => {
    const { world, from, sender } = createPair({ bytesPerSecond: 1_000 })
    await save(from, 9, 'x'.repeat(100), 'y'.repeat(100), 'z')
    const startMs = performance.now()
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 1)
    expect(performance.now() - startMs).toBeGreaterThan(190)
  })

  it('is refused by a node of a later term before any data is sent', async () => {
    const { world, from, to, sender } = createPair()
    await save(from, 9, 'abc')
    world.term = asTerm(5)
    sender.start(n2, asTerm(2))
    await until('the end', () => world.ended.length === 1)
    expect(world).toMatchObject({ ended: [null], installed: [], parts: [{ length: 0 }] })
    expect(to.latest()).toBeNull()
  })
})

const clusters: EngineCluster[] = []

afterEach(async () => { for (const cluster of clusters.splice(0)) await cluster.close() })

describe('a snapshot from an untrusted sender', () => {
  it('is refused with a code when it is malformed or wrong, and changes nothing', async () => {
    const cluster = new EngineCluster()
    clusters.push(cluster)
    await cluster.start(3)
    const leader = await until('a leader', () => cluster.leaders[0])
    await leader.engine.propose(Buffer.from('kept'))
    const target = await until('a follower that has applied', () =>
      [...cluster.nodes.values()].find((node) => node !== leader && node.machine.journal.length === 1)
    )
    const other = [...cluster.nodes.values()].find((node) => node !== leader && node !== target)
    if (other === undefined) throw new Error('there are three nodes')
    const { term } = leader.engine.status()
    const uuid = await until('it knows its cluster', () => target.engine.clusterUuid())
    const data = Buffer.from('no state at all')
    const length = { bytes: data.byteLength, checksum: crc32(data) }
    const info: SnapshotInfo = { ...metaOf(1_000, uuid), term: asTerm(term), ...length }
    const address = {
      clusterId: 'test',
      from: asNodeId(leader.id),
      to: asNodeId(target.id),
      incarnation: leader.storage.incarnation,
      expectedIncarnation: ''
    }
    const post = async (body: Uint8Array) => {
      const response = await fetch(`${target.url}/_cluster/raft/snapshot`, {
        method: 'POST',
        body: new Blob([Uint8Array.from(body)]),
        headers: { 'content-type': 'application/octet-stream' }
      })
      return { status: response.status, body: await response.text() }
    }
    const chunk = (change: Partial<SnapshotInfo>, rest: Partial<SnapshotChunk> = {}) =>
      encodeSnapshotChunk(address, {
        term: asTerm(term),
        info: { ...info, ...change },
        offset: 0,
        bytes: data,
        ...rest
      })
    const unknownVersion = chunk({})
    // Behind the place for the cluster of the sender, which names none.
    const place = unknownVersion.indexOf(Buffer.from(leader.storage.incarnation)) + leader.storage.incarnation.length
    unknownVersion[place + 2] = 9
    const refused: ReadonlyArray<readonly [what: string, body: Uint8Array, code: string]> = [
      ['unknown version', unknownVersion, 'RAFT_SNAPSHOT_VERSION'],
      ['wrong checksum', chunk({ checksum: 7 }), 'RAFT_SNAPSHOT_CORRUPT'],
      ['more than announced', chunk({ bytes: 3 }), 'RAFT_MALFORMED_MESSAGE'],
      ['oversized', chunk({ bytes: 2 ** 40 }), 'RAFT_TOO_LARGE'],
      ['no configuration', chunk({ configuration: Buffer.from('../../etc') }), 'RAFT_SNAPSHOT_CORRUPT'],
      ['cut short', chunk({}).subarray(0, 40), 'RAFT_MALFORMED_MESSAGE'],
      [
        'another cluster',
        encodeSnapshotChunk({ ...address, clusterId: 'other' }, { term: asTerm(term), info, offset: 0, bytes: data }),
        'RAFT_MISDIRECTED'
      ],
      [
        'another node',
        encodeSnapshotChunk({ ...address, to: asNodeId('n9') }, { term: asTerm(term), info, offset: 0, bytes: data }),
        'RAFT_MISDIRECTED'
      ],
      ['of another cluster of the name', chunk(metaOf(1_000, 'x')), 'RAFT_OTHER_CLUSTER'],
      ['of a cluster without a UUID', chunk(metaOf(1_000)), 'RAFT_OTHER_CLUSTER'],
      [
        'from another cluster of the name',
        encodeSnapshotChunk(
          { ...address, cluster: { uuid: 'x', isCommitted: true } },
          { term: asTerm(term), info, offset: 0, bytes: data }
        ),
        'RAFT_OTHER_CLUSTER'
      ],
      ['an absurd term', chunk({}, { term: asTerm(2 ** 40) }), 'RAFT_MALFORMED_MESSAGE'],
      [
        'a second leader',
        encodeSnapshotChunk(
          { ...address, from: asNodeId(other.id), incarnation: other.storage.incarnation },
          { term: asTerm(term), info, offset: 0, bytes: data }
        ),
        'RAFT_MALFORMED_MESSAGE'
      ],
      [
        'a stranger',
        encodeSnapshotChunk(
          { ...address, from: asNodeId('stranger') },
          { term: asTerm(term), info, offset: 0, bytes: data }
        ),
        'RAFT_UNAUTHORIZED'
      ]
    ]
    for (const [what, body, code] of refused) {
      const answer = await post(body)
      expect(answer.status, what).not.toBe(200)
      expect(answer.body, what).toContain(code)
    }
    // A chunk at the wrong offset is no error: the answer names the right offset.
    expect((await post(chunk({}, { offset: 4, bytes: data.subarray(4) }))).status).toBe(200)
    // The leader may record incarnations meanwhile, so the log's end may have moved.
    expect(target.engine.status()).toMatchObject({ term, failure: null })
    expect(target.engine.status().lastIndex).toBeLessThanOrEqual(leader.engine.status().lastIndex)
    expect(target.machine.journal).toHaveLength(1)
    await leader.engine.propose(Buffer.from('goes on'))
    await until('it goes on', () => target.machine.journal.length === 2)
    expect(target.engine.status().term).toBe(term)
  })
})
