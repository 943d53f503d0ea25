import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { SnapshotInfo, SnapshotMeta, SnapshotStore } from '../../../../src/raft/storage/snapshot-store.ts'
import { FileSnapshotStore } from '../../../../src/raft/storage/snapshots/file-snapshot-store.ts'
import { MemorySnapshotStore } from '../../../../src/raft/storage/snapshots/memory-snapshot-store.ts'
import { baseOf, codeOf, entry, temporaryDirectory } from '../support/opening.ts'

const maxBytes = 100_000

const twins: readonly { readonly name: string; readonly make: () => Promise<SnapshotStore> }[] = [
  { name: 'MemorySnapshotStore', make: async () => new MemorySnapshotStore({ maxBytes }) },
  {
    name: 'FileSnapshotStore',
    make: async () =>
      new FileSnapshotStore({
        directory: join(await temporaryDirectory()),
        clusterId: 'orders',
        chunkBytes: 1000,
        maxBytes
      })
  }
]

const configuration = new Uint8Array(Buffer.from('{"voters":["n1"]}'))
function meta (index: number, term = 1): SnapshotMeta {
  return { ...baseOf(entry(index, term)), configuration }
}

function bytesOf (count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, i) => (i * 7 + (i >> 8)) & 255))
}

async function * chunksOf (data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}

async function all (source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

function announced (data: Buffer, index = 5): SnapshotInfo {
  return { ...meta(index), bytes: data.length, checksum: crc32(data) }
}

describe.each(twins)('the contract of SnapshotStore: $name', ({ make }) => {
  const opened = async (): Promise<SnapshotStore> => {
    const store = await make()
    await store.open()
    return store
  }

  it('has none at first', async () => {
    expect((await opened()).latest()).toBeNull()
  })

  it.each([0, 1, 999, 1000, 1001, 2000, 50_000])(
    'reads back %i bytes from any offset, written in chunks of any size',
    async (count) => {
      const store = await opened()
      const data = bytesOf(count)
      for (const size of [7, 1000, 60_000]) {
        const info = await store.save(meta(5), chunksOf(data, size))
        expect(info).toEqual(announced(data))
        expect(store.latest()).toEqual(info)
        for (const offset of [0, 1, 999, 1000, 1500, count]) {
          expect(
            (await all(store.read(info, offset))).equals(data.subarray(offset)),
            `chunks of ${size} from ${offset}`
          ).toBe(true)
        }
      }
    }
  )

  it('trap A18: the newest is the latest one, also when an older one is saved later, and the oldest are removed', async () => {
    const store = await opened()
    const infos: SnapshotInfo[] = []
    for (const index of [5, 9, 7]) infos.push(await store.save(meta(index), chunksOf(bytesOf(index), 3)))
    const [first, newest, middle] = infos
    if (first === undefined || newest === undefined || middle === undefined) throw new Error('not saved')
    expect(store.latest()).toEqual(newest)
    expect(await all(store.read(newest))).toEqual(bytesOf(9))
    expect(await all(store.read(middle))).toEqual(bytesOf(7))
    expect(await codeOf(all(store.read(first)))).toBe('RAFT_SNAPSHOT_GONE')
  })

  it('a save whose source fails leaves nothing, and the next one succeeds', async () => {
    const store = await opened()
    const failing = async function * (): AsyncGenerator<Uint8Array> {
      yield bytesOf(3000)
      throw Object.assign(new Error('the state machine failed'), { code: 'HERE' })
    }
    expect(await codeOf(store.save(meta(5), failing()))).toBe('HERE')
    expect(store.latest()).toBeNull()
    await store.save(meta(5), chunksOf(bytesOf(10), 10))
    expect(store.latest()?.bytes).toBe(10)
  })

  it('refuses snapshots and configurations above the limit', async () => {
    const store = await opened()
    expect(await codeOf(store.save(meta(5), chunksOf(bytesOf(maxBytes + 1), 5000)))).toBe('RAFT_TOO_LARGE')
    expect(
      await codeOf(store.save({ ...meta(5), configuration: new Uint8Array(1024 * 1024 + 1) }, chunksOf(bytesOf(1), 1)))
    ).toBe('RAFT_TOO_LARGE')
    expect(await codeOf(store.receive({ ...announced(bytesOf(1)), bytes: maxBytes + 1 }))).toBe('RAFT_TOO_LARGE')
    expect(store.latest()).toBeNull()
  })

  it.each([-1, 1.5, Number.NaN, 2 ** 53])('refuses an announcement with the number %d', async (number) => {
    const store = await opened()
    const good = announced(bytesOf(1))
    for (const bad of [
      { ...good, index: number },
      { ...good, term: number },
      { ...good, timeMs: number },
      { ...good, bytes: number }
    ]) {
      expect(await codeOf(store.receive(bad as SnapshotInfo))).toBe('RAFT_SNAPSHOT_CORRUPT')
    }
  })

  it('receives chunks, resumes at the offset, and skips bytes that it has', async () => {
    const store = await opened()
    const data = bytesOf(5000)
    const first = await store.receive(announced(data))
    expect(await first.write(0, data.subarray(0, 1700))).toBe(1700)
    const again = await store.receive(announced(data))
    expect(again.offset).toBe(1700)
    expect(await again.write(1000, data.subarray(1000, 2500))).toBe(2500)
    expect(await again.write(0, data.subarray(0, 10))).toBe(2500)
    expect(store.latest()).toBeNull()
    expect(await again.write(2500, data.subarray(2500))).toBe(5000)
    expect(await again.finish()).toEqual(announced(data))
    expect(store.latest()).toEqual(announced(data))
    expect(await all(store.read(announced(data)))).toEqual(data)
  })

  it('refuses gaps, too many bytes, too few bytes, and other bytes than announced', async () => {
    const store = await opened()
    const data = bytesOf(3000)
    const incoming = await store.receive(announced(data))
    await incoming.write(0, data.subarray(0, 1000))
    expect(await codeOf(incoming.write(1001, data.subarray(1001)))).toBe('RAFT_SNAPSHOT_CORRUPT')
    expect(await codeOf(incoming.write(1000, bytesOf(2001)))).toBe('RAFT_SNAPSHOT_CORRUPT')
    expect(await codeOf(incoming.finish())).toBe('RAFT_SNAPSHOT_CORRUPT')
    expect(await incoming.write(1000, bytesOf(2000))).toBe(3000)
    expect(await codeOf(incoming.finish())).toBe('RAFT_SNAPSHOT_CORRUPT')
    expect(await codeOf(incoming.write(0, data))).toBe('RAFT_SNAPSHOT_CORRUPT')
    expect(store.latest()).toBeNull()
  })

  it('a newly announced one replaces the one under way', async () => {
    const store = await opened()
    const old = await store.receive(announced(bytesOf(3000)))
    await old.write(0, bytesOf(100))
    const fresh = await store.receive(announced(bytesOf(50), 6))
    expect(await codeOf(old.write(100, bytesOf(1)))).toBe('RAFT_SNAPSHOT_CORRUPT')
    await fresh.write(0, bytesOf(50))
    expect((await fresh.finish()).index).toBe(6)
  })
})
