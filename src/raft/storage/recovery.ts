import { join } from 'node:path'
import { DataSlab } from './data-slab.ts'
import { readFully } from './file-operations.ts'
import { readGroup } from './group-reader.ts'
import { LogRules } from './log-rules.ts'
import { segmentName } from './segment-names.ts'
import { readSegmentHeader } from './segment-header.ts'
import { isTorn } from './torn-tail.ts'
import { WalCorruptError } from '../errors.ts'
import { wayOut } from './way-out.ts'
import type { Entry } from '../core/types.ts'
import type { FileOperations } from './file-operations.ts'
import type { GroupReading, LogRecord } from './group-reader.ts'
import type { LogPosition } from './log-rules.ts'
import type { FoundSegmentHeader } from './segment-header.ts'
import type { RecoveredState, StorageIdentity } from './storage.ts'

/** A log that was read back. */
export interface RecoveredLog {
  readonly state: RecoveredState
  /** Has taken everything in the log; what is appended must go on from there. */
  readonly rules: LogRules
  /** The segments that the log consists of, oldest first. */
  readonly segments: readonly FoundSegmentHeader[]
  /** Segments from before the log started anew, which a crash kept from being removed. */
  readonly obsolete: readonly number[]
  /** The content of the last segment. */
  readonly tail: Buffer
  /** Where the last complete group of the last segment starts, or null when it has none. */
  readonly lastGroupStart: number | null
  /** Where the next group goes. What stands behind is a torn tail or zeros. */
  readonly end: number
}

function describe (reading: Exclude<GroupReading, { kind: 'complete' }>): string {
  switch (reading.kind) {
    case 'malformed': return reading.reason
    case 'nothing':
    case 'bad-begin': return 'no group of writes starts where one should'
    case 'bad-frame': return 'the checksum of a frame does not match'
  }
}

/** The entries of a log that is being read, from wherever its first segment starts. */
class EntryCollector {
  readonly entries: Entry[] = []
  #first = 0

  /** Takes the next entry, which the rules have taken before. */
  take (entry: Entry): void {
    if (this.entries.length === 0 || entry.index < this.#first) {
      this.entries.length = 0
      this.#first = entry.index
    }
    this.entries.length = entry.index - this.#first
    this.entries.push(entry)
  }

