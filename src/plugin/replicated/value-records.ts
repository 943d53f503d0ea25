import { fieldsOf, malformed, textOf } from './snapshot-records.ts'

/** Characters of a value's text that make one record. */
const partLength = 262_144
const isLast = 1
const hasMore = 0
const part = 'state machines'

/** JSON texts as records of a bounded size: a byte that says whether the value goes on, then a part of its text. */
export function encodeValues (
  texts: Iterable<string> | AsyncIterable<string>
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  return Symbol.asyncIterator in texts ? encodeAsync(texts) : encodeSync(texts)
}

function * encodeSync (texts: Iterable<string>): Generator<Uint8Array, void, undefined> {
  for (const text of texts) yield * recordsOf(text)
}

async function * encodeAsync (texts: AsyncIterable<string>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const text of texts) yield * recordsOf(text)
}

function * recordsOf (text: string): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + partLength, text.length)
    // Not between the halves of one character: each half alone would be lost in UTF-8.
    if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end++
    yield Buffer.concat([
      Uint8Array.of(end === text.length ? isLast : hasMore),
      Buffer.from(text.slice(at, end), 'utf8')
    ])
    at = end
  }
}

function isHighSurrogate (unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

/** The values that {@link encodeValues} wrote. Throws `RAFT_SNAPSHOT_CORRUPT` for anything else. */
export async function * decodeValues (records: AsyncIterable<Uint8Array>): AsyncGenerator<unknown, void, undefined> {
  let parts: string[] = []
  for await (const record of records) {
    const tag = record[0]
    if (tag !== isLast && tag !== hasMore) throw malformed(part)
    parts.push(textOf(record.subarray(1), part))
    if (tag === hasMore) continue
    const [value] = fieldsOf(`[${parts.join('')}]`, part)
    parts = []
    yield value
  }
  if (parts.length > 0) throw malformed(part)
}
