/** Bytes of a sector: the smallest part of a file that a disk writes as a whole. Larger units are multiples of it. */
export const sectorBytes = 512

const zeros = Buffer.alloc(64 * 1024)

/** Whether all bytes are zeros. */
export function isZero (bytes: Buffer): boolean {
  for (let offset = 0; offset < bytes.length; offset += zeros.length) {
    const part = bytes.subarray(offset, offset + zeros.length)
    if (!part.equals(zeros.subarray(0, part.length))) return false
  }
  return true
}

/** The offset behind the last byte that is not zero; 0 when all are. */
export function usedBytes (bytes: Buffer): number {
  let end = bytes.length
  while (end >= zeros.length && isZero(bytes.subarray(end - zeros.length, end))) end -= zeros.length
  while (end > 0 && bytes[end - 1] === 0) end -= 1
  return end
}

/**
 * Counts the sectors that are all zeros among the given bytes, which are at `position` in their file. A sector that
 * lies only partly within the bytes counts with that part.
 */
export function countZeroSectors (bytes: Buffer, position: number): number {
  let count = 0
  let start = 0
  while (start < bytes.byteLength) {
    const end = Math.min(bytes.byteLength, start + sectorBytes - ((position + start) % sectorBytes))
    // Most sectors start with another byte: few need the whole comparison.
    if (bytes[start] === 0 && isZero(bytes.subarray(start, end))) count++
    start = end
  }
  return count
}
