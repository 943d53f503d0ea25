import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { HardState } from '../../core/index.ts'
import { DataDirForeignError, WalVersionError } from '../../errors.ts'
import {
  MalformedPayloadError,
  pointBytes,
  readInteger,
  readPoint,
  writeInteger,
  writePoint
} from '../disk/encoding.ts'
import type { OpenFile } from '../disk/file-operations.ts'
import { readFully } from '../disk/file-operations.ts'
import type { LogPoint, StorageIdentity } from '../storage.ts'
import { incarnationBytes } from '../storage.ts'
import { logDamage } from './damage.ts'
import { hardStateBytes, readHardState, writeHardState } from './records.ts'

/**
 * The header of a segment:
 *
 * ```
 * magic     8 bytes
 * checksum  4 bytes  CRC-32 of everything behind it
 * version   4 bytes
 * length    4 bytes  of the payload
 * payload            see {@link SegmentHeader}
 * ```
 *
 * Everything up to the payload keeps its place in all later versions, so that a newer version is not taken for damage.
 */
const formatVersion = 2

const magic = Buffer.from('raft-wal', 'latin1')
const checksumOffset = magic.length
const versionOffset = checksumOffset + 4
const lengthOffset = versionOffset + 4
const headBytes = lengthOffset + 4
const saltBytes = 8
const maxHeaderPayloadBytes = 1024 * 1024

/** The payload of a segment's header. */
export interface SegmentHeader {
  /** Counts up by one from segment to segment. */
  readonly id: number
  /** Of the log: the same in all its segments. */
  readonly incarnation: string
  /** The size of the whole file, which it has before it gets its name. */
  readonly segmentBytes: number
  /**
   * The segment before it: the checksum of its header and where its last group ends. Null when the log starts anew
   * here, at its very first entry or behind an installed snapshot: earlier segments do not count then.
   */
  readonly previous: { readonly seed: number, readonly end: number } | null
  /** The entry that the log started behind when the segment was created. */
  readonly base: LogPoint
  /** The log's last entry when the segment was created: the segment's first index is one more. */
  readonly last: LogPoint
  /** The hard state when the segment was created, so that older segments can be removed. */
  readonly hardState: HardState
}

/** A header that was read from a file. */
export interface FoundSegmentHeader extends SegmentHeader {
  /** The node that the log belongs to. */
  readonly identity: StorageIdentity
  /** Where the first group starts. */
  readonly end: number
  /** The checksum of the header, from which that of each group continues. The salt makes it differ between files. */
  readonly seed: number
}

