import { MalformedMessageError } from '../errors.ts'

/** Highest number that may be read: leaves room for arithmetic within the safe integers. */
export const maxNumber = 2 ** 48
/** Number of 7-bit groups that the highest number takes. */
const maxNumberBytes = 7

/**
 * Where the number at `start` ends, or -1 when the bytes end before. A number stands in 7-bit groups, low ones first;
 * all but the last have their high bit set.
 */
export function endOfNumber (bytes: Uint8Array, start: number): number {
  for (let at = start; at < bytes.length; at++) {
    if ((bytes[at] ?? 0) < 0x80 || at - start === maxNumberBytes) return at + 1
  }
  return -1
}

/** Reads the number from `start` to the end that {@link endOfNumber} found; Infinity when it is above 2^48. */
export function readNumber (bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let at = end - 1; at >= start; at--) value = value * 0x80 + ((bytes[at] ?? 0) & 0x7f)
  return end - start > maxNumberBytes || value > maxNumber ? Number.POSITIVE_INFINITY : value
}

/** Writes numbers, strings and bytes one after another into a growing buffer. */
export class BinaryWriter {
  #buffer: Buffer
  #length = 0

  constructor (initialBytes = 512) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  get byteLength (): number { return this.#length }

  byte (value: number): void {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  /** A non-negative safe integer in 7-bit groups, low ones first. */
  number (value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a non-negative safe integer: ${value}`)
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
  }

  bytes (value: Uint8Array): void {
    this.number(value.byteLength)
    this.raw(value)
  }

  /** Bytes without their length. */
  raw (value: Uint8Array): void {
    this.#reserve(value.byteLength)
    this.#buffer.set(value, this.#length)
    this.#length += value.byteLength
  }

  string (value: string): void {
    this.bytes(Buffer.from(value, 'utf8'))
  }

  /** The bytes written so far. The writer must not be used afterwards. */
  finish (): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve (bytes: number): void {
    if (this.#length + bytes <= this.#buffer.byteLength) return
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.byteLength * 2, this.#length + bytes))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

/** Reads back what {@link BinaryWriter} wrote; anything else throws `RAFT_MALFORMED_MESSAGE`. */
export class BinaryReader {
  readonly #buffer: Buffer
  #offset = 0

  constructor (buffer: Uint8Array) {
    this.#buffer = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }

  get remaining (): number { return this.#buffer.byteLength - this.#offset }

  byte (): number {
    const value = this.#buffer[this.#offset]
    if (value === undefined) throw new MalformedMessageError('it ends too early')
    this.#offset++
    return value
  }

  number (): number {
    const end = endOfNumber(this.#buffer, this.#offset)
    if (end === -1) throw new MalformedMessageError('it ends too early')
    const value = readNumber(this.#buffer, this.#offset, end)
    if (value === Number.POSITIVE_INFINITY) throw new MalformedMessageError('a number is out of range')
    this.#offset = end
    return value
  }

  /**
   * The number of items that follow, at most `max`. Each takes at least one byte, so a count above the bytes left is
   * refused as well.
   */
  count (max: number): number {
    const count = this.number()
    if (count > this.remaining) throw new MalformedMessageError('a count is larger than the message')
    if (count > max) throw new MalformedMessageError(`a count is above ${max}`)
    return count
  }

  bytes (): Uint8Array {
    return this.raw(this.number())
  }

  raw (length: number): Uint8Array {
    const start = this.#skip(length)
    return this.#buffer.subarray(start, start + length)
  }

  string (): string {
    const length = this.number()
    const start = this.#skip(length)
    return this.#buffer.toString('utf8', start, start + length)
  }

  end (): void {
    if (this.remaining > 0) throw new MalformedMessageError('there are bytes after its end')
  }

  /** Skips a field of this length. Returns the offset at which it starts. */
  #skip (length: number): number {
    if (length > this.remaining) throw new MalformedMessageError('a field is longer than the message')
    const start = this.#offset
    this.#offset += length
    return start
  }
}
