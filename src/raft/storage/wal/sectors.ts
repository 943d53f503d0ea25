/**
 * The smallest piece of a file that a disk writes as a whole. Larger atomic units are multiples of it.
 */
export const sectorBytes = 512

const zeros = Buffer.alloc(64 * 1024)

/** Whether all bytes are zeros. */
export function isZero (bytes: Buffer): boolean {
  for (let offset = 0; offset < bytes.length; offset += zeros.length) {
    const piece = bytes.subarray(offset, offset + zeros.length)
    if (!piece.equals(zeros.subarray(0, piece.length))) return false
  }
  return true
}

/** Where the last byte that is not zero ends; 0 when there is none. */
export function usedBytes (bytes: Buffer): number {
  let end = bytes.length
  while (end >= zeros.length && isZero(bytes.subarray(end - zeros.length, end))) end -= zeros.length
  while (end > 0 && bytes[end - 1] === 0) end -= 1
  return end
}

/**
 * Counts the sectors of which the given bytes, that stand at `position` in their file, hold nothing but zeros. A
 * sector that lies only partly within the bytes counts by that part.
 */
export function countZeroSectors (bytes: Buffer, position: number): number {
  let count = 0
  let start = 0
  while (start < bytes.byteLength) {
    const end = Math.min(bytes.byteLength, start + sectorBytes - ((position + start) % sectorBytes))
    // Most sectors start with something else: the comparison is for the few.
    if (bytes[start] === 0 && isZero(bytes.subarray(start, end))) count++
    start = end
  }
  return count
}
