import { crc32 } from 'node:zlib'
import { pointBytes, putInteger, readInteger, writePoint } from '../disk/encoding.ts'
import type { StorageBatch } from '../storage.ts'
import type { LogChange } from './log-rules.ts'
import {
  encodeRecordHead,
  entryBytes,
  hardStateBytes,
  recordHeadBytes,
  writeEntryRecord,
  writeHardState
} from './records.ts'
import { countZeroSectors } from './sectors.ts'

/**
 * A group: the changes that became durable with one write and one sync. A head, then for each batch its hard state and
 * its entries, and for each compaction the last entry it covers, then an end mark. It counts as a whole or not at all,
 * and lies in one segment.
 *
 * ```
 * mark      1 byte   b1: never 0, so that a group never starts with what an unwritten sector reads as
 * checksum  4 bytes  CRC-32 of the rest of the head, continued from the checksum of the segment's header
 * position  8 bytes
 * bytes     4 bytes
 * zeros     4 bytes
 * opening   4 bytes
 * body      4 bytes  CRC-32 of everything behind the head, the end mark included
 * ```
 *
 * The head proves its place and, with the checksum in it, everything behind: so a group is valid only as a whole, and
 * only in its own place of its own segment.
 */
interface GroupHead {
  /** Where in the segment the group starts; it is valid nowhere else. */
  readonly position: number
  /** All bytes of the group, the head and the end mark included. */
  readonly groupBytes: number
  /** How many sectors of the group were all zeros when it was written, see {@link countZeroSectors}. */
  readonly zeroSectors: number
  /**
   * A random number drawn each time the log is opened: the rest of a torn group is never taken for a part of the group
   * that is written over it later, even when both start alike.
   */
  readonly openingId: number
  readonly bodyChecksum: number
}

/** The first byte of every group; not 0, as an unwritten sector is. */
export const groupMark = 0xb1
/** The last byte of every group; not 0, so that a last sector that was never written can be recognized. */
export const endMark = 0xed

const checksumOffset = 1
const positionOffset = 5
const groupBytesOffset = 13
const zeroSectorsOffset = 17
const openingIdOffset = 21
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
  readonly openingId: number
  /** Checksum of the segment's header. */
  readonly seed: number
}

/** The bytes that a change takes in a group. */
export function changeBytes (change: LogChange): number {
  if (change.kind !== 'append') return recordHeadBytes + pointBytes
  const { hardState, entries } = change.batch
  let size = hardState === null ? 0 : recordHeadBytes + hardStateBytes(hardState)
  for (const entry of entries) size += recordHeadBytes + entryBytes(entry)
  return size
}

function encodeBatch (group: Buffer, view: DataView, batch: StorageBatch, offset: number): number {
  let end = offset
  if (batch.hardState !== null) {
    end = encodeRecordHead(group, end, 'hard-state', hardStateBytes(batch.hardState))
    end = writeHardState(group, batch.hardState, end)
  }
  for (const entry of batch.entries) end = writeEntryRecord(group, view, entry, end)
  return end
}

/**
 * Writes the records of a change and returns the offset behind them. `view` is of the same bytes. Throws a RangeError
 * when a number or a size is out of range.
 */
export function encodeChange (group: Buffer, view: DataView, change: LogChange, offset: number): number {
  switch (change.kind) {
    case 'append': return encodeBatch(group, view, change.batch, offset)
    case 'compact':
      return writePoint(group, change.base, encodeRecordHead(group, offset, 'compaction', pointBytes))
    case 'reset': throw new Error('a reset starts a segment: no group holds it')
  }
}

/**
 * Reads the head of a group from the {@link groupHeadBytes} at `position`. Null unless it was written at this place of
 * this segment.
 */
export function readGroupHead (segment: Buffer, position: number, seed: number): GroupHead | null {
  const end = position + groupHeadBytes
  if (end > segment.length || segment[position] !== groupMark) return null
  if (
    crc32(segment.subarray(position + positionOffset, end), seed) !== segment.readUInt32BE(position + checksumOffset)
  ) {
    return null
  }
  const head = {
    position: readInteger(segment, position + positionOffset),
    groupBytes: segment.readUInt32BE(position + groupBytesOffset),
    zeroSectors: segment.readUInt32BE(position + zeroSectorsOffset),
    openingId: segment.readUInt32BE(position + openingIdOffset),
    bodyChecksum: segment.readUInt32BE(position + bodyChecksumOffset)
  }
  return head.position === position && head.groupBytes >= groupHeadBytes + endMarkBytes ? head : null
}

/** Writes the head of a group whose body is in place and has this checksum. `view` is of the same bytes. */
export function sealGroup (group: Buffer, view: DataView, place: GroupPlace, bodyChecksum: number): void {
  group[0] = groupMark
  // A placeholder of ones while zeros are counted. No sector lies within these four bytes, so it changes no count.
  view.setUint32(checksumOffset, 0xffffffff)
  putInteger(view, place.position, positionOffset)
  view.setUint32(groupBytesOffset, group.length)
  view.setUint32(zeroSectorsOffset, 0)
  view.setUint32(openingIdOffset, place.openingId)
  view.setUint32(bodyChecksumOffset, bodyChecksum)
  view.setUint32(zeroSectorsOffset, countZeroSectors(group, place.position))
  view.setUint32(checksumOffset, crc32(group.subarray(positionOffset, groupHeadBytes), place.seed))
}
