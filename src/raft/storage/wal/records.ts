import type { Entry, EntryKind, HardState } from '../../core/index.ts'
import { asIndex, asNodeId, asTerm } from '../../core/index.ts'
import { decodeEntry, encodeContent } from '../../runtime/entry-codec.ts'
import {
  integerBytes,
  isPoint,
  MalformedPayloadError,
  putInteger,
  readInteger,
  writeInteger
} from '../disk/encoding.ts'

/** What a record holds. */
type RecordType = 'hard-state' | 'entry' | 'compaction'

/** Bytes before a record's payload: its type in one, the length of the payload in four. */
export const recordHeadBytes = 5

/** The largest payload a record may have. A length beyond it is damage, and is never allocated. */
export const maxPayloadBytes = 64 * 1024 * 1024

const codeOfType: Record<RecordType, number> = { 'hard-state': 0x53, entry: 0x65, compaction: 0x72 }
const typeOfCode = new Map<number, RecordType>(
  (Object.entries(codeOfType) as [RecordType, number][]).map(([type, code]) => [code, type])
)

/** Writes the head of a record and returns where its payload goes. */
export function encodeRecordHead (
  target: Buffer,
  offset: number,
  type: Exclude<RecordType, 'entry'>,
  payloadBytes: number
): number {
  checkPayload(payloadBytes)
  target.writeUInt8(codeOfType[type], offset)
  return target.writeUInt32BE(payloadBytes, offset + 1)
}

function checkPayload (bytes: number): void {
  if (bytes > maxPayloadBytes) {
    throw new RangeError(`a record of ${bytes} bytes is larger than the log takes (${maxPayloadBytes})`)
  }
}

/** The type of the record at `offset`, or null when this release knows none by that code. */
export function recordType (source: Buffer, offset: number): RecordType | null {
  return typeOfCode.get(source[offset] ?? 0) ?? null
}

const codeOfKind: Record<EntryKind, number> = { noop: 0, command: 1, configuration: 2 }
const kindOfCode = new Map<number, EntryKind>(
  (Object.entries(codeOfKind) as [EntryKind, number][]).map(([kind, code]) => [code, kind])
)

/** Payload of a hard state: term, commit, whether there is a vote, the vote in UTF-8. */
export function hardStateBytes (hardState: HardState): number {
  return 2 * integerBytes + 1 + Buffer.byteLength(hardState.vote ?? '')
}

/** Writes a hard state and returns the offset behind it. */
export function writeHardState (target: Buffer, hardState: HardState, offset: number): number {
  let end = writeInteger(target, hardState.term, offset)
  end = writeInteger(target, hardState.commit, end)
  end = target.writeUInt8(hardState.vote === null ? 0 : 1, end)
  return end + target.write(hardState.vote ?? '', end)
}

/** Reads what {@link writeHardState} wrote. */
export function readHardState (payload: Buffer): HardState {
  if (payload.length < 2 * integerBytes + 1) throw new MalformedPayloadError('a hard state is too short')
  const voted = payload.readUInt8(2 * integerBytes)
  const vote = payload.toString('utf8', 2 * integerBytes + 1)
  if (voted > 1 || (voted === 0 && vote !== '')) throw new MalformedPayloadError('a hard state has an unknown form')
  return {
    term: asTerm(readInteger(payload, 0)),
    vote: voted === 1 ? asNodeId(vote) : null,
    commit: asIndex(readInteger(payload, integerBytes))
  }
}

const entryHeadBytes = 3 * integerBytes + 1

/** Payload of an entry: index, term, time, kind, data. */
export function entryBytes (entry: Entry): number {
  return entryHeadBytes + encodeContent(entry).byteLength
}

/** Writes the record of an entry, head and all, and returns the offset behind it. `view` is of the same bytes. */
export function writeEntryRecord (target: Buffer, view: DataView, entry: Entry, offset: number): number {
  const { index, term, timeMs, kind } = entry
  const data = encodeContent(entry)
  const payloadBytes = entryHeadBytes + data.byteLength
  checkPayload(payloadBytes)
  if (!isPoint(entry)) {
    throw new RangeError(`entry ${index} of term ${term} holds a number that is not a non-negative safe integer`)
  }
  // Most of the time of a group is spent here: a view takes a tenth of the time that the methods of Buffer take.
  target[offset] = codeOfType.entry
  view.setUint32(offset + 1, payloadBytes)
  putInteger(view, index, offset + recordHeadBytes)
  putInteger(view, term, offset + recordHeadBytes + integerBytes)
  putInteger(view, timeMs, offset + recordHeadBytes + 2 * integerBytes)
  const dataAt = offset + recordHeadBytes + entryHeadBytes
  target[dataAt - 1] = codeOfKind[kind]
  target.set(data, dataAt)
  return dataAt + data.byteLength
}

const slabBytes = 256 * 1024

/**
 * Copies small pieces of data together into larger blocks, where they outlive the segment that they were read from. A
 * million entries read back would otherwise be a million separate allocations, which cost several times their content
 * in time and memory. A slab is freed when no entry uses it any more.
 */
export class DataSlab {
  #slab = new Uint8Array(0)
  #used = 0

  /** A copy of the bytes from `start` to `end` of `source`. */
  keep (source: Buffer, start: number, end: number): Uint8Array {
    const bytes = end - start
    const data = new Uint8Array(source.buffer, source.byteOffset + start, bytes)
    if (bytes > slabBytes / 4) return new Uint8Array(data)
    if (this.#used + bytes > this.#slab.byteLength) {
      this.#slab = new Uint8Array(slabBytes)
      this.#used = 0
    }
    const kept = new Uint8Array(this.#slab.buffer, this.#used, bytes)
    kept.set(data)
    this.#used += bytes
    return kept
  }
}

/** Reads the payload that {@link writeEntryRecord} wrote, between these two offsets. Its data goes into the slab. */
export function readEntry (source: Buffer, start: number, end: number, slab: DataSlab): Entry {
  if (end - start < entryHeadBytes) throw new MalformedPayloadError('an entry is too short')
  const kindCode = source[start + entryHeadBytes - 1] ?? 0
  const kind = kindOfCode.get(kindCode)
  if (kind === undefined) throw new MalformedPayloadError(`an entry has the unknown kind ${kindCode}`)
  const entry = decodeEntry(
    kind,
    asIndex(readInteger(source, start)),
    asTerm(readInteger(source, start + integerBytes)),
    readInteger(source, start + 2 * integerBytes),
    slab.keep(source, start + entryHeadBytes, end)
  )
  if (entry === null) throw new MalformedPayloadError(`an entry holds a ${kind} that makes no sense`)
  return entry
}
