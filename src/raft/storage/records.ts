import { asIndex, asNodeId, asTerm } from '../core/types.ts'
import type { Entry, EntryKind, HardState } from '../core/types.ts'
import type { LogBase } from './storage.ts'

/** A payload whose checksum is right and whose content is not: written by a faulty or a newer release. */
export class MalformedRecordError extends Error {}

const integerBytes = 8
const highUnit = 2 ** 32

const codeOfKind: Record<EntryKind, number> = { noop: 0, command: 1, configuration: 2 }
const kindOfCode = new Map<number, EntryKind>(
  (Object.entries(codeOfKind) as [EntryKind, number][]).map(([kind, code]) => [code, kind])
)

/** Writes a non-negative safe integer in eight bytes and returns the offset behind it. */
export function writeInteger (target: Buffer, value: number, offset: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
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

/** Writes an entry and returns the offset behind it. */
export function writeEntry (target: Buffer, entry: Entry, offset: number): number {
  let end = writeInteger(target, entry.index, offset)
  end = writeInteger(target, entry.term, end)
  end = writeInteger(target, entry.timeMs, end)
  end = target.writeUInt8(codeOfKind[entry.kind], end)
  target.set(entry.data, end)
  return end + entry.data.byteLength
}

/** Reads what {@link writeEntry} wrote. `keep` gives bytes that outlive the payload. */
export function readEntry (payload: Buffer, keep: (data: Buffer) => Uint8Array): Entry {
  if (payload.length < entryHeadBytes) throw new MalformedRecordError('an entry is too short')
  const kindCode = payload.readUInt8(entryHeadBytes - 1)
  const kind = kindOfCode.get(kindCode)
  if (kind === undefined) throw new MalformedRecordError(`an entry has the unknown kind ${kindCode}`)
  return {
    index: asIndex(readInteger(payload, 0)),
    term: asTerm(readInteger(payload, integerBytes)),
    kind,
    timeMs: readInteger(payload, 2 * integerBytes),
    data: keep(payload.subarray(entryHeadBytes))
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
