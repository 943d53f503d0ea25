import { isRaftError } from '../../src/raft/errors.ts'
import { BinaryReader } from '../../src/raft/runtime/binary.ts'
import type { SimRandom } from '../sim/random.ts'
import { edgeCount, noise, strangeText } from './values.ts'

/** A part of a message: what its decoder reads in one go. */
export interface Part {
  readonly kind: 'byte' | 'number' | 'raw' | 'string'
  readonly bytes: Uint8Array
}

const watched = ['byte', 'number', 'raw', 'string'] as const

/**
 * Takes a message apart as its own decoder does: by watching what that reads. So the fuzzer knows every field of every
 * message, those of later releases as well, without a second description of the format.
 */
export function partsOf (body: Uint8Array, decode: (body: Uint8Array) => unknown): readonly Part[] {
  const parts: Part[] = []
  let end = 0
  const prototype = BinaryReader.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
  const originals = watched.map((name) => [name, prototype[name] as (...args: unknown[]) => unknown] as const)
  for (const [kind, original] of originals) {
    prototype[kind] = function (this: BinaryReader, ...args) {
      const result = original.apply(this, args)
      const after = body.byteLength - this.remaining
      if (after > end) parts.push({ kind, bytes: body.slice(end, after) })
      end = Math.max(end, after)
      return result
    }
  }
  try {
    decode(body)
  } catch (error) {
    // Wrong values may be in it already: what is behind them stays in one piece.
    if (!isRaftError(error)) throw error
  } finally {
    for (const [name, original] of originals) prototype[name] = original
  }
  if (end < body.byteLength) parts.push({ kind: 'raw', bytes: body.slice(end) })
  return parts
}

/** A number in 7-bit groups, whatever its size: a writer of the package refuses what its reader refuses. */
function numberBytes (random: SimRandom, value: number): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt(value)
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  // The same number, longer than it need be.
  if (random.chance(0.05)) {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80
    bytes.push(...Array.from({ length: random.between(0, 8) }, () => 0x80), 0)
  }
  return Uint8Array.from(bytes)
}

function readNumberOf (bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 0x80 + (byte & 0x7f), 0)
}

function changedPart (random: SimRandom, { kind, bytes }: Part): Part {
  switch (kind) {
    case 'byte': return { kind, bytes: Uint8Array.of((bytes[0] ?? 0) + random.pick([1, 255, 128, random.between(0, 255)])) }
    case 'number':
      return {
        kind,
        bytes: random.chance(0.05)
          ? new Uint8Array(random.between(7, 12)).fill(0xff)
          : numberBytes(random, edgeCount(random, readNumberOf(bytes)))
      }
    case 'raw':
    case 'string':
      return { kind, bytes: random.chance(0.5) ? flipped(random, bytes) : Buffer.from(strangeText(random), 'utf8') }
  }
}

export function flipped (random: SimRandom, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  for (let flips = random.between(1, 4); flips > 0 && copy.length > 0; flips--) {
    const at = random.between(0, copy.length - 1)
    copy[at] = (copy[at] ?? 0) ^ (1 << random.between(0, 7))
  }
  return copy
}

/** A content of another length, and the length before it to match. */
function withContent (random: SimRandom, parts: Part[], at: number): void {
  const part = parts[at]
  const before = parts[at - 1]
  if (part === undefined || before?.kind !== 'number' || part.kind === 'number' || part.kind === 'byte') return
  const bytes = random.chance(0.3) ? noise(random, 64) : Buffer.from(strangeText(random), 'utf8')
  parts[at - 1] = { kind: 'number', bytes: numberBytes(random, bytes.byteLength) }
  parts[at] = { kind: part.kind, bytes }
}

/** One change to the parts of a message. `other`: a message that parts may come from. */
function changeParts (random: SimRandom, parts: Part[], other: readonly Part[]): void {
  const at = random.between(0, Math.max(0, parts.length - 1))
  const part = parts[at]
  if (part === undefined) return
  const count = random.between(1, 4)
  switch (random.between(0, 11)) {
    case 0: parts.splice(at); return
    case 1: parts.splice(at, count); return
    case 2: parts.splice(at, 0, ...parts.slice(at, at + count)); return
    case 3: {
      const to = random.between(0, parts.length - 1)
      parts[at] = parts[to] ?? part
      parts[to] = part
      return
    }
    case 4: {
      const from = random.between(0, Math.max(0, other.length - 1))
      parts.splice(at, random.chance(0.5) ? parts.length : count, ...other.slice(from))
      return
    }
    case 5: parts.push({ kind: 'raw', bytes: noise(random, 8) }); return
    case 6:
    case 7: withContent(random, parts, at); return
    default: parts[at] = changedPart(random, part)
  }
}

/** A message with a few of its fields changed, or cut, or mixed with another one; in a few cases nothing but noise. */
export function damagedMessage (
  random: SimRandom,
  body: Uint8Array,
  decode: (body: Uint8Array) => unknown,
  other: { readonly body: Uint8Array, readonly decode: (body: Uint8Array) => unknown }
): Uint8Array {
  if (random.chance(0.04)) return noise(random)
  if (random.chance(0.06)) return flipped(random, body)
  if (random.chance(0.04)) return body.subarray(0, random.between(0, body.byteLength))
  const parts = [...partsOf(body, decode)]
  const otherParts = partsOf(other.body, other.decode)
  for (let changes = random.pick([1, 1, 1, 2, 3]); changes > 0; changes--) changeParts(random, parts, otherParts)
  return Buffer.concat(parts.map(({ bytes }) => bytes))
}

/** All bytes of a stream. */
export async function wholeOf (source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

/** The content with these bytes at a place, as far as they fit. */
export function withBytes (content: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(content)
  copy.set(bytes.subarray(0, Math.max(0, content.length - at)), Math.min(at, content.length))
  return copy
}
