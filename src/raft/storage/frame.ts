import { crc32 } from 'node:zlib'

/**
 * The frame: what a segment is made of, behind its header.
 *
 * ```
 * type      1 byte   never 0, so that a frame never starts with what an unwritten sector reads as
 * checksum  4 bytes  CRC-32 of length and payload, continued from the frame before it and the type
 * length    4 bytes  of the payload
 * payload
 * ```
 *
 * Checksums are chained: each continues from that of the frame before it in its group, and the first of a group from
 * that of the segment's header. So a frame is valid only in its own place of its own group of its own segment, and the last
 * frame's checksum vouches for the whole group. Numbers are big-endian.
 */
export type FrameType = 'begin' | 'hard-state' | 'entry' | 'release' | 'commit'

/** Bytes before a frame's payload. */
export const frameHeadBytes = 9

/** The largest payload a frame may have. A length beyond it is damage, and is never allocated. */
export const maxPayloadBytes = 64 * 1024 * 1024

const checksumOffset = 1
const lengthOffset = 5

const codeOfType: Record<FrameType, number> = { begin: 0xb1, 'hard-state': 0x53, entry: 0x65, release: 0x72, commit: 0xc0 }
const typeOfCode = new Map<number, FrameType>(
  (Object.entries(codeOfType) as [FrameType, number][]).map(([type, code]) => [code, type])
)

/** The first byte of every group. */
export const beginCode = codeOfType.begin

/**
 * Lays out the head of a frame; the checksum comes later, with {@link sealFrame}.
 *
 * @returns where the payload goes
 */
export function layFrame (target: Buffer, offset: number, type: FrameType, payloadBytes: number): number {
  if (payloadBytes > maxPayloadBytes) {
    throw new RangeError(`a record of ${payloadBytes} bytes is larger than the log takes (${maxPayloadBytes})`)
  }
  target.writeUInt8(codeOfType[type], offset)
  target.writeUInt32BE(0xffffffff, offset + checksumOffset)
  target.writeUInt32BE(payloadBytes, offset + lengthOffset)
  return offset + frameHeadBytes
}

/** The bytes of the whole frame whose head stands at `offset`; may be nonsense when the head is damaged. */
export function frameBytes (bytes: Buffer, offset = 0): number {
  return frameHeadBytes + bytes.readUInt32BE(offset + lengthOffset)
}

/** The checksum that the frame at the start of `frame` should have, after a frame with the checksum `previous`. */
function checksumOf (frame: Buffer, previous: number): number {
  // The type is mixed into the starting value, which changes the result for certain, and saves a second pass.
  return crc32(frame.subarray(lengthOffset), (previous ^ frame.readUInt8(0)) >>> 0)
}

/** Writes the checksum of a laid-out frame and returns it, for the next frame to continue from. */
export function sealFrame (frame: Buffer, previous: number): number {
  const checksum = checksumOf(frame, previous)
  frame.writeUInt32BE(checksum, checksumOffset)
  return checksum
}

/** The checksum of a frame when it is intact and follows `previous`, or null. */
export function verifyFrame (frame: Buffer, previous: number): number | null {
  const checksum = checksumOf(frame, previous)
  return checksum === frame.readUInt32BE(checksumOffset) ? checksum : null
}

/** The type of a frame, or null when this release knows none by that code. */
export function frameType (frame: Buffer): FrameType | null {
  return typeOfCode.get(frame.readUInt8(0)) ?? null
}

/** The payload of a whole frame; a view, valid as long as the frame is. */
export function framePayload (frame: Buffer): Buffer {
  return frame.subarray(frameHeadBytes)
}
