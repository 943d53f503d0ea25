import { join } from 'node:path'
import type { Entry, HardState } from '../../core/index.ts'
import type { FileOperations } from '../disk/file-operations.ts'
import { readFully, withFile } from '../disk/file-operations.ts'
import type { LogPoint, RecoveredState, StorageIdentity } from '../storage.ts'
import { logDamage } from './damage.ts'
import type { GroupReading, RecordTaker } from './group-reader.ts'
import { readGroup, readRecords } from './group-reader.ts'
import type { LogPosition } from './log-rules.ts'
import { LogRules } from './log-rules.ts'
import { DataSlab } from './records.ts'
import type { ReplayOptions } from './replay-window.ts'
import { ReplayWindow } from './replay-window.ts'
import { segmentName } from './segment-file.ts'
import type { FoundSegmentHeader } from './segment-header.ts'
import { readSegmentHeader } from './segment-header.ts'
import { isTorn } from './torn-tail.ts'

/** A log that was read back. */
export interface RecoveredLog {
  readonly state: RecoveredState
  readonly incarnation: string
  /** Have taken everything in the log; later changes have to follow from there. */
  readonly rules: LogRules
  /** The segments that the log consists of, oldest first. */
  readonly segments: readonly FoundSegmentHeader[]
  /** Segments from before the last reset, which a crash left in the directory. */
  readonly obsolete: readonly number[]
  /** The content of the last segment. */
  readonly tail: Buffer
  /** Where the last complete group of the last segment starts, or null when it has none. */
  readonly lastGroupStart: number | null
  /** Where the next group goes. Behind it are a torn tail or zeros. */
  readonly end: number
}

function describe (reading: Exclude<GroupReading, { kind: 'complete' }>): string {
  switch (reading.kind) {
    case 'malformed': return reading.reason
    case 'nothing':
    case 'bad-head': return 'no group of writes starts where one should'
    case 'bad-body': return 'the checksum of a group of writes does not match'
  }
}

/** Reads segments one after the other, each as a whole into the same memory. */
class LogReader implements RecordTaker {
  readonly #directory: string
  readonly #files: FileOperations
  readonly #slab = new DataSlab()
  readonly #window: ReplayWindow
  readonly rules: LogRules
  #buffer: Buffer = Buffer.alloc(0)

  constructor (files: FileOperations, directory: string, start: LogPosition, replay: ReplayOptions | null) {
    this.#files = files
    this.#directory = directory
    this.#window = new ReplayWindow(replay)
    this.rules = new LogRules(start)
  }

  get state (): RecoveredState {
    return {
      base: this.#window.dropped ?? this.rules.base,
      hardState: this.rules.hardState,
      entries: this.#window.entries
    }
  }

