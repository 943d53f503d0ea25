import { describe, expect, it } from 'vitest'
import { asIndex } from '../../../../src/raft/core/index.ts'
import type { FileStorage } from '../../../../src/raft/storage/file-storage.ts'
import type { StorageBatch } from '../../../../src/raft/storage/storage.ts'
import { segmentName } from '../../../../src/raft/storage/wal/segment-file.ts'
import {
  baseOf,
  batch,
  codeOf,
  entry,
  fileStorage,
  hardState,
  readBack,
  rejection,
  stateAfter,
  systemError,
  writeGroups
} from '../support/opening.ts'
import { randomFrom, SimulatedDisk } from '../support/simulated-disk.ts'

const segmentBytes = 4096

function open (disk: SimulatedDisk): FileStorage {
  return fileStorage(disk.directory, disk.files, segmentBytes)
}

function newDisk (): SimulatedDisk {
  return new SimulatedDisk(randomFrom(1))
}

/** Groups that fill five segments. */
const groups: readonly StorageBatch[] = [
  batch(hardState(3, 'n2'), entry(1, 1)),
  ...Array.from({ length: 26 }, (_, i) => batch(null, entry(i + 2, 2, new Uint8Array(513).fill(i + 1))))
]

async function diskOf (batches: readonly StorageBatch[]): Promise<SimulatedDisk> {
  const disk = newDisk()
  await writeGroups(open(disk), batches)
  return disk
}

/** A copy of the disk without some of its segments. */
function without (disk: SimulatedDisk, ...ids: number[]): SimulatedDisk {
  const rest = newDisk()
  for (const name of disk.names) {
    if (!ids.some((id) => name === segmentName(id))) rest.put(name, disk.read(name))
  }
  return rest
}

