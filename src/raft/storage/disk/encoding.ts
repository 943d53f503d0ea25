import { asIndex, asTerm } from '../../core/index.ts'
import type { LogPoint } from '../storage.ts'

/** A payload whose checksum is right and whose content is not: written by a faulty or a newer release. */
export class MalformedPayloadError extends Error {}

/** Bytes of a number in a file: all numbers that may exceed 32 bits are big-endian in eight. */
export const integerBytes = 8
const highUnit = 2 ** 32

/** Whether a value is a non-negative safe integer, as all indexes, terms, times and sizes are. */
export function isCount (value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/**
 * Writes a non-negative safe integer in eight bytes and returns the offset behind it. Throws a RangeError for any other
 * number.
 */
export function writeInteger (target: Buffer, value: number, offset: number): number {
  if (!isCount(value)) {
    throw new RangeError(`${value} is not a non-negative safe integer`)
  }
  target.writeUInt32BE(Math.floor(value / highUnit), offset)
  target.writeUInt32BE(value % highUnit, offset + 4)
  return offset + integerBytes
}

/** Writes a non-negative safe integer, as {@link writeInteger} does, unchecked and much faster. */
export function putInteger (view: DataView, value: number, offset: number): void {
  const high = Math.floor(value / highUnit)
  view.setUint32(offset, high)
  view.setUint32(offset + 4, value - high * highUnit)
}

/** Reads what {@link writeInteger} wrote. */
export function readInteger (source: Buffer, offset: number): number {
  const value = source.readUInt32BE(offset) * highUnit + source.readUInt32BE(offset + 4)
  if (!Number.isSafeInteger(value)) throw new MalformedPayloadError('a number is larger than 2^53 - 1')
  return value
}

/** Bytes of a log point: index, term, time. */
export const pointBytes = 3 * integerBytes

/** Whether all numbers of a log point are non-negative safe integers. */
export function isPoint ({ index, term, timeMs }: LogPoint): boolean {
  return isCount(index) && isCount(term) && isCount(timeMs)
}

/** Writes a log point and returns the offset behind it. */
export function writePoint (target: Buffer, { index, term, timeMs }: LogPoint, offset: number): number {
  return writeInteger(target, timeMs, writeInteger(target, term, writeInteger(target, index, offset)))
}

/** Reads what {@link writePoint} wrote; `payload` holds nothing else. */
export function readPoint (payload: Buffer): LogPoint {
  if (payload.length !== pointBytes) throw new MalformedPayloadError('a log point has the wrong length')
  return {
    index: asIndex(readInteger(payload, 0)),
    term: asTerm(readInteger(payload, integerBytes)),
    timeMs: readInteger(payload, 2 * integerBytes)
  }
}
