import type { SimRandom } from '../sim/random.ts'
import { flipped, withBytes } from './bytes.ts'
import { edgeCount, noise } from './values.ts'

/** A change of the bytes of a file, without any checksum being made right again. */
export interface FileDamage {
  /** Which of the files, counted from 0. */
  readonly file: number
  readonly kind: 'overwrite' | 'cut' | 'grow' | 'remove' | 'rename'
  readonly at: number
  readonly bytes: Uint8Array
}

/** A field that is written anew, with the checksums around it right: what a faulty release would write. */
export interface ForgedField {
  /** Which part of the files, as its builder counts them. */
  readonly part: number
  readonly at: number
  readonly bytes: Uint8Array
}

/** Damage to a file with this content. */
export function fileDamage (random: SimRandom, file: number, content: Uint8Array, usedBytes: number): FileDamage {
  const kind = random.chance(0.85) ? 'overwrite' : random.pick(['cut', 'grow', 'remove', 'rename'] as const)
  if (kind === 'grow') return { file, kind, at: content.length, bytes: noise(random, 600) }
  // Nearly always where something was written; behind that there are zeros.
  const at = random.between(0, (random.chance(0.9) ? usedBytes : content.length) - 1)
  if (kind !== 'overwrite') return { file, kind, at, bytes: new Uint8Array(0) }
  switch (random.between(0, 3)) {
    case 0: return { file, kind, at, bytes: flipped(random, content.slice(at, at + 1)) }
    case 1: return { file, kind, at, bytes: noise(random, 40) }
    case 2: {
      const sector = Math.floor(at / 512) * 512
      return { file, kind, at: sector, bytes: new Uint8Array(Math.min(512, content.length - sector)) }
    }
    default: {
      const from = random.between(0, usedBytes - 1)
      return { file, kind, at, bytes: content.slice(from, from + random.between(1, 300)) }
    }
  }
}

/** The content with the damage done to it; null when the file is gone. */
export function damaged (content: Uint8Array, { kind, at, bytes }: FileDamage): Uint8Array | null {
  switch (kind) {
    case 'overwrite': return withBytes(content, at, bytes)
    case 'cut': return content.slice(0, at)
    case 'grow': return Buffer.concat([content, bytes])
    case 'remove': return null
    case 'rename': return content
  }
}

/** Another value for a number in so many bytes, big-endian. */
export function forgedNumber (random: SimRandom, content: Uint8Array, at: number, width: number): Uint8Array {
  const value = Buffer.alloc(8)
  if (random.chance(0.15)) return noise(random, width)
  const before = Buffer.concat([Buffer.alloc(8 - width), content.subarray(at, at + width)]).readBigUInt64BE(0)
  const wild = random.pick([
    2n ** 53n, 2n ** 64n - 1n, 2n ** 63n, 2n ** 32n, BigInt(edgeCount(random)), before + 1n, before - 1n
  ])
  value.writeBigUInt64BE(BigInt.asUintN(64, wild))
  return Uint8Array.from(value.subarray(8 - width))
}
