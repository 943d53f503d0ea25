import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { FileOperations } from '../../../../src/raft/storage/disk/file-operations.ts'
import { nodeFileOperations } from '../../../../src/raft/storage/disk/file-system.ts'
import { FileSnapshotStore } from '../../../../src/raft/storage/snapshots/file-snapshot-store.ts'
import { baseOf, codeOf, entry, picture, systemError, temporaryDirectory } from '../support/opening.ts'

const meta = { ...baseOf(entry(5, 1)), configuration: new Uint8Array(Buffer.from('{}')) }
const name = 'snapshot-0000000000000005-0000000000000001'

function storeIn (
  directory: string,
  files: FileOperations = nodeFileOperations,
  clusterId = 'orders'
): FileSnapshotStore {
  return new FileSnapshotStore({ directory, clusterId, chunkBytes: 100 }, files)
}

async function * source (): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 5; i++) yield new Uint8Array(70).fill(i)
}

async function drain (store: FileSnapshotStore): Promise<number> {
  const info = store.latest()
  if (info === null) throw new Error('there is none')
  let bytes = 0
  for await (const chunk of store.read(info)) bytes += chunk.length
  return bytes
}

async function saved (): Promise<{ directory: string, path: string, bytes: Buffer }> {
  const directory = await temporaryDirectory()
  const store = storeIn(directory)
  await store.open()
  await store.save(meta, source())
  const path = join(directory, 'snapshots', name)
  return { directory, path, bytes: await readFile(path) }
}

describe('a snapshot file', () => {
  it('is found again after a restart, and private', async () => {
    const { directory } = await saved()
    const store = storeIn(directory)
    await store.open()
    expect(store.latest()).toMatchObject({ index: 5, term: 1, bytes: 350 })
    expect(await drain(store)).toBe(350)
    expect(Object.values(await picture(join(directory, 'snapshots')))[0]).toMatch(/^100600 /)
  })

  it('that a crash left unfinished is removed at the next start', async () => {
    const { directory } = await saved()
    await writeFile(join(directory, 'snapshots', `${name}-1.new`), 'raft-')
    await storeIn(directory).open()
    expect(await readdir(join(directory, 'snapshots'))).toEqual([name])
  })

  it('gets its name only when it is durable; then the oldest are removed', async () => {
    const { directory } = await saved()
    const calls: string[] = []
    const files: FileOperations = {
      ...nodeFileOperations,
      createNew: async (path) => {
        const file = await nodeFileOperations.createNew(path)
        return { ...file, sync: async () => { calls.push('sync file'); await file.sync() } }
      },
      rename: async (from, to) => { calls.push('rename'); await nodeFileOperations.rename(from, to) },
      syncDirectory: async (path) => { calls.push('sync directory'); await nodeFileOperations.syncDirectory(path) },
      remove: async (path) => { calls.push('remove'); await nodeFileOperations.remove(path) }
    }
    const store = storeIn(directory, files)
    await store.open()
    await store.save({ ...meta, ...baseOf(entry(6, 1)) }, source())
    calls.length = 0
    await store.save({ ...meta, ...baseOf(entry(7, 1)) }, source())
    expect(calls).toEqual(['sync file', 'rename', 'sync directory', 'remove'])
    expect(await readdir(join(directory, 'snapshots'))).toHaveLength(2)
  })

  it.each(['ENOSPC', 'EIO'])('that cannot be written (%s) leaves no file', async (code) => {
    const { directory } = await saved()
    const before = await picture(join(directory, 'snapshots'))
    const store = storeIn(directory, {
      ...nodeFileOperations,
      createNew: async (path) => ({
        ...(await nodeFileOperations.createNew(path)),
        sync: () => Promise.reject(systemError(code))
      })
    })
    await store.open()
    expect(await codeOf(store.save({ ...meta, ...baseOf(entry(9, 1)) }, source()))).toBe(code)
    expect(await picture(join(directory, 'snapshots'))).toEqual(before)
    expect(store.latest()?.index).toBe(5)
  })

  it('that is cut at any byte, grown, or has any bit flipped is never read as a whole', async () => {
    const { directory, path, bytes } = await saved()
    const outcome = async (content: Uint8Array): Promise<string> => {
      await writeFile(path, content)
      const store = storeIn(directory)
      const whole = store.open().then(() => drain(store))
      return whole.then((count) => `read ${count} bytes`, (error: Error & { code: string }) => error.code)
    }
    const refusals = ['RAFT_SNAPSHOT_CORRUPT', 'RAFT_SNAPSHOT_VERSION', 'RAFT_DATA_DIR_FOREIGN']
    for (let length = 0; length < bytes.length; length++) {
      expect(await outcome(bytes.subarray(0, length)), `cut at ${length}`).toBe('RAFT_SNAPSHOT_CORRUPT')
    }
    expect(await outcome(Buffer.concat([bytes, Buffer.alloc(1)]))).toBe('RAFT_SNAPSHOT_CORRUPT')
    expect(await outcome(Buffer.concat([bytes, bytes.subarray(-24)]))).toBe('RAFT_SNAPSHOT_CORRUPT')
    for (let at = 0; at < bytes.length; at++) {
      const hurt = Buffer.from(bytes)
      hurt.writeUInt8(hurt.readUInt8(at) ^ (1 << (at % 8)), at)
      expect(refusals, `byte ${at}`).toContain(await outcome(hurt))
    }
    expect(await outcome(bytes)).toBe('read 350 bytes')
  })

  it('with two chunks swapped is refused', async () => {
    const { directory, path, bytes } = await saved()
    const first = 20 + bytes.readUInt32BE(16)
    const swapped = Buffer.concat([
      bytes.subarray(0, first),
      bytes.subarray(first + 108, first + 216),
      bytes.subarray(first, first + 108),
      bytes.subarray(first + 216)
    ])
    await writeFile(path, swapped)
    const store = storeIn(directory)
    await store.open()
    expect(await codeOf(drain(store))).toBe('RAFT_SNAPSHOT_CORRUPT')
  })

  it('of a newer version, of another cluster or under another name is refused, and nothing is changed', async () => {
    const { directory, path, bytes } = await saved()
    const newer = Buffer.from(bytes)
    newer.writeUInt32BE(2, 12)
    newer.writeUInt32BE(crc32(newer.subarray(12, 20 + newer.readUInt32BE(16))), 8)
    await writeFile(path, newer)
    await writeFile(join(directory, 'snapshots', 'left.new'), 'x')
    expect(await codeOf(storeIn(directory).open())).toBe('RAFT_SNAPSHOT_VERSION')
    expect(await readdir(join(directory, 'snapshots'))).toContain('left.new')
    await writeFile(path, bytes)
    expect(await codeOf(storeIn(directory, nodeFileOperations, 'billing').open())).toBe('RAFT_DATA_DIR_FOREIGN')
    await writeFile(join(directory, 'snapshots', name.replace('5-', '6-')), bytes)
    expect(await codeOf(storeIn(directory).open())).toBe('RAFT_SNAPSHOT_CORRUPT')
  })

  it('other files in the directory are left alone', async () => {
    const { directory } = await saved()
    await mkdir(join(directory, 'snapshots', 'mine'))
    await writeFile(join(directory, 'snapshots', 'notes'), 'x')
    await storeIn(directory).open()
    expect((await readdir(join(directory, 'snapshots'))).sort()).toEqual(['mine', 'notes', name])
  })
})