function idBytes (id: string): Buffer {
  const bytes = Buffer.from(id, 'utf8')
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Encodes the header of a new segment. */
export function encodeSegmentHeader (
  header: SegmentHeader,
  identity: StorageIdentity
): { readonly bytes: Buffer; readonly seed: number } {
  const fixed = Buffer.alloc(fixedBytes)
  randomBytes(saltBytes).copy(fixed)
  let end = writeInteger(fixed, header.id, saltBytes)
  end = writeInteger(fixed, header.segmentBytes, end)
  end = fixed.writeUInt8(header.previous === null ? 0 : 1, end)
  end = fixed.writeUInt32BE(header.previous?.seed ?? 0, end)
  end = writeInteger(fixed, header.previous?.end ?? 0, end)
  end = writePoint(fixed, header.base, end)
  end = writePoint(fixed, header.last, end)
  fixed.write(header.incarnation, end, 'hex')
  const hardState = Buffer.alloc(2 + hardStateBytes(header.hardState))
  writeHardState(hardState, header.hardState, hardState.writeUInt16BE(hardState.length - 2))
  const payload = Buffer.concat([fixed, idBytes(identity.clusterId), idBytes(identity.nodeId), hardState])
  const head = Buffer.alloc(headBytes)
  magic.copy(head)
  head.writeUInt32BE(formatVersion, versionOffset)
  head.writeUInt32BE(payload.length, lengthOffset)
  const bytes = Buffer.concat([head, payload])
  const seed = crc32(bytes.subarray(versionOffset))
  bytes.writeUInt32BE(seed, checksumOffset)
  return { bytes, seed }
}

const pointsAt = saltBytes + 8 + 8 + 1 + 4 + 8
const incarnationAt = pointsAt + 2 * pointBytes
const fixedBytes = incarnationAt + incarnationBytes

function readPayload (payload: Buffer): { header: SegmentHeader, identity: StorageIdentity } {
  let at = fixedBytes
  const nextPart = (): Buffer => {
    if (at + 2 > payload.length) throw new MalformedPayloadError('its header is too short')
    const end = at + 2 + payload.readUInt16BE(at)
    const part = payload.subarray(at + 2, end)
    at = end
    return part
  }
  const clusterId = nextPart().toString('utf8')
  const nodeId = nextPart().toString('utf8')
  const hardState = readHardState(nextPart())
  if (at !== payload.length) throw new MalformedPayloadError('its header has an unknown form')
  const header = {
    id: readInteger(payload, saltBytes),
    segmentBytes: readInteger(payload, saltBytes + 8),
    previous: payload.readUInt8(saltBytes + 16) === 0
      ? null
      : { seed: payload.readUInt32BE(saltBytes + 17), end: readInteger(payload, saltBytes + 21) },
    base: readPoint(payload.subarray(pointsAt, pointsAt + pointBytes)),
    last: readPoint(payload.subarray(pointsAt + pointBytes, incarnationAt)),
    incarnation: payload.toString('hex', incarnationAt, fixedBytes),
    hardState
  }
  if (!isPossible(header)) throw new MalformedPayloadError('its header names a start that no log has')
  return { header, identity: { clusterId, nodeId } }
}

/** Whether a log can have been in this state: terms rise along it, up to that of the hard state. */
function isPossible ({ base, last, hardState }: SegmentHeader): boolean {
  if (base.index > last.index || base.term > last.term || last.term > hardState.term) return false
  return base.index < last.index || (base.term === last.term && base.timeMs === last.timeMs)
}

/**
 * Reads the header of a segment and checks that the log belongs to the `expected` node; null accepts any.
 *
 * Rejects with `RAFT_WAL_CORRUPT`, `RAFT_WAL_VERSION` for a version that this release does not know, and
 * `RAFT_DATA_DIR_FOREIGN` when the log belongs to another node or cluster.
 */
export async function readSegmentHeader (
  file: OpenFile,
  path: string,
  id: number,
  expected: StorageIdentity | null
): Promise<FoundSegmentHeader> {
  const corrupt = (what: string): Error => logDamage(path, 0, null, what)
  const size = await file.size()
  if (size < headBytes) throw corrupt('its header is cut short')
  const head = Buffer.alloc(headBytes)
  await readFully(file, head, 0)
  if (!head.subarray(0, magic.length).equals(magic)) throw corrupt('it does not start as a segment of a log does')
  const seed = head.readUInt32BE(checksumOffset)
  const payloadBytes = head.readUInt32BE(lengthOffset)
  const end = headBytes + payloadBytes
  if (payloadBytes < fixedBytes || payloadBytes > maxHeaderPayloadBytes || end > size) {
    throw corrupt('its header is cut short')
  }
  const bytes = Buffer.alloc(end)
  await readFully(file, bytes, 0)
  if (crc32(bytes.subarray(versionOffset)) !== seed) throw corrupt('the checksum of its header does not match')
  refuseOtherVersion(path, bytes.readUInt32BE(versionOffset))
  try {
    const { header, identity } = readPayload(bytes.subarray(headBytes))
    if (expected !== null) refuseOtherIdentity(path, identity, expected)
    if (header.id !== id) throw corrupt(`it is segment ${header.id} under the name of another`)
    if (header.segmentBytes !== size) throw corrupt(`it has ${size} bytes instead of ${header.segmentBytes}`)
    return { ...header, identity, end, seed }
  } catch (error) {
    throw error instanceof MalformedPayloadError ? corrupt(error.message) : error
  }
}

function refuseOtherVersion (path: string, version: number): void {
  if (version === formatVersion) return
  throw new WalVersionError(
    `The log ${path} has format version ${version}; this release knows version ${formatVersion}. ` +
    'Start this node with the release that wrote it, or a later one. Nothing was changed.'
  )
}

function refuseOtherIdentity (path: string, found: StorageIdentity, expected: StorageIdentity): void {
  if (found.clusterId === expected.clusterId && found.nodeId === expected.nodeId) return
  throw new DataDirForeignError(
    `The log ${path} belongs to node "${found.nodeId}" of cluster "${found.clusterId}", not to node ` +
    `"${expected.nodeId}" of cluster "${expected.clusterId}". Give this node its own data directory, or start it ` +
    'under the id and in the cluster it has a log for. Nothing was changed.'
  )
}
