import { crc32 } from 'node:zlib'
import { baseBytes, entryBytes, hardStateBytes, layRecord, readInteger, recordHeadBytes, writeBase, writeEntryRecord, writeHardState, writeInteger } from './records.ts'
import { countZeroSectors } from './sectors.ts'
import type { LogChange } from './log-change.ts'
import type { StorageBatch } from './storage.ts'

/**
 * A group: the changes that became durable with one write and one sync. A head, then for each batch its hard state and
 * its entries, and for each release its base, then an end mark. It counts as a whole or not at all, and lies in one
 * segment.
 *
 * ```
 * mark      1 byte   b1: never 0, so that a group never starts with what an unwritten sector reads as
 * checksum  4 bytes  CRC-32 of the rest of the head, continued from the checksum of the segment's header
 * position  8 bytes
 * bytes     4 bytes
 * zeros     4 bytes
 * session   4 bytes
 * body      4 bytes  CRC-32 of everything behind the head, the end mark included
 * ```
 *
 * The head vouches for its place and, with the checksum in it, for everything behind: so a group is valid only as a
 * whole, in its own place of its own segment.
 */
export interface GroupHead {
  /** Where in the segment the group starts; it is valid nowhere else. */
  readonly position: number
  /** All bytes of the group, the head and the end mark included. */
  readonly groupBytes: number
  /** How many sectors of the group are all zeros by right, see {@link countZeroSectors}. */
  readonly zeroSectors: number
  /**
   * A random number drawn each time the log is opened: what was cut off can never be taken for a part of what was
   * written over it later, even when both start alike.
   */
  readonly session: number
  readonly bodyChecksum: number
}

/** The first byte of every group. */
export const groupMark = 0xb1
/** The last byte of every group; not 0, so that a last sector that was never written is told from one that was. */
export const endMark = 0xed

const checksumOffset = 1
const positionOffset = 5
const groupBytesOffset = 13
const zeroSectorsOffset = 17
const sessionOffset = 21
const bodyChecksumOffset = 25

/** Bytes of the head of a group. */
export const groupHeadBytes = 29
/** Bytes of the end mark. */
export const endMarkBytes = 1
/** The largest group that may be written. */
export const maxGroupBytes = 1024 * 1024 * 1024

/** Where a group goes and what its checksums continue from. */
export interface GroupPlace {
  readonly position: number
  readonly session: number
  /** Checksum of the segment's header. */
  readonly seed: number
}

/** The bytes that {@link encodeGroup} needs. Throws a RangeError when no segment takes them. */
export function groupBytes (changes: readonly LogChange[]): number {
  let size = groupHeadBytes + endMarkBytes
  for (const change of changes) {
    if (change.kind !== 'append') {
      size += recordHeadBytes + baseBytes
      continue
    }
    const { hardState, entries } = change.batch
    if (hardState !== null) size += recordHeadBytes + hardStateBytes(hardState)
    for (const entry of entries) size += recordHeadBytes + entryBytes(entry)
  }
  if (size > maxGroupBytes) throw new RangeError(`a group of ${size} bytes is larger than the log takes (${maxGroupBytes})`)
  return size
}

function layBatch (group: Buffer, view: DataView, batch: StorageBatch, offset: number): number {
  let end = offset
  if (batch.hardState !== null) {
    end = layRecord(group, end, 'hard-state', hardStateBytes(batch.hardState))
    end = writeHardState(group, batch.hardState, end)
  }
  for (const entry of batch.entries) end = writeEntryRecord(group, view, entry, end)
  return end
}

function layChange (group: Buffer, view: DataView, change: LogChange, offset: number): number {
  switch (change.kind) {
    case 'append': return layBatch(group, view, change.batch, offset)
    case 'release': return writeBase(group, change.base, layRecord(group, offset, 'release', baseBytes))
    case 'reset': throw new Error('a log that starts anew starts with a segment')
  }
}

/**
 * Reads the head of a group from the {@link groupHeadBytes} that stand at `position`. Null when they are not one that
 * was written at that very place of that very segment.
 */
export function readGroupHead (segment: Buffer, position: number, seed: number): GroupHead | null {
  const end = position + groupHeadBytes
  if (end > segment.length || segment[position] !== groupMark) return null
  if (crc32(segment.subarray(position + positionOffset, end), seed) !== segment.readUInt32BE(position + checksumOffset)) return null
  const head = {
    position: readInteger(segment, position + positionOffset),
    groupBytes: segment.readUInt32BE(position + groupBytesOffset),
    zeroSectors: segment.readUInt32BE(position + zeroSectorsOffset),
    session: segment.readUInt32BE(position + sessionOffset),
    bodyChecksum: segment.readUInt32BE(position + bodyChecksumOffset)
  }
  return head.position === position && head.groupBytes >= groupHeadBytes + endMarkBytes ? head : null
}

/** Writes the head over a group whose body is there. */
export function sealGroup (group: Buffer, place: GroupPlace): void {
  group.writeUInt8(groupMark, 0)
  // Ones in its place while zeros are counted. It makes no difference: no sector starts and ends within it.
  group.writeUInt32BE(0xffffffff, checksumOffset)
  writeInteger(group, place.position, positionOffset)
  group.writeUInt32BE(group.length, groupBytesOffset)
  group.writeUInt32BE(0, zeroSectorsOffset)
  group.writeUInt32BE(place.session, sessionOffset)
  group.writeUInt32BE(crc32(group.subarray(groupHeadBytes)), bodyChecksumOffset)
  group.writeUInt32BE(countZeroSectors(group, place.position), zeroSectorsOffset)
  group.writeUInt32BE(crc32(group.subarray(positionOffset, groupHeadBytes), place.seed), checksumOffset)
}

/**
 * Encodes changes as one group into `group`, which has the {@link groupBytes} they need. Throws a RangeError when a
 * number or a size is out of range.
 */
export function encodeGroup (group: Buffer, changes: readonly LogChange[], place: GroupPlace): void {
  const view = new DataView(group.buffer, group.byteOffset, group.length)
  let end = groupHeadBytes
  for (const change of changes) end = layChange(group, view, change, end)
  group.writeUInt8(endMark, end)
  sealGroup(group, place)
}
