import { SnapshotCorruptError } from '../../raft/index.ts'
import type { SectionToRead, SectionToWrite } from '../../raft/internal.ts'
import { checkVersion, parseArray } from '../../raft/internal.ts'

/** A part of the replicated state that is one section of a snapshot. */
export interface SnapshotPart {
  /** Captures the content within the call. Reading it later shows nothing of the commands applied meanwhile. */
  readonly capture: () => Iterable<Uint8Array>
  /**
   * Reads what `capture` gave. Changes nothing; the function it resolves with replaces the content by it. Rejects with
   * `RAFT_SNAPSHOT_CORRUPT` for anything else.
   */
  readonly read: (records: AsyncIterable<Uint8Array>) => Promise<() => void>
}

/** A part with its section. */
export interface NamedPart {
  readonly name: string
  /** The oldest version of the records' format that is read, and the one that is written. */
  readonly versions: readonly [oldest: number, newest: number]
  readonly part: SnapshotPart
  /** The oldest version that can hold what there is now, so that older releases read it; the newest if left out. */
  readonly version?: () => number
  /** It is written only when it holds something, so that releases that do not know it read what does not need it. */
  readonly isOptional?: boolean
}

/** Captures a part as its section; none for an optional part that is empty. */
export function sectionsOf (
  { name, versions: [, newest], part, isOptional = false, version: needed = () => newest }: NamedPart
): SectionToWrite[] {
  const version = needed()
  const records = part.capture()
  if (!isOptional) return [{ name, version, records }]
  const iterator = records[Symbol.iterator]()
  const first = iterator.next()
  if (first.done === true) return []
  return [{ name, version, records: startingWith(first.value, iterator) }]
}

function * startingWith (first: Uint8Array, rest: Iterator<Uint8Array>): Generator<Uint8Array, void, undefined> {
  yield first
  for (let next = rest.next(); next.done !== true; next = rest.next()) yield next.value
}

/** Reads a part whose section is not there; as {@link SnapshotPart.read}. */
export async function readNothing (part: SnapshotPart): Promise<() => void> {
  return await part.read(noRecords())
}

async function * noRecords (): AsyncGenerator<Uint8Array, void, undefined> {}

/** Reads a part from its section. Refuses versions outside of these two with `RAFT_SNAPSHOT_VERSION`. */
export async function readPart (
  section: SectionToRead,
  [oldest, newest]: readonly [oldest: number, newest: number],
  part: SnapshotPart
): Promise<() => void> {
  checkVersion(section, newest, oldest)
  return await part.read(section.records)
}

/** One record: an array of JSON. */
export function recordOf (...fields: readonly unknown[]): Uint8Array {
  return Buffer.from(JSON.stringify(fields), 'utf8')
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** The text of a record. */
export function textOf (record: Uint8Array, part: string): string {
  try {
    return decoder.decode(record)
  } catch {
    throw malformed(part)
  }
}

/**
 * The fields of a record. Plain arrays and strings go into Maps: a name such as `__proto__` is a name like any other.
 */
export function fieldsOf (text: string, part: string): readonly unknown[] {
  const fields = parseArray(text)
  if (fields === null) throw malformed(part)
  return fields
}

/** The error for a record of a form that no release writes. */
export function malformed (part: string): Error {
  return new SnapshotCorruptError(`The snapshot's ${part} are damaged: a record has an unknown form.`)
}
