import { endMarkBytes, groupHeadBytes, groupMark, readGroupHead } from './group.ts'
import type { GroupReading } from './group-reader.ts'
import { countZeroSectors, isZero, sectorBytes, usedBytes } from './sectors.ts'

/**
 * Decides whether an unreadable group in the last segment is a write that a crash interrupted, which may be cut, or
 * damage.
 *
 * The rule: cut only bytes that cannot have been acknowledged, as far as the bytes can show that. A group is
 * acknowledged after its sync, and the next one is written only after that. So at most the last group of the last
 * segment was never synced, and no node relies on it. Before its first group all of the segment was zeros, durably;
 * nothing is written ahead of the end; and a sector is written whole or not at all. So after a crash each sector of
 * that group holds the bytes that were written or, from the start of the group, zeros; and a write that stopped early
 * has left zeros behind some byte. Hence a group is torn when
 *
 * 1. its head is intact and so names its end, only zeros are behind that, and either its last byte, which was written
 *    as a mark, is zero, or more of its sectors are all zeros than when it was written; or
 * 2. its length is unknown, and either fewer bytes are there than the shortest group has, or its head lies in a sector
 *    that is all zeros from the start of the group and no intact head of a later group is anywhere behind it.
 *
 * Everything else is damage to bytes that were synced: a byte that changed without being part of a missing sector, also
 * in the last group; or an unreadable group that another write follows.
 *
 * One kind of damage looks the same: a device that replaces sectors of the last group by zeros after their sync.
 */
export function isTorn (segment: Buffer, reading: GroupReading, groupStart: number, seed: number): boolean {
  switch (reading.kind) {
    case 'bad-body':
      if (!isZero(segment.subarray(reading.end))) return false
      return (
        segment[reading.end - 1] === 0 ||
        countZeroSectors(segment.subarray(groupStart, reading.end), groupStart) > reading.zeroSectors
      )
    case 'bad-head': {
      if (usedBytes(segment.subarray(groupStart)) < groupHeadBytes + endMarkBytes) return true
      const headEnd = groupStart + groupHeadBytes
      const sectorsEnd = Math.min(segment.length, Math.ceil(headEnd / sectorBytes) * sectorBytes)
      if (countZeroSectors(segment.subarray(groupStart, sectorsEnd), groupStart) === 0) return false
      return !hasGroupFrom(segment, groupStart + 1, seed)
    }
    case 'malformed':
    case 'nothing':
    case 'complete':
      return false
  }
}

/** Whether there is an intact head of a group anywhere from `from` on. */
function hasGroupFrom (segment: Buffer, from: number, seed: number): boolean {
  for (let at = segment.indexOf(groupMark, from); at !== -1; at = segment.indexOf(groupMark, at + 1)) {
    if (readGroupHead(segment, at, seed) !== null) return true
  }
  return false
}
