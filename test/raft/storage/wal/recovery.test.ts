import { open, writeFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Entry } from '../../../../src/raft/core/index.ts'
import { asIndex, asTerm } from '../../../../src/raft/core/index.ts'
import { nodeFileOperations } from '../../../../src/raft/storage/disk/file-system.ts'
import type { LogPoint, StorageBatch } from '../../../../src/raft/storage/storage.ts'
import { groupHeadBytes, sealGroup } from '../../../../src/raft/storage/wal/group.ts'
import { GroupBuilder } from '../../../../src/raft/storage/wal/group-builder.ts'
import { recordHeadBytes } from '../../../../src/raft/storage/wal/records.ts'
import { encodeSegmentHeader } from '../../../../src/raft/storage/wal/segment-header.ts'
import {
  batch,
  codeOf,
  contentOf,
  entry,
  fileStorage,
  hardState,
  identity,
  inlineDisk,
  readBack,
  readSegment,
  rejection,
  segmentBytes,
  segmentPath,
  stateAfter,
  temporaryDirectory,
  writeGroups
} from '../support/opening.ts'

const good = batch(hardState(3, 'n1', 1), entry(1, 2), entry(2, 3))

const builder = new GroupBuilder(inlineDisk(nodeFileOperations))

/** The bytes of a group as the log writes it, for this place. */
function groupOf (batches: readonly StorageBatch[], position: number, seed: number): Buffer {
  builder.clear()
  for (const one of batches) builder.add({ kind: 'append', batch: one })
  return Buffer.from(builder.seal({ position, openingId: 1, seed }))
}

/** Appends a group with valid checksums, without the checks of the writer. */
async function appendUnchecked (directory: string, ...batches: StorageBatch[]): Promise<number> {
  const { bytes, end, seed } = await readSegment(directory)
  groupOf(batches, end, seed).copy(bytes, end)
  await writeFile(segmentPath(directory), bytes)
  return end
}

describe('an intact group', () => {
  it('is read when it obeys the rules', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), [good])
    await appendUnchecked(directory, batch(null, entry(3, 3)), batch(hardState(4, null, 3), entry(4, 4)))
    expect(await readBack(fileStorage(directory))).toEqual(
      stateAfter([good, batch(null, entry(3, 3)), batch(hardState(4, null, 3), entry(4, 4))])
    )
  })

  it.each([
    ['a gap in the indexes', batch(null, entry(4, 3)), 'entry 4 comes after entry 2'],
    ['a term that falls along the log', batch(null, entry(3, 2)), 'entry 3 has term 2 after an entry of term 3'],
    ['an entry above the hard state\'s term', batch(null, entry(3, 4)), 'above the hard state\'s term 3'],
    ['a hard state whose term falls', batch(hardState(2)), 'the term falls from 3 to 2'],
    ['a vote that changes', batch(hardState(3, 'n2')), 'the vote of term 3 changes from "n1" to "n2"'],
    ['a committed entry that is replaced', batch(hardState(4), entry(1, 4)), 'entry 1 replaces a committed one']
  ])('is refused when it holds %s', async (_name, bad, message) => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), [good])
    const start = await appendUnchecked(directory, bad)
    const { bytes } = await readSegment(directory)
    const refused = await rejection(fileStorage(directory).open())
    expect(refused.code).toBe('RAFT_WAL_CORRUPT')
    expect(refused.message).toContain(message)
    expect(Number(/at byte (\d+)/.exec(refused.message)?.[1])).toBeGreaterThan(start)
    expect((await readSegment(directory)).bytes).toEqual(bytes)
  })

  it('is refused when it holds a record of an unknown type', async () => {
    const directory = await temporaryDirectory()
    await writeGroups(fileStorage(directory), [good])
    const { bytes, end, seed } = await readSegment(directory)
    const group = groupOf([batch(null, entry(3, 3, ''))], end, seed)
    const putGroup = async (): Promise<void> => {
      group.copy(bytes, end)
      await writeFile(segmentPath(directory), bytes)
    }
    const view = new DataView(group.buffer, group.byteOffset, group.length)
    const reseal = (): void => {
      sealGroup(group, view, { position: end, openingId: 1, seed }, crc32(group.subarray(groupHeadBytes)))
    }
    const kindAt = groupHeadBytes + recordHeadBytes + 24
    for (const [at, value, message] of [
      [kindAt, 9, 'unknown kind 9'],
      [groupHeadBytes, 0x7f, 'unknown type 127'],
      [groupHeadBytes + 1, 1, 'a record goes beyond its group'],
      [group.length - 1, 0xee, 'a group does not end where it says']
    ] as const) {
      const right = group.readUInt8(at)
      group.writeUInt8(value, at)
      reseal()
      await putGroup()
      await expect(fileStorage(directory).open()).rejects.toThrow(message)
      group.writeUInt8(right, at)
    }
    reseal()
    await putGroup()
    expect(await readBack(fileStorage(directory))).toEqual(stateAfter([good, batch(null, entry(3, 3, ''))]))
  })
})

