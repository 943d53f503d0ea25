import type { SimRandom } from '../sim/random.ts'

/** Numbers at which formats, schemas and arithmetic end. */
const edgeNumbers: readonly number[] = [
  0, 1, 2, 127, 128, 255, 256, 16_383, 16_384, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32,
  2 ** 48 - 1, 2 ** 48, 2 ** 48 + 1, 2 ** 53 - 1
]

/** Numbers that no count may be. */
const wrongNumbers: readonly number[] = [
  -1, -0, 0.5, 2 ** 53, 2 ** 63, 1e21, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MIN_VALUE
]

/** A safe count at or next to an edge, or next to `near`. */
export function edgeCount (random: SimRandom, near = 0): number {
  const value = random.chance(0.3) ? near + random.between(-2, 2) : random.pick(edgeNumbers) + random.between(-1, 1)
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, value))
}

/** Any number. */
export function wildNumber (random: SimRandom): number {
  return random.chance(0.5) ? random.pick(wrongNumbers) : edgeCount(random)
}

/** Names that mean something to JavaScript, to a path, to HTTP or to a log. */
const strangeTexts: readonly string[] = [
  '', ' ', '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'null', 'undefined', 'NaN', '-0',
  '../../../etc/passwd', '..', '.', '/', '//', '%2e%2e%2f', '%00', '%', '%zz', 'a\r\nraft-hop: v=1', 'a\nb', 'a\0b',
  '\u{1f600}', '\ud800', '\udfff\ud800', 'e\u0301', '\ufeff', '\u202e', 'ÿ', 'Ā', '$where', '<script>', "' or 1",
  '0', '1', '-1', '1e999', '00', '0x10', '1_000', 'true', '[]', '{}', '[object Object]', 'n1', 'n2', 'n4', 'default'
]

/** A text that some reader may take for something else. */
export function strangeText (random: SimRandom): string {
  const text = random.pick(strangeTexts)
  if (random.chance(0.1)) return text.repeat(random.between(2, 40))
  if (random.chance(0.05)) return 'x'.repeat(random.pick([63, 64, 65, 255, 256, 257, 511, 512, 513, 1_023, 1_024, 1_025, 5_000]))
  return text
}

/** JSON text of any kind, and what is nearly JSON: deep, with repeated keys, keys of prototypes, huge numbers. */
export function wildJson (random: SimRandom, depth = 3): string {
  switch (random.between(0, depth > 0 ? 11 : 5)) {
    case 0: return random.pick(['null', 'true', 'false', '', 'nul', 'NaN', '-', '01', '+1', '.5', '"', "'a'", '\ufeff1'])
    case 1: return String(wildNumber(random))
    case 2: return random.pick(['1e400', '-1e400', `1${'0'.repeat(400)}`, '0.1e-400', '9007199254740993', '-0'])
    case 3: return JSON.stringify(strangeText(random))
    case 4: return random.pick(['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x"', '"\t"'])
    case 5: return '[]'
    case 6: {
      const times = random.pick([10, 33, 64, 65, 127, 128, 129, 200, 5_000, 100_000])
      return random.chance(0.5) ? '['.repeat(times) + ']'.repeat(times) : '{"a":'.repeat(times) + '1' + '}'.repeat(times)
    }
    case 7: return `[${many(random, depth).join(',')}]`
    case 8: return `{"__proto__":${wildJson(random, depth - 1)},"constructor":{"prototype":${wildJson(random, depth - 1)}}}`
    case 9: {
      const key = JSON.stringify(strangeText(random))
      return `{${key}:${wildJson(random, depth - 1)},${key}:${wildJson(random, depth - 1)}}`
    }
    default: return `{${many(random, depth).map((value) => `${JSON.stringify(strangeText(random))}:${value}`).join(',')}}`
  }
}

function many (random: SimRandom, depth: number): string[] {
  return Array.from({ length: random.between(0, 4) }, () => wildJson(random, depth - 1))
}

/** A small change of a text, by where and what. */
export interface TextEdit {
  /** Where, as a part of the whole length from 0 to 1. */
  readonly at: number
  /** How many characters go. */
  readonly cut: number
  /** What comes in their place. */
  readonly put: string
}

export function textEdit (random: SimRandom): TextEdit {
  const put = random.chance(0.3)
    ? ''
    : random.chance(0.5) ? String.fromCharCode(random.between(33, 126)) : strangeText(random)
  return { at: random.next(), cut: random.pick([0, 1, 1, 1, 2, 8, 1_000]), put }
}

export function editText (text: string, edits: readonly TextEdit[]): string {
  let edited = text
  for (const { at, cut, put } of edits) {
    const start = Math.min(edited.length, Math.floor(at * (edited.length + 1)))
    edited = edited.slice(0, start) + put + edited.slice(start + cut)
  }
  return edited
}

/** Bytes without any structure. */
export function noise (random: SimRandom, most = 200): Uint8Array {
  return Uint8Array.from({ length: random.between(0, most) }, () => random.between(0, 255))
}
