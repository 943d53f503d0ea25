import { frameBytes, frameHeadBytes, framePayload, frameType, layFrame, sealFrame, verifyFrame } from './frame.ts'
import { baseBytes, entryBytes, hardStateBytes, readInteger, writeBase, writeEntry, writeHardState, writeInteger } from './records.ts'
import { countZeroSectors } from './sectors.ts'
import type { LogChange } from './log-change.ts'
import type { StorageBatch } from './storage.ts'

/**
 * A group: the changes that became durable with one write and one sync. A `begin` frame, then for each batch its hard
 * state and its entries, and for each release its base, then a `commit` frame. It counts as a whole or not at all, and
 * lies in one segment.
 */
export interface GroupBegin {
  /** Where in the segment the group starts; it is valid nowhere else. */
  readonly position: number
  /** All bytes of the group, this frame and the commit frame included. */
  readonly groupBytes: number
  /** How many sectors of the group are all zeros by right, see {@link countZeroSectors}. */
  readonly zeroSectors: number
  /**
   * A random number drawn each time the log is opened: what was cut off can never be taken for a part of what was
   * written over it later, even when both start alike.
   */
  readonly session: number
}

/** Bytes of a begin frame. */
export const beginBytes = frameHeadBytes + 20
/** Bytes of a commit frame. */
export const commitBytes = frameHeadBytes + 1
/** The largest group that may be written. */
export const maxGroupBytes = 1024 * 1024 * 1024

/** The last byte of every group; not 0, so that a last sector that was never written is told from one that was. */
const endMark = 0xed

/** Where a group goes and what its checksums continue from. */
export interface GroupPlace {
  readonly position: number
  readonly session: number
  /** Checksum of the segment's header. */
  readonly seed: number
}

/** The bytes that {@link encodeGroup} needs. Throws a RangeError when no segment takes them. */
export function groupBytes (changes: readonly LogChange[]): number {
  let size = beginBytes + commitBytes
  for (const change of changes) {
    if (change.kind !== 'append') {
      size += frameHeadBytes + baseBytes
      continue
    }
    const { hardState, entries } = change.batch
    if (hardState !== null) size += frameHeadBytes + hardStateBytes(hardState)
    for (const entry of entries) size += frameHeadBytes + entryBytes(entry)
  }
  if (size > maxGroupBytes) throw new RangeError(`a group of ${size} bytes is larger than the log takes (${maxGroupBytes})`)
  return size
}

function layBatch (group: Buffer, batch: StorageBatch, offset: number): number {
  let end = offset
  if (batch.hardState !== null) {
    end = layFrame(group, end, 'hard-state', hardStateBytes(batch.hardState))
    end = writeHardState(group, batch.hardState, end)
  }
  for (const entry of batch.entries) {
    end = layFrame(group, end, 'entry', entryBytes(entry))
    end = writeEntry(group, entry, end)
  }
  return end
}

function layChange (group: Buffer, change: LogChange, offset: number): number {
  switch (change.kind) {
    case 'append': return layBatch(group, change.batch, offset)
    case 'release': return writeBase(group, change.base, layFrame(group, offset, 'release', baseBytes))
    case 'reset': throw new Error('a log that starts anew starts with a segment')
  }
}

function layBegin (group: Buffer, begin: GroupBegin): number {
  let end = layFrame(group, 0, 'begin', beginBytes - frameHeadBytes)
  end = writeInteger(group, begin.position, end)
  end = group.writeUInt32BE(begin.groupBytes, end)
  end = group.writeUInt32BE(begin.zeroSectors, end)
  return group.writeUInt32BE(begin.session, end)
}

/** A begin frame that was found intact. */
export interface FoundBegin extends GroupBegin {
  /** What the next frame's checksum continues from. */
  readonly checksum: number
}

/**
 * Reads a begin frame from the {@link beginBytes} that stand at `position`. Null when they are not one that was
 * written at that very place of that very segment.
 */
export function readBegin (frame: Buffer, position: number, seed: number): FoundBegin | null {
  if (frameType(frame) !== 'begin' || frameBytes(frame) !== beginBytes) return null
  const checksum = verifyFrame(frame, seed)
  if (checksum === null) return null
  const payload = framePayload(frame)
  const begin = {
    position: readInteger(payload, 0),
    groupBytes: payload.readUInt32BE(8),
    zeroSectors: payload.readUInt32BE(12),
    session: payload.readUInt32BE(16),
    checksum
  }
  return begin.position === position && begin.groupBytes >= beginBytes + commitBytes ? begin : null
}

/**
 * Encodes changes as one group into `group`, which has the {@link groupBytes} they need. Throws a RangeError when a
 * number or a size is out of range.
 */
export function encodeGroup (group: Buffer, changes: readonly LogChange[], place: GroupPlace): void {
  const begin = { position: place.position, session: place.session, groupBytes: group.length, zeroSectors: 0 }
  let end = layBegin(group, begin)
  for (const change of changes) end = layChange(group, change, end)
  end = layFrame(group, end, 'commit', commitBytes - frameHeadBytes)
  group.writeUInt8(endMark, end)
  // Counted before the checksums are known: laid-out frames hold ones in their place.
  layBegin(group, { ...begin, zeroSectors: countZeroSectors(group, place.position) })
  let checksum = place.seed
  for (let offset = 0; offset < group.length;) {
    const frameEnd = offset + frameBytes(group, offset)
    checksum = sealFrame(group.subarray(offset, frameEnd), checksum)
    offset = frameEnd
  }
}
