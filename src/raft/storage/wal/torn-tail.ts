import { endMarkBytes, groupHeadBytes, groupMark, readGroupHead } from './group.ts'
import type { GroupReading } from './group-reader.ts'
import { countZeroSectors, isZero, sectorBytes, usedBytes } from './sectors.ts'

/**
 * Decides whether a group in the last segment that cannot be read is the write that a crash interrupted, and so may be
 * cut, or damage.
 *
 * The rule is: cut only what cannot have been acknowledged, as far as the bytes can tell. A group is acknowledged
 * after its sync, and the next one is written only after that. So at most the last group of the last segment was never
 * synced, and nobody relies on it. All of the segment was zeros, durably, before its first group, nothing is ever
 * written ahead of the end, and a sector is written whole or not at all. So after a crash each sector of that group
 * holds what was written or, from where the group starts, zeros; and a write that stopped short has left zeros behind
 * some byte. Hence a group is torn when
 *
 * 1. its head is intact and so tells where it ends, nothing but zeros stands behind that, and its last byte,
 *    which is never zero, is; or more of its sectors are all zeros than when it was written; or
 * 2. it is not known how long it is, and fewer bytes stand there than the shortest group has; or its head lies
 *    in a sector that is all zeros from where the group starts, and no intact start of a later group stands anywhere
 *    behind it.
 *
 * Everything else is damage to something that was synced: a byte that changed without becoming part of a missing
 * sector, also in the last group; or a bad group that another write follows.
 *
 * What this cannot tell: a device that replaces sectors of the last group by zeros after it had synced them.
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

/** Whether an intact head of a group stands anywhere from `from` on. */
function hasGroupFrom (segment: Buffer, from: number, seed: number): boolean {
  for (let at = segment.indexOf(groupMark, from); at !== -1; at = segment.indexOf(groupMark, at + 1)) {
    if (readGroupHead(segment, at, seed) !== null) return true
  }
  return false
}
