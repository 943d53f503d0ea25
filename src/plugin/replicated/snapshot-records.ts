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

/** Captures a part as a section. */
export function sectionOf (name: string, version: number, part: SnapshotPart): SectionToWrite {
  return { name, version, records: part.capture() }
}

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