describe('segments', () => {
  it('have one size, and no other file is left when the log is closed', async () => {
    const disk = await diskOf(groups)
    expect(disk.names).toEqual([1, 2, 3, 4, 5].map(segmentName))
    for (const name of disk.names) expect(disk.read(name)).toHaveLength(segmentBytes)
    expect(await readBack(open(disk))).toEqual(stateAfter(groups))
  })

  it('a group larger than a segment gets a larger segment', async () => {
    const large = [
      ...groups.slice(0, 3),
      batch(null, entry(4, 2, new Uint8Array(10_000).fill(1))),
      batch(null, entry(5, 2))
    ]
    const disk = await diskOf(large)
    expect(await readBack(open(disk))).toEqual(stateAfter(large))
    expect(disk.names).toHaveLength(3)
    expect(disk.read(segmentName(2)).length).toBeGreaterThan(10_000)
    expect(disk.read(segmentName(3))).toHaveLength(segmentBytes)
  })

  it('each holds the hard state, so that older ones can be removed', async () => {
    const disk = newDisk()
    const storage = open(disk)
    await storage.open()
    for (const one of groups) await storage.append(one)
    await storage.compact(asIndex(24))
    await storage.close()
    expect(disk.names).toEqual([4, 5].map(segmentName))
    expect(await readBack(open(disk))).toEqual({
      base: baseOf(entry(24, 2)),
      hardState: hardState(3, 'n2'),
      entries: stateAfter(groups).entries.slice(24)
    })
  })

  it('that are compacted in part stay', async () => {
    const disk = newDisk()
    const storage = open(disk)
    await storage.open()
    for (const one of groups) await storage.append(one)
    await storage.compact(asIndex(10))
    await storage.close()
    expect(disk.names).toEqual([2, 3, 4, 5].map(segmentName))
    const state = await readBack(open(disk))
    expect([state.base.index, state.entries[0]?.index, state.entries.length]).toEqual([10, 11, 17])
  })

  it('are removed at the next start after a crash between a compaction and the removal', async () => {
    const disk = newDisk()
    const storage = fileStorage(
      disk.directory,
      { ...disk.files, remove: () => Promise.reject(systemError('EIO')) },
      segmentBytes
    )
    await storage.open()
    for (const one of groups.slice(0, 4)) await storage.append(one)
    for (const one of groups.slice(4)) await storage.append(one)
    const first = await rejection(storage.compact(asIndex(24)))
    expect(first).toMatchObject({ code: 'RAFT_STORAGE_FAILED', cause: { code: 'EIO' } })
    expect(await rejection(storage.append(batch(null)))).toBe(first)
    await storage.close().catch(() => {})
    expect(disk.names.length).toBeGreaterThan(3)
    expect((await readBack(open(disk))).base).toEqual(baseOf(entry(24, 2)))
    expect(disk.names).toEqual([4, 5].map(segmentName))
  })

  it('from before a reset are removed without being read', async () => {
    const disk = await diskOf(groups)
    const old = without(disk)
    const storage = open(disk)
    await storage.open()
    await storage.reset(baseOf(entry(99, 3)), hardState(4))
    await storage.close()
    expect(disk.names).toEqual([segmentName(6)])
    disk.put(segmentName(2), old.read(segmentName(2)))
    disk.put(segmentName(4), old.read(segmentName(4)).fill(7, 2000))
    expect(await readBack(open(disk))).toEqual({ base: baseOf(entry(99, 3)), hardState: hardState(4), entries: [] })
    expect(disk.names).toEqual([segmentName(6)])
  })

  it('are prepared ahead, and a failure of that is not fatal', async () => {
    const disk = newDisk()
    let creations = 0
    const storage = fileStorage(disk.directory, {
      ...disk.files,
      createNew: (path) => {
        creations++
        return creations === 2 ? Promise.reject(systemError('ENOSPC')) : disk.files.createNew(path)
      }
    }, segmentBytes)
    await storage.open()
    for (const one of groups.slice(0, 5)) await storage.append(one)
    expect(creations).toBe(2)
    expect(disk.names).toEqual([segmentName(1)])
    await expect.poll(() => storage.lowSpace).toBe(true)
    for (const one of groups.slice(5)) await storage.append(one)
    await storage.close()
    expect(await readBack(open(disk))).toEqual(stateAfter(groups))
  })
})

describe('a segment that is missing or wrong', () => {
  it.each([
    [1, 'entries 1 to'],
    [2, 'are missing'],
    [3, 'are missing']
  ])('segment %i is missed', async (id, message) => {
    const disk = without(await diskOf(groups), id)
    const names = disk.names
    const refused = await rejection(open(disk).open())
    expect(refused.code).toBe('RAFT_WAL_CORRUPT')
    expect(refused.message).toContain(message)
    expect(disk.names).toEqual(names)
  })

  it('one of another log with the same content refuses to start', async () => {
    const disk = await diskOf(groups)
    const other = await diskOf(groups)
    disk.put(segmentName(2), other.read(segmentName(2)))
    expect(await codeOf(open(disk).open())).toBe('RAFT_WAL_CORRUPT')
  })

  it('one under the name of another refuses to start', async () => {
    const disk = await diskOf(groups)
    disk.put(segmentName(6), disk.read(segmentName(4)))
    await expect(open(disk).open()).rejects.toThrow('it is segment 4 under the name of another')
  })

  it('a torn tail in any but the last refuses to start', async () => {
    const disk = await diskOf(groups)
    disk.put(segmentName(2), disk.read(segmentName(2)).fill(0, 3000))
    expect(await codeOf(open(disk).open())).toBe('RAFT_WAL_CORRUPT')
  })

  it('bytes behind the end of a complete one do not matter', async () => {
    const disk = await diskOf(groups)
    const bytes = disk.read(segmentName(2))
    bytes.writeUInt8(1, bytes.length - 1)
    disk.put(segmentName(2), bytes)
    expect(await readBack(open(disk))).toEqual(stateAfter(groups))
  })
})
