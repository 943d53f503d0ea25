import { frameBytes, frameHeadBytes, framePayload, frameType, maxPayloadBytes, verifyFrame } from './frame.ts'
import { beginBytes, readBegin } from './group.ts'
import { MalformedRecordError, readEntry, readHardState } from './records.ts'
import type { Entry, HardState } from '../core/types.ts'
import type { ReadWindow } from './read-window.ts'

/** One record of a group, and where its frame stands. */
export type LogRecord =
  | { readonly kind: 'hard-state', readonly position: number, readonly hardState: HardState }
  | { readonly kind: 'entry', readonly position: number, readonly entry: Entry }

/** What stands where a group should. */
export type GroupReading =
  | { readonly kind: 'complete', readonly end: number, readonly records: readonly LogRecord[] }
  /** The file ends before the group does. */
  | { readonly kind: 'cut-short', readonly position: number }
  /** What should be the group's first frame is not one. */
  | { readonly kind: 'bad-begin', readonly position: number }
  /** The group starts well and all its bytes are there, but a frame of it is not as it was written. */
  | { readonly kind: 'bad-frame', readonly position: number, readonly end: number, readonly zeroSectors: number }
  /** Checksums are right and the content is not. */
  | { readonly kind: 'malformed', readonly position: number, readonly reason: string }

/** Decodes the payload of a frame within a group; null for the commit frame, which must be the last. */
function decodeRecord (frame: Buffer, position: number, isLast: boolean): LogRecord | null {
  const type = frameType(frame)
  if ((type === 'commit') !== isLast) throw new MalformedRecordError('a group does not end where it says')
  switch (type) {
    case 'hard-state': return { kind: 'hard-state', position, hardState: readHardState(framePayload(frame)) }
    case 'entry': return { kind: 'entry', position, entry: readEntry(framePayload(frame)) }
    case 'commit': return null
    case 'begin': throw new MalformedRecordError('a group starts within another')
    case null: throw new MalformedRecordError(`a frame has the unknown type ${frame.readUInt8(0)}`)
  }
}

/**
 * Reads the group at `position`, whatever its state. `seed` is the checksum of the file's header.
 */
export async function readGroup (window: ReadWindow, position: number, seed: number): Promise<GroupReading> {
  if (window.size - position < beginBytes) return { kind: 'cut-short', position }
  const begin = readBegin(window.peek(position, beginBytes) ?? await window.load(position, beginBytes), position, seed)
  if (begin === null) return { kind: 'bad-begin', position }
  const end = position + begin.groupBytes
  if (end > window.size) return { kind: 'cut-short', position }

  const records: LogRecord[] = []
  let checksum = begin.checksum
  let at = position + beginBytes
  while (at < end) {
    const bad: GroupReading = { kind: 'bad-frame', position: at, end, zeroSectors: begin.zeroSectors }
    if (end - at < frameHeadBytes) return bad
    // Awaiting only when a chunk is used up is what makes a million small entries quick to read.
    const bytes = frameBytes(window.peek(at, frameHeadBytes) ?? await window.load(at, frameHeadBytes))
    if (bytes > end - at || bytes > frameHeadBytes + maxPayloadBytes) return bad
    const frame = window.peek(at, bytes) ?? await window.load(at, bytes)
    const next = verifyFrame(frame, checksum)
    if (next === null) return bad
    try {
      const record = decodeRecord(frame, at, at + bytes === end)
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
