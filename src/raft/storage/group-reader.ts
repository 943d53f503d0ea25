import { frameBytes, frameHeadBytes, framePayload, frameType, maxPayloadBytes, verifyFrame } from './frame.ts'
import { beginBytes, readBegin } from './group.ts'
import { MalformedRecordError, readBase, readEntry, readHardState } from './records.ts'
import { isZero } from './sectors.ts'
import type { Entry, HardState } from '../core/types.ts'
import type { LogBase } from './storage.ts'

/** One record of a group, and where its frame stands. */
export type LogRecord =
  | { readonly kind: 'hard-state', readonly position: number, readonly hardState: HardState }
  | { readonly kind: 'entry', readonly position: number, readonly entry: Entry }
  | { readonly kind: 'release', readonly position: number, readonly base: LogBase }

/** What stands where a group should. */
export type GroupReading =
  | { readonly kind: 'complete', readonly end: number, readonly records: readonly LogRecord[] }
  /** Nothing was written from here to the end of the segment. */
  | { readonly kind: 'nothing' }
  /** What should be the group's first frame is not one. */
  | { readonly kind: 'bad-begin', readonly position: number }
  /** The group starts well, but a frame of it is not as it was written. */
  | { readonly kind: 'bad-frame', readonly position: number, readonly end: number, readonly zeroSectors: number }
  /** Checksums are right and the content is not. */
  | { readonly kind: 'malformed', readonly position: number, readonly reason: string }

type Keep = (data: Buffer) => Uint8Array

/** Decodes the payload of a frame within a group; null for the commit frame, which must be the last. */
function decodeRecord (frame: Buffer, position: number, isLast: boolean, keep: Keep): LogRecord | null {
  const type = frameType(frame)
  if ((type === 'commit') !== isLast) throw new MalformedRecordError('a group does not end where it says')
  switch (type) {
    case 'hard-state': return { kind: 'hard-state', position, hardState: readHardState(framePayload(frame)) }
    case 'entry': return { kind: 'entry', position, entry: readEntry(framePayload(frame), keep) }
    case 'release': return { kind: 'release', position, base: readBase(framePayload(frame)) }
    case 'commit': return null
    case 'begin': throw new MalformedRecordError('a group starts within another')
    case null: throw new MalformedRecordError(`a frame has the unknown type ${frame.readUInt8(0)}`)
  }
}

/**
 * Reads the group at `position` of a segment, whatever its state. `seed` is the checksum of the segment's header;
 * `keep` gives bytes of data that outlive the segment's.
 */
export function readGroup (segment: Buffer, position: number, seed: number, keep: Keep): GroupReading {
  const begin = segment.length - position < beginBytes
    ? null
    : readBegin(segment.subarray(position, position + beginBytes), position, seed)
  if (begin === null) {
    // The first byte decides nearly always; looking through the rest is for the end of the log.
    const unwritten = (segment[position] ?? 0) === 0 && isZero(segment.subarray(position))
    return unwritten ? { kind: 'nothing' } : { kind: 'bad-begin', position }
  }
  const end = position + begin.groupBytes
  if (end > segment.length) return { kind: 'malformed', position, reason: 'a group goes beyond its segment' }

  const records: LogRecord[] = []
  let checksum = begin.checksum
  let at = position + beginBytes
  while (at < end) {
    const bytes = end - at < frameHeadBytes ? 0 : frameBytes(segment, at)
    const frame = segment.subarray(at, at + bytes)
    const next = bytes === 0 || bytes > end - at || bytes > frameHeadBytes + maxPayloadBytes ? null : verifyFrame(frame, checksum)
    if (next === null) return { kind: 'bad-frame', position: at, end, zeroSectors: begin.zeroSectors }
    try {
      const record = decodeRecord(frame, at, at + bytes === end, keep)
      if (record !== null) records.push(record)
    } catch (error) {
      if (error instanceof MalformedRecordError) return { kind: 'malformed', position: at, reason: error.message }
      throw error
    }
    checksum = next
    at += bytes
  }
  return { kind: 'complete', end, records }
}
