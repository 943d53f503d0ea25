/**
 * The smallest piece of a file that a disk writes as a whole. Larger atomic units are multiples of it.
 */
export const sectorBytes = 512

function isZero (bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte !== 0) return false
  }
  return true
}

/**
 * Counts the sectors of which the given bytes, that stand at `position` in their file, hold nothing but zeros. A
 * sector that lies only partly within the bytes counts by that part.
 */
export function countZeroSectors (bytes: Uint8Array, position: number): number {
  let count = 0
  let start = 0
  while (start < bytes.byteLength) {
    const end = Math.min(bytes.byteLength, start + sectorBytes - ((position + start) % sectorBytes))
    if (isZero(bytes.subarray(start, end))) count += 1
    start = end
  }
  return count
}