  /**
   * Reads a segment up to the end of its groups, which is `sealedEnd` when another segment follows. Resolves with its
   * content and where its last group starts and ends.
   */
  async read (
    header: FoundSegmentHeader,
    sealedEnd: number | null
  ): Promise<{ readonly tail: Buffer; readonly lastGroupStart: number | null; readonly end: number }> {
    const segment = await this.#load(header)
    let lastGroupStart: number | null = null
    let position = header.end
    while (position !== (sealedEnd ?? segment.length)) {
      const reading = readGroup(segment, position, header.seed)
      if (reading.kind !== 'complete') {
        if (sealedEnd === null && (reading.kind === 'nothing' || isTorn(segment, reading, position, header.seed))) {
          break
        }
        throw this.corrupt(header.id, position, describe(reading))
      }
      const fault = readRecords(segment, position, reading.end, this, this.#slab)
      if (fault !== null) throw this.corrupt(header.id, fault.position, fault.reason)
      this.rules.endBatch()
      lastGroupStart = position
      position = reading.end
      if (this.#window.isDue(this.rules.committedIndex)) await this.handOver()
    }
    return { tail: segment, lastGroupStart, end: position }
  }

  handOver (): Promise<void> {
    return this.#window.handOver(this.rules.committedIndex)
  }

  takeHardState (hardState: HardState): string | null {
    return this.rules.takeHardState(hardState)
  }

  takeEntry (entry: Entry): string | null {
    const fault = this.rules.takeEntry(entry)
    if (fault === null) this.#window.take(entry)
    return fault
  }

  takeCompaction (base: LogPoint): string | null {
    const fault = this.rules.takeCompaction(base)
    if (fault === null) this.#window.compact(base.index)
    return fault
  }

  corrupt (id: number, position: number, what: string): Error {
    return logDamage(join(this.#directory, segmentName(id)), position, this.rules.lastIndex, what)
  }

  async #load (header: FoundSegmentHeader): Promise<Buffer> {
    if (this.#buffer.length < header.segmentBytes) this.#buffer = Buffer.allocUnsafeSlow(header.segmentBytes)
    const segment = this.#buffer.subarray(0, header.segmentBytes)
    const path = join(this.#directory, segmentName(header.id))
    await withFile(this.#files, path, (file) => readFully(file, segment, 0))
    return segment
  }
}

/** Reads the headers of these segments. All must be of one log, that of `identity` unless it is null. */
export async function readHeaders (
  files: FileOperations,
  directory: string,
  ids: readonly number[],
  identity: StorageIdentity | null
): Promise<FoundSegmentHeader[]> {
  const headers: FoundSegmentHeader[] = []
  for (const id of ids) {
    const path = join(directory, segmentName(id))
    const expected = identity ?? headers[0]?.identity ?? null
    headers.push(await withFile(files, path, (file) => readSegmentHeader(file, path, id, expected)))
  }
  return headers
}

/** What is wrong with a segment that should follow the one before it, by their headers alone, or null. */
function faultOfOrder (before: FoundSegmentHeader, { id, previous, incarnation }: FoundSegmentHeader): string | null {
  if (id !== before.id + 1) return `the segments between ${segmentName(before.id)} and ${segmentName(id)} are missing`
  if (previous?.seed !== before.seed || incarnation !== before.incarnation) {
    return 'it belongs to another log than the segment before it'
  }
  return previous.end < before.end || previous.end > before.segmentBytes
    ? 'it names an end of the segment before it that lies outside of that segment'
    : null
}

/** Whether the header of a segment agrees with the log at the end of the segment before it. */
function continues (header: FoundSegmentHeader, { hardState, base, last }: LogPosition): boolean {
  return header.hardState.term === hardState.term && header.hardState.vote === hardState.vote &&
    header.base.index === base.index && header.base.term === base.term && header.base.timeMs === base.timeMs &&
    header.last.index === last.index && header.last.term === last.term
}

/**
 * Reads the log in these segments, oldest first, in one pass. Changes nothing.
 *
 * With a replay, committed entries are handed over meanwhile, and only the trailing ones are kept: memory does not grow
 * with the log. The entries stay committed, whatever is found later.
 *
 * Rejects with `RAFT_WAL_CORRUPT` for any damage but a torn tail, and as {@link readSegmentHeader} does.
 */
export async function recoverLog (
  files: FileOperations,
  directory: string,
  ids: readonly number[],
  identity: StorageIdentity | null,
  replay: ReplayOptions | null = null
): Promise<RecoveredLog> {
  const headers = await readHeaders(files, directory, ids, identity)
  const start = Math.max(
    0,
    headers.findLastIndex(({ previous }) => previous === null)
  )
  const segments = headers.slice(start)
  const [first] = segments
  if (first === undefined) throw new Error('a log has at least one segment')
  const reader = new LogReader(files, directory, first, replay)
  const { rules } = reader
  for (const [at, header] of segments.entries()) {
    const before = segments[at - 1]
    const fault = before === undefined ? null : faultOfOrder(before, header)
    if (fault !== null) throw reader.corrupt(header.id, 0, fault)
  }
  let tail: Awaited<ReturnType<LogReader['read']>> | null = null
  for (const [at, header] of segments.entries()) {
    if (at > 0 && !continues(header, rules.position)) {
      throw reader.corrupt(header.id, 0, 'it does not go on where the segment before it ended')
    }
    tail = await reader.read(header, segments[at + 1]?.previous?.end ?? null)
  }
  if (rules.knownFrom > rules.base.index) {
    throw reader.corrupt(
      first.id,
      0,
      `entries ${rules.base.index + 1} to ${rules.knownFrom} were in segments before this one, which are missing`
    )
  }
  if (tail === null) throw new Error('a log has at least one segment')
  const { hardState: { commit }, last } = rules.position
  if (commit > last.index) {
    const [newest] = segments.slice(-1)
    const id = newest?.id ?? first.id
    throw reader.corrupt(id, 0, `entries are committed through ${commit}, and it ends at ${last.index}`)
  }
  await reader.handOver()
  return {
    state: reader.state,
    incarnation: first.incarnation,
    rules,
    segments,
    obsolete: headers.slice(0, start).map(({ id }) => id),
    ...tail
  }
}
