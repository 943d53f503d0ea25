import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../../../../src/raft/core/index.ts'
import { asIndex } from '../../../../src/raft/core/index.ts'
import { inspectDirectory } from '../../../../src/raft/storage/data-directory.ts'
import { SpaceWatch } from '../../../../src/raft/storage/disk/space-watch.ts'
import { MemoryStorage } from '../../../../src/raft/storage/memory-storage.ts'
import type { RecoveredState, Storage, StorageBatch } from '../../../../src/raft/storage/storage.ts'
import { LogQueue } from '../../../../src/raft/storage/wal/log-queue.ts'
import type { RecoveredLog } from '../../../../src/raft/storage/wal/recovery.ts'
import { recoverLog } from '../../../../src/raft/storage/wal/recovery.ts'
import { repairLog } from '../../../../src/raft/storage/wal/repair.ts'
import type { ReplayOptions } from '../../../../src/raft/storage/wal/replay-window.ts'
import { SegmentedLog } from '../../../../src/raft/storage/wal/segmented-log.ts'
import {
  baseOf,
  batch,
  entry,
  fileStorage,
  hardState,
  hastyFiles,
  identity,
  picture,
  readBack,
  readSegment,
  segmentPath,
  stateAfter,
  temporaryDirectory,
  writeGroups
} from '../support/opening.ts'

const total = 20_000
const trailingEntries = 500

/** Groups of 50 entries, each with a hard state that commits the group before it. */
const groups: readonly StorageBatch[] = Array.from({ length: total / 50 }, (_, i) =>
  batch(hardState(1, 'n1', i * 50), ...Array.from({ length: 50 }, (__, k) => entry(i * 50 + k + 1, 1))))

async function recover (directory: string, options: ReplayOptions): Promise<RecoveredLog> {
  const { segmentIds } = await inspectDirectory(hastyFiles, directory)
  return recoverLog(hastyFiles, directory, segmentIds, identity, options)
}

/** Reads a log with a replay. Returns the entries handed over and the state recovered. */
async function replay (
  directory: string,
  options: Partial<ReplayOptions> = {}
): Promise<{ handedOver: Entry[]; batches: number; state: RecoveredState }> {
  const handedOver: Entry[] = []
  let batches = 0
  const { state } = await recover(directory, {
    trailingEntries,
    onCommitted: async (entries) => {
      await Promise.resolve()
      handedOver.push(...entries)
      batches++
    },
    ...options
  })
  return { handedOver, batches, state }
}

const largeSegment = 256 * 1024
function open (directory: string): Storage {
  return fileStorage(directory, hastyFiles, largeSegment)
}

async function logOf (batches: readonly StorageBatch[]): Promise<string> {
  const directory = await temporaryDirectory()
  await writeGroups(open(directory), batches)
  return directory
}

describe('a log that is read with a replay', () => {
  it('hands over every committed entry once and in order, and keeps the trailing ones and the uncommitted ones', async () => {
    const directory = await logOf(groups)
    const { handedOver, batches, state } = await replay(directory)
    expect(handedOver).toEqual(stateAfter(groups).entries.slice(0, total - 50))
    expect(batches).toBeGreaterThan(5)
    expect(state.hardState).toEqual(hardState(1, 'n1', total - 50))
    expect(state.base).toEqual(baseOf(entry(state.base.index, 1)))
    expect(state.entries).toEqual(stateAfter(groups).entries.slice(state.base.index))
    expect(state.entries.length).toBeGreaterThanOrEqual(trailingEntries)
    expect(state.entries.length).toBeLessThan(total / 4)
  })

  it('is complete at the next start: entries are dropped from memory only', async () => {
    const directory = await logOf(groups)
    await replay(directory)
    expect(await readBack(open(directory))).toEqual(stateAfter(groups))
  })

  it('accepts appends and compactions behind the trailing entries', async () => {
    const directory = await logOf(groups)
    const recovered = await recover(directory, { trailingEntries: 0, onCommitted: () => {} })
    const disk = hastyFiles.startDisk('log')
    const space = new SpaceWatch(hastyFiles, { directory, minFreeBytes: 0, intervalMs: 60_000, onLowSpace: () => {} })
    const log = new SegmentedLog(
      { directory, identity, files: hastyFiles, disk, segmentBytes: largeSegment, space },
      recovered,
      await repairLog(hastyFiles, directory, recovered)
    )
    const queue = new LogQueue(recovered.rules, log)
    await queue.append(batch(hardState(2, null, total), entry(total + 1, 2)))
    await queue.compact(asIndex(15_000))
    await log.removeCompacted()
    await log.close()
    await disk.stop()
    const state = await readBack(open(directory))
    expect(state.base).toEqual(baseOf(entry(15_000, 1)))
    expect(state.entries).toHaveLength(total + 1 - 15_000)
  })

  it('never hands over an entry that may be replaced', async () => {
    const replaced = [
      batch(
        hardState(1, 'n1', 2),
        entry(1, 1),
        entry(2, 1),
        ...Array.from({ length: 3000 }, (_, i) => entry(i + 3, 1))
      ),
      batch(hardState(2, 'n2', 2), entry(3, 2), entry(4, 2)),
      batch(hardState(2, 'n2', 3))
    ]
    const { handedOver, state } = await replay(await logOf(replaced))
    expect(handedOver).toEqual([entry(1, 1), entry(2, 1), entry(3, 2)])
    expect(state).toEqual(stateAfter(replaced))
  })

  it('has no gap behind the last compacted entry', async () => {
    const directory = await logOf(groups)
    const storage = open(directory)
    await storage.open()
    await storage.append(batch(hardState(1, 'n1', total)))
    await storage.compact(asIndex(12_345))
    await storage.append(batch(null, entry(total + 1, 1)))
    await storage.close()
    const { handedOver, state } = await replay(directory)
    const behind = handedOver.filter(({ index }) => index > 12_345)
    expect(behind.map(({ index }) => index)).toEqual(Array.from({ length: total - 12_345 }, (_, i) => 12_346 + i))
    expect(state.entries.at(-1)?.index).toBe(total + 1)
  })

  it('rejects with the reason of a reader that refuses an entry, changes nothing, and can be read again', async () => {
    const directory = await logOf(groups)
    const before = await picture(directory)
    const reason = new Error('the state machine does not know this')
    await expect(replay(directory, { onCommitted: () => Promise.reject(reason) })).rejects.toBe(reason)
    expect(await picture(directory)).toEqual(before)
    expect((await replay(directory)).handedOver).toHaveLength(total - 50)
  })

  it('hands over nothing of a torn tail', async () => {
    const directory = await logOf([...groups, batch(hardState(1, 'n1', total))])
    const { bytes, end } = await readSegment(directory, Object.keys(await picture(directory)).length)
    await writeFile(segmentPath(directory, Object.keys(await picture(directory)).length), bytes.fill(0, end - 1))
    expect((await replay(directory)).handedOver).toHaveLength(total - 50)
  })

  it('hands over the entries of the storage in memory, and keeps all of them with enough trailing entries', async () => {
    const storage = new MemoryStorage()
    await writeGroups(storage, groups)
    const inMemory = await readBack(storage)
    const { handedOver, state } = await replay(await logOf(groups), { trailingEntries: total })
    expect(handedOver).toEqual(inMemory.entries.slice(0, total - 50))
    expect(state).toEqual(inMemory)
    expect(inMemory).toEqual(stateAfter(groups))
  })
})