const mebibyte = 1024 * 1024

describe('a long log', () => {
  it('is read from many segments of different sizes', async () => {
    const directory = await temporaryDirectory()
    const batches = [batch(hardState(1), entry(1, 1, new Uint8Array(3_000_000).fill(7)))]
    for (let i = 2; i < 60; i++) batches.push(batch(null, entry(i, 1, new Uint8Array(41_111 + i).fill(i))))
    await writeGroups(fileStorage(directory, nodeFileOperations, 256 * 1024), batches)
    const { entries } = await readBack(fileStorage(directory))
    const lengthOf = (one: Entry): number => contentOf(one).length
    expect(entries.map(lengthOf)).toEqual(batches.flatMap((one) => one.entries.map(lengthOf)))
    expect(entries.every((one) => one.index === 1 || contentOf(one).every((byte) => byte === one.index))).toBe(true)
  })

  it.each([
    ['a start of a later term than its end', { index: 0, term: 5, timeMs: 0 }, { index: 0, term: 0, timeMs: 0 }],
    ['a start behind its end', { index: 2, term: 1, timeMs: 0 }, { index: 1, term: 1, timeMs: 0 }],
    ['an end of a later term than its own', { index: 0, term: 0, timeMs: 0 }, { index: 2, term: 9, timeMs: 0 }],
    ['two times for one place', { index: 1, term: 1, timeMs: 5 }, { index: 1, term: 1, timeMs: 6 }]
  ])('is refused when its header names %s', async (_what, base, last) => {
    const directory = await temporaryDirectory()
    const pointOf = ({ index, term, timeMs }: typeof base): LogPoint =>
      ({ index: asIndex(index), term: asTerm(term), timeMs })
    const header = encodeSegmentHeader({
      id: 1,
      incarnation: 'a1'.repeat(8),
      segmentBytes,
      previous: null,
      base: pointOf(base),
      last: pointOf(last),
      hardState: hardState(3)
    }, identity)
    const rest = Buffer.alloc(segmentBytes - header.bytes.length)
    await writeFile(segmentPath(directory), Buffer.concat([header.bytes, rest]))
    expect(await codeOf(readBack(fileStorage(directory)))).toBe('RAFT_WAL_CORRUPT')
  })

  it('with many thousands of groups is read once, in few calls', async () => {
    const directory = await temporaryDirectory()
    const large = fileStorage(directory, nodeFileOperations, 8 * mebibyte)
    await readBack(large)
    const { bytes, headerEnd, seed } = await readSegment(directory)
    let position = headerEnd
    for (let index = 1; index <= 50_000; index++) {
      position += groupOf([batch(index === 1 ? hardState(1) : null, entry(index, 1))], position, seed).copy(
        bytes,
        position
      )
    }
    await writeFile(segmentPath(directory), bytes)
    let calls = 0
    let bytesRead = 0
    const storage = fileStorage(directory, {
      ...nodeFileOperations,
      openExisting: async (path) => {
        const file = await nodeFileOperations.openExisting(path)
        return {
          ...file,
          read: async (target, at) => {
            const count = await file.read(target, at)
            calls++
            bytesRead += count
            return count
          }
        }
      }
    })
    const { entries } = await readBack(storage)
    expect(entries).toHaveLength(50_000)
    expect(entries[49_999]).toEqual(entry(50_000, 1))
    expect(calls).toBeLessThan(10)
    expect(bytesRead).toBeLessThan(bytes.length + mebibyte)
  })

  it('with a zeroed start and megabytes of later groups is refused', async () => {
    const directory = await temporaryDirectory()
    const batches = [batch(hardState(1), entry(1, 1, 'x'.repeat(2000)))]
    for (let i = 2; i < 5; i++) batches.push(batch(null, entry(i, 1, new Uint8Array(1_500_000))))
    await writeGroups(fileStorage(directory, nodeFileOperations, 8 * mebibyte), batches)
    const { headerEnd } = await readSegment(directory)
    const file = await open(segmentPath(directory), 'r+')
    await file.write(Buffer.alloc(1536 - headerEnd), 0, 1536 - headerEnd, headerEnd)
    await file.close()
    expect(await codeOf(fileStorage(directory).open())).toBe('RAFT_WAL_CORRUPT')
  })
})
