import { describe, expect, it } from 'vitest'
import { BinaryReader, BinaryWriter, endOfNumber, readNumber } from '../../../src/raft/runtime/binary.ts'

const numbers = [0, 1, 127, 128, 300, 2 ** 21 - 1, 2 ** 21, 2 ** 32, 2 ** 47 + 1, 2 ** 48]

function encode (value: number): Buffer {
  const writer = new BinaryWriter()
  writer.number(value)
  return writer.finish()
}

describe('numbers in 7-bit groups', () => {
  it.each(numbers)('%d is read as it was written, and ends where it was written to', (value) => {
    const bytes = Buffer.concat([Buffer.from([9]), encode(value), Buffer.from([1])])
    const end = endOfNumber(bytes, 1)
    expect(end).toBe(bytes.length - 1)
    expect(readNumber(bytes, 1, end)).toBe(value)
    expect(new BinaryReader(encode(value)).number()).toBe(value)
  })

  it.each(numbers)('%d has no end while its last group is missing', (value) => {
    const cut = encode(value).subarray(0, -1)
    expect(endOfNumber(cut, 0)).toBe(-1)
    expect(() => new BinaryReader(cut).number()).toThrow('it ends too early')
  })

  it.each([
    ['a number above 2^48', encode(2 ** 48 + 1)],
    ['a number of more groups than any needs', Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0])],
    ['groups without an end', Buffer.alloc(400, 0x80)]
  ])('%s is out of range', (_name, bytes) => {
    expect(readNumber(bytes, 0, endOfNumber(bytes, 0))).toBe(Number.POSITIVE_INFINITY)
    expect(() => new BinaryReader(bytes).number()).toThrow('a number is out of range')
  })
})
