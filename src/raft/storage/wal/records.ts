import type { Entry, EntryKind, HardState } from '../../core/types.ts'
import { asIndex, asNodeId, asTerm } from '../../core/types.ts'
import type { LogBase } from '../storage.ts'

/** A payload whose checksum is right and whose content is not: written by a faulty or a newer release. */
export class MalformedRecordError extends Error {}

/** What a record holds. */
export type RecordType = 'hard-state' | 'entry' | 'release'

/** Bytes before a record's payload: its type in one, the length of the payload in four. */
export const recordHeadBytes = 5

/** The largest payload a record may have. A length beyond it is damage, and is never allocated. */
export const maxPayloadBytes = 64 * 1024 * 1024

const codeOfType: Record<RecordType, number> = { 'hard-state': 0x53, entry: 0x65, release: 0x72 }
const typeOfCode = new Map<number, RecordType>(
  (Object.entries(codeOfType) as [RecordType, number][]).map(([type, code]) => [code, type])
)

/** Writes the head of a record and returns where its payload goes. */
export function layRecord (
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

const integerBytes = 8
const highUnit = 2 ** 32

const codeOfKind: Record<EntryKind, number> = { noop: 0, command: 1, configuration: 2 }
const kindOfCode = new Map<number, EntryKind>(
  (Object.entries(codeOfKind) as [EntryKind, number][]).map(([kind, code]) => [code, kind])
)

/** Writes a non-negative safe integer in eight bytes and returns the offset behind it. */
export function writeInteger (target: Buffer, value: number, offset: number): number {
  if (!isCount(value)) {
    throw new RangeError(`${value} is not a non-negative safe integer`)
  }
  target.writeUInt32BE(Math.floor(value / highUnit), offset)
  target.writeUInt32BE(value % highUnit, offset + 4)
  return offset + integerBytes
}

/** Reads what {@link writeInteger} wrote. */
export function readInteger (source: Buffer, offset: number): number {
  const value = source.readUInt32BE(offset) * highUnit + source.readUInt32BE(offset + 4)
  if (!Number.isSafeInteger(value)) throw new MalformedRecordError('a number is larger than 2^53 - 1')
  return value
}

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
  if (payload.length < 2 * integerBytes + 1) throw new MalformedRecordError('a hard state is too short')
  const voted = payload.readUInt8(2 * integerBytes)
  const vote = payload.toString('utf8', 2 * integerBytes + 1)
  if (voted > 1 || (voted === 0 && vote !== '')) throw new MalformedRecordError('a hard state has an unknown form')
  return {
    term: asTerm(readInteger(payload, 0)),
    vote: voted === 1 ? asNodeId(vote) : null,
    commit: asIndex(readInteger(payload, integerBytes))
  }
}

const entryHeadBytes = 3 * integerBytes + 1

/** Payload of an entry: index, term, time, kind, data. */
export function entryBytes (entry: Entry): number {
  return entryHeadBytes + entry.data.byteLength
}

/** Writes the record of an entry, head and all, and returns the offset behind it. `view` is of the same bytes. */
export function writeEntryRecord (target: Buffer, view: DataView, entry: Entry, offset: number): number {
  const { index, term, timeMs, kind, data } = entry
  const payloadBytes = entryHeadBytes + data.byteLength
  checkPayload(payloadBytes)
  if (!isCount(index) || !isCount(term) || !isCount(timeMs)) {
    throw new RangeError(`entry ${index} of term ${term} holds a number that is not a non-negative safe integer`)
  }
  // This is where a group's time goes: a view takes a tenth of what the methods of Buffer do.
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

function isCount (value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

/** Writes a non-negative safe integer, as {@link writeInteger} does, unchecked and much faster. */
export function putInteger (view: DataView, value: number, offset: number): void {
  const high = Math.floor(value / highUnit)
  view.setUint32(offset, high)
  view.setUint32(offset + 4, value - high * highUnit)
}

/** Gives bytes that outlive the segment they are read from: a copy of those from `start` to `end` of `source`. */
export type KeepBytes = (source: Buffer, start: number, end: number) => Uint8Array

/** Reads the payload that {@link writeEntryRecord} wrote, between these two offsets. */
export function readEntry (source: Buffer, start: number, end: number, keep: KeepBytes): Entry {
  if (end - start < entryHeadBytes) throw new MalformedRecordError('an entry is too short')
  const kindCode = source[start + entryHeadBytes - 1] ?? 0
  const kind = kindOfCode.get(kindCode)
  if (kind === undefined) throw new MalformedRecordError(`an entry has the unknown kind ${kindCode}`)
  return {
    index: asIndex(readInteger(source, start)),
    term: asTerm(readInteger(source, start + integerBytes)),
    kind,
    timeMs: readInteger(source, start + 2 * integerBytes),
    data: keep(source, start + entryHeadBytes, end)
  }
}

/** Bytes of a base: index, term, time. */
export const baseBytes = 3 * integerBytes

/** Writes a base and returns the offset behind it. */
export function writeBase (target: Buffer, base: LogBase, offset: number): number {
  let end = writeInteger(target, base.index, offset)
  end = writeInteger(target, base.term, end)
  return writeInteger(target, base.timeMs, end)
}

/** Reads what {@link writeBase} wrote. */
export function readBase (payload: Buffer): LogBase {
  if (payload.length !== baseBytes) throw new MalformedRecordError('a base has the wrong length')
  return {
    index: asIndex(readInteger(payload, 0)),
    term: asTerm(readInteger(payload, integerBytes)),
    timeMs: readInteger(payload, 2 * integerBytes)
  }
}