  forget (through: number): void {
    if (this.entries.length === 0 || through < this.#first) return
    this.entries.splice(0, through - this.#first + 1)
    this.#first = through + 1
  }
}

/** Reads segments one after the other, each as a whole into the same memory. */
class LogReader {
  readonly #directory: string
  readonly #files: FileOperations
  readonly #slab = new DataSlab()
  readonly #collector = new EntryCollector()
  readonly rules: LogRules
  #buffer: Buffer = Buffer.alloc(0)

  constructor (files: FileOperations, directory: string, start: LogPosition) {
    this.#files = files
    this.#directory = directory
    this.rules = new LogRules(start)
  }

  get entries (): readonly Entry[] { return this.#collector.entries }

  /**
   * Reads a segment up to where its groups end, which is `sealedEnd` when another segment follows. Gives back its
   * content and where its last group starts and ends.
   */
  async read (header: FoundSegmentHeader, sealedEnd: number | null): Promise<{ readonly tail: Buffer, readonly lastGroupStart: number | null, readonly end: number }> {
    const segment = await this.#load(header)
    const keep = (data: Buffer): Uint8Array => this.#slab.keep(data)
    let lastGroupStart: number | null = null
    let position = header.end
    while (position !== (sealedEnd ?? segment.length)) {
      const reading = readGroup(segment, position, header.seed, keep)
      if (reading.kind !== 'complete') {
        if (sealedEnd === null && (reading.kind === 'nothing' || isTorn(segment, reading, position, header.seed))) break
        throw this.corrupt(header.id, reading.kind === 'nothing' ? position : reading.position, describe(reading))
      }
      for (const record of reading.records) {
        const fault = this.#take(record)
        if (fault !== null) throw this.corrupt(header.id, record.position, fault)
      }
      this.rules.settle()
      lastGroupStart = position
      position = reading.end
    }
    return { tail: segment, lastGroupStart, end: position }
  }

  corrupt (id: number, position: number, what: string): Error {
    const path = join(this.#directory, segmentName(id))
    return new WalCorruptError(`The log ${path} is damaged at byte ${position}, behind index ${this.rules.lastIndex}: ${what}. ${wayOut}`)
  }

  async #load (header: FoundSegmentHeader): Promise<Buffer> {
    if (this.#buffer.length < header.segmentBytes) this.#buffer = Buffer.allocUnsafeSlow(header.segmentBytes)
    const segment = this.#buffer.subarray(0, header.segmentBytes)
    const file = await this.#files.openExisting(join(this.#directory, segmentName(header.id)))
    try {
      await readFully(file, segment, 0)
    } finally {
      await file.close()
    }
    return segment
  }

  #take (record: LogRecord): string | null {
    switch (record.kind) {
      case 'hard-state':
        return this.rules.takeHardState(record.hardState)
      case 'entry': {
        const fault = this.rules.takeEntry(record.entry)
        if (fault === null) this.#collector.take(record.entry)
        return fault
      }
      case 'release': {
        const fault = this.rules.takeRelease(record.base)
        if (fault === null) this.#collector.forget(record.base.index)
        return fault
      }
    }
  }
}

async function readHeaders (files: FileOperations, directory: string, ids: readonly number[], identity: StorageIdentity): Promise<FoundSegmentHeader[]> {
  const headers: FoundSegmentHeader[] = []
  for (const id of ids) {
    const path = join(directory, segmentName(id))
    const file = await files.openExisting(path)
    try {
      headers.push(await readSegmentHeader(file, path, id, identity))
    } finally {
      await file.close()
    }
  }
  return headers
}

/** What is wrong with a segment that should follow the one before it, by their headers alone, or null. */
function faultOfOrder (before: FoundSegmentHeader, { id, previous }: FoundSegmentHeader): string | null {
  if (id !== before.id + 1) return `the segments between ${segmentName(before.id)} and ${segmentName(id)} are missing`
  if (previous?.seed !== before.seed) return 'it belongs to another log than the segment before it'
  return previous.end < before.end || previous.end > before.segmentBytes ? 'it names an end of the segment before it that lies outside of that' : null
}

/** Whether a segment goes on where the log stood at the end of the one before it. */
function continues (header: FoundSegmentHeader, { hardState, base, last }: LogPosition): boolean {
  return header.hardState.term === hardState.term && header.hardState.vote === hardState.vote &&
    header.base.index === base.index && header.last.index === last.index && header.last.term === last.term
}

/**
 * Reads the log that these segments make, oldest first, in one pass. Changes nothing.
 *
 * Rejects with `RAFT_WAL_CORRUPT` for any damage but a torn tail, and as {@link readSegmentHeader} does.
 */
export async function recoverLog (files: FileOperations, directory: string, ids: readonly number[], identity: StorageIdentity): Promise<RecoveredLog> {
  const headers = await readHeaders(files, directory, ids, identity)
  const start = Math.max(0, headers.findLastIndex(({ previous }) => previous === null))
  const segments = headers.slice(start)
  const [first] = segments
  if (first === undefined) throw new Error('a log has at least one segment')
  const reader = new LogReader(files, directory, first)
  const { rules } = reader
  for (const [at, header] of segments.entries()) {
    const before = segments[at - 1]
    const fault = before === undefined ? null : faultOfOrder(before, header)
    if (fault !== null) throw reader.corrupt(header.id, 0, fault)
  }
  let tail: Awaited<ReturnType<LogReader['read']>> | null = null
  for (const [at, header] of segments.entries()) {
    if (at > 0 && !continues(header, rules.position)) throw reader.corrupt(header.id, 0, 'it does not go on where the segment before it ended')
    tail = await reader.read(header, segments[at + 1]?.previous?.end ?? null)
  }
  if (rules.knownFrom > rules.base.index) {
    throw reader.corrupt(first.id, 0, `entries ${rules.base.index + 1} to ${rules.knownFrom} stood in segments before this one, which are missing`)
  }
  if (tail === null) throw new Error('a log has at least one segment')
  return {
    state: { base: rules.base, hardState: rules.hardState, entries: reader.entries },
    rules,
    segments,
    obsolete: headers.slice(0, start).map(({ id }) => id),
    ...tail
  }
}
