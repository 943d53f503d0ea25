import { crc32 } from 'node:zlib'
import type { Entry, HardState } from '../../core/index.ts'
import { MalformedPayloadError, readPoint } from '../disk/encoding.ts'
import type { LogPoint } from '../storage.ts'
import { endMark, endMarkBytes, groupHeadBytes, readGroupHead } from './group.ts'
import type { DataSlab } from './records.ts'
import { maxPayloadBytes, readEntry, readHardState, recordHeadBytes, recordType } from './records.ts'
import { isZero } from './sectors.ts'

/** What was found in the place of a group. */
export type GroupReading =
  | { readonly kind: 'complete', readonly end: number }
  /** Only zeros from here to the end of the segment. */
  | { readonly kind: 'nothing' }
  /** The head is not intact. */
  | { readonly kind: 'bad-head' }
  /** The head is intact, but the bytes behind it are not those that were written. */
  | { readonly kind: 'bad-body', readonly end: number, readonly zeroSectors: number }
  /** The head is intact, but what it says is impossible. */
  | { readonly kind: 'malformed', readonly reason: string }

/**
 * Reads the group at `position` of a segment, whatever its state. `seed` is the checksum of the segment's header.
 */
export function readGroup (segment: Buffer, position: number, seed: number): GroupReading {
  const head = readGroupHead(segment, position, seed)
  if (head === null) {
    // The first byte nearly always decides; the rest has to be compared only at the end of the log.
    const isUnwritten = (segment[position] ?? 0) === 0 && isZero(segment.subarray(position))
    return isUnwritten ? { kind: 'nothing' } : { kind: 'bad-head' }
  }
  const end = position + head.groupBytes
  if (end > segment.length) return { kind: 'malformed', reason: 'a group goes beyond its segment' }
  const isIntact = crc32(segment.subarray(position + groupHeadBytes, end)) === head.bodyChecksum
  return isIntact ? { kind: 'complete', end } : { kind: 'bad-body', end, zeroSectors: head.zeroSectors }
}

/** Receives the records of a group one by one. Each call returns the rule that the record breaks, or null. */
export interface RecordTaker {
  readonly takeHardState: (hardState: HardState) => string | null
  readonly takeEntry: (entry: Entry) => string | null
  readonly takeCompaction: (base: LogPoint) => string | null
}

/** What is wrong with a record, and at which byte of the segment it starts. */
interface RecordFault {
  readonly position: number
  readonly reason: string
}

/**
 * Reads the records of a complete group that starts at `position` and ends at `end`; the data of its entries goes into
 * the slab. Returns the first fault, or null: a record that this release does not know, or that breaks a rule.
 */
export function readRecords (
  segment: Buffer,
  position: number,
  end: number,
  taker: RecordTaker,
  slab: DataSlab
): RecordFault | null {
  const bodyEnd = end - endMarkBytes
  let at = position + groupHeadBytes
  try {
    while (at < bodyEnd) {
      const payloadAt = at + recordHeadBytes
      const payloadBytes = payloadAt > bodyEnd ? maxPayloadBytes + 1 : segment.readUInt32BE(at + 1)
      if (payloadBytes > maxPayloadBytes || payloadAt + payloadBytes > bodyEnd) {
        return { position: at, reason: 'a record goes beyond its group' }
      }
      const reason = readRecord(segment, at, payloadAt + payloadBytes, taker, slab)
      if (reason !== null) return { position: at, reason }
      at = payloadAt + payloadBytes
    }
  } catch (error) {
    if (error instanceof MalformedPayloadError) return { position: at, reason: error.message }
    throw error
  }
  return segment[bodyEnd] === endMark ? null : { position: bodyEnd, reason: 'a group does not end where it says' }
}

function readRecord (segment: Buffer, at: number, end: number, taker: RecordTaker, slab: DataSlab): string | null {
  const start = at + recordHeadBytes
  switch (recordType(segment, at)) {
    case 'entry': return taker.takeEntry(readEntry(segment, start, end, slab))
    case 'hard-state': return taker.takeHardState(readHardState(segment.subarray(start, end)))
    case 'compaction': return taker.takeCompaction(readPoint(segment.subarray(start, end)))
    case null: return `a record has the unknown type ${segment.readUInt8(at)}`
  }
}
