import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { DataDirForeignError, SnapshotCorruptError, SnapshotVersionError, TooLargeError } from '../../errors.ts'
import {
  isCount,
  MalformedPayloadError,
  pointBytes,
  readInteger,
  readPoint,
  writeInteger,
  writePoint
} from '../disk/encoding.ts'
import type { OpenFile } from '../disk/file-operations.ts'
import { readFully } from '../disk/file-operations.ts'
import type { SnapshotInfo, SnapshotMeta } from '../snapshot-store.ts'

/**
 * A snapshot file: a header, the data in chunks of one size (the last one may be shorter), an end.
 *
 * ```
 * header  magic (8 bytes), CRC-32 of all behind it (4), version (4), length of the payload (4),
 *         payload: salt (8), index, term, time (8 each), chunk size (4), cluster id (its length in 2 before it),
 *         configuration (its length in 4 before it)
 * chunk   CRC-32 (4) of length and data, continued from the header's and the chunk's number; length (4); data
 * end     magic (8), bytes of data (8), CRC-32 of all data (4),
 *         CRC-32 of these 20 bytes, continued from the header's (4)
 * ```
 *
 * Magic, checksum, version and length keep their place in all later versions. All chunks but the last have one size, so
 * that reading can start at any of them. Numbers are big-endian.
 */
const snapshotVersion = 1

/** The largest configuration that a snapshot takes. */
const maxConfigurationBytes = 1024 * 1024

const magic = Buffer.from('raft-snp', 'latin1')
const endMagic = Buffer.from('raft-end', 'latin1')
const versionOffset = 12
const lengthOffset = 16
const headBytes = 20
const saltBytes = 8
const fixedBytes = saltBytes + pointBytes + 4
/** Bytes before a chunk's data. */
export const chunkHeadBytes = 8
const endBytes = 24
const maxChunkBytes = 16 * 1024 * 1024

/**
 * Checks the announcement of a snapshot before anything is written. Throws `RAFT_SNAPSHOT_CORRUPT` for numbers that are
 * not counts, and `RAFT_TOO_LARGE` for more bytes than this node takes.
 */
export function checkSnapshot (meta: SnapshotMeta & { readonly bytes?: number }, maxBytes: number): void {
  const { index, term, timeMs, configuration, bytes = 0 } = meta
  if (![index, term, timeMs, bytes].every(isCount)) {
    throw new SnapshotCorruptError('A snapshot was announced with a number that is not a count.')
  }
  if (configuration.byteLength > maxConfigurationBytes) {
    throw new TooLargeError(
      `A configuration of ${configuration.byteLength} bytes is larger than a snapshot takes (${maxConfigurationBytes})`
    )
  }
  if (bytes > maxBytes) {
    throw new TooLargeError(`A snapshot of ${bytes} bytes is larger than this node takes (${maxBytes})`)
  }
}

/** Where the parts of a snapshot file are. */
export interface SnapshotLayout {
  readonly info: SnapshotInfo
  readonly clusterId: string
  /** Checksum of the header, from which the others continue. */
  readonly seed: number
  readonly headerBytes: number
  readonly chunkBytes: number
}

/** Encodes the header of a snapshot file. */
export function encodeSnapshotHeader (
  meta: SnapshotMeta,
  clusterId: string,
  chunkBytes: number
): { readonly bytes: Buffer; readonly seed: number } {
  const cluster = Buffer.from(clusterId, 'utf8')
  const payload = Buffer.alloc(fixedBytes + 2 + cluster.length + 4 + meta.configuration.byteLength)
  randomBytes(saltBytes).copy(payload)
  let at = payload.writeUInt32BE(chunkBytes, writePoint(payload, meta, saltBytes))
  at = payload.writeUInt16BE(cluster.length, at)
  at = payload.writeUInt32BE(meta.configuration.byteLength, at + cluster.copy(payload, at))
  payload.set(meta.configuration, at)
  const head = Buffer.alloc(headBytes)
  magic.copy(head)
  head.writeUInt32BE(snapshotVersion, versionOffset)
  head.writeUInt32BE(payload.length, lengthOffset)
  const bytes = Buffer.concat([head, payload])
  const seed = crc32(bytes.subarray(versionOffset))
  bytes.writeUInt32BE(seed, magic.length)
  return { bytes, seed }
}

/** Writes the head of a chunk whose data is in place behind it. */
export function sealChunk (chunk: Buffer, number: number, seed: number): void {
  chunk.writeUInt32BE(chunk.length - chunkHeadBytes, 4)
  chunk.writeUInt32BE(checksumOf(chunk, number, seed), 0)
}

function checksumOf (chunk: Buffer, number: number, seed: number): number {
  return crc32(chunk.subarray(4), (seed ^ number) >>> 0)
}

/** Encodes the end of a snapshot file. */
export function encodeSnapshotEnd (bytes: number, checksum: number, seed: number): Buffer {
  const end = Buffer.alloc(endBytes)
  endMagic.copy(end)
  end.writeUInt32BE(checksum, writeInteger(end, bytes, endMagic.length))
  end.writeUInt32BE(crc32(end.subarray(0, endBytes - 4), seed), endBytes - 4)
  return end
}

function corrupt (path: string, position: number, what: string): Error {
  return new SnapshotCorruptError(`The snapshot ${path} is damaged at byte ${position}: ${what}. Nothing was changed.`)
}

async function readPart (file: OpenFile, path: string, position: number, bytes: number, size: number): Promise<Buffer> {
  if (bytes > size - position) throw corrupt(path, position, 'it is cut short')
  const part = Buffer.alloc(bytes)
  await readFully(file, part, position)
  return part
}

function readPayload (payload: Buffer): { meta: SnapshotMeta, clusterId: string, chunkBytes: number } {
  const clusterEnd = fixedBytes + 2 + payload.readUInt16BE(fixedBytes)
  if (payload.length < clusterEnd + 4 || payload.length !== clusterEnd + 4 + payload.readUInt32BE(clusterEnd)) {
    throw new MalformedPayloadError('its header has an unknown form')
  }
  const chunkBytes = payload.readUInt32BE(fixedBytes - 4)
  if (chunkBytes === 0 || chunkBytes > maxChunkBytes) throw new MalformedPayloadError('its chunks have an unknown size')
  return {
    meta: {
      ...readPoint(payload.subarray(saltBytes, saltBytes + pointBytes)),
      configuration: new Uint8Array(payload.subarray(clusterEnd + 4))
    },
    clusterId: payload.toString('utf8', fixedBytes + 2, clusterEnd),
    chunkBytes
  }
}

/**
 * Reads header and end of a snapshot file, and checks by its size that all chunks in between are there. Accepts the
 * snapshot of any cluster when `clusterId` is null.
 *
 * Rejects with `RAFT_SNAPSHOT_CORRUPT`, `RAFT_SNAPSHOT_VERSION` for a version that this release does not know, and
 * `RAFT_DATA_DIR_FOREIGN` when it belongs to another cluster.
 */
export async function readSnapshotLayout (
  file: OpenFile,
  path: string,
  clusterId: string | null
): Promise<SnapshotLayout> {
  const size = await file.size()
  const head = await readPart(file, path, 0, headBytes, size)
  if (!head.subarray(0, magic.length).equals(magic)) throw corrupt(path, 0, 'it does not start as a snapshot does')
  const payloadBytes = head.readUInt32BE(lengthOffset)
  if (payloadBytes < fixedBytes + 6 || payloadBytes > 2 * maxConfigurationBytes) {
    throw corrupt(path, 0, 'its header has an unknown size')
  }
  const header = await readPart(file, path, 0, headBytes + payloadBytes, size)
  const seed = header.readUInt32BE(magic.length)
  if (crc32(header.subarray(versionOffset)) !== seed) {
    throw corrupt(path, 0, 'the checksum of its header does not match')
  }
  const version = header.readUInt32BE(versionOffset)
  if (version !== snapshotVersion) {
    throw new SnapshotVersionError(
      `The snapshot ${path} has format version ${version}; this release knows version ${snapshotVersion}. Use the ` +
        'release that wrote it, or a later one. Nothing was changed.'
    )
  }
  try {
    const { meta, clusterId: found, chunkBytes } = readPayload(header.subarray(headBytes))
    if (clusterId !== null && found !== clusterId) {
      throw new DataDirForeignError(
        `The snapshot ${path} belongs to cluster "${found}", not to "${clusterId}". Nothing was changed.`
      )
    }
    const end = await readPart(file, path, Math.max(header.length, size - endBytes), endBytes, size)
    if (
      !end.subarray(0, endMagic.length).equals(endMagic) ||
      crc32(end.subarray(0, endBytes - 4), seed) !== end.readUInt32BE(endBytes - 4)
    ) {
      throw corrupt(path, size - endBytes, 'it does not end as it should')
    }
    const bytes = readInteger(end, endMagic.length)
    if (size !== header.length + bytes + Math.ceil(bytes / chunkBytes) * chunkHeadBytes + endBytes) {
      throw corrupt(path, size, 'its size is not the one it names')
    }
    return {
      info: { ...meta, bytes, checksum: end.readUInt32BE(endMagic.length + 8) },
      clusterId: found,
      seed,
      headerBytes: header.length,
      chunkBytes
    }
  } catch (error) {
    throw error instanceof MalformedPayloadError ? corrupt(path, 0, error.message) : error
  }
}

/** The data of a snapshot file from `offset` on, chunk by chunk. Each is checked before it is yielded. */
export async function * readChunks (
  file: OpenFile,
  path: string,
  layout: SnapshotLayout,
  offset: number
): AsyncGenerator<Uint8Array> {
  const { info, seed, headerBytes, chunkBytes } = layout
  let checksum = 0
  for (let number = Math.floor(offset / chunkBytes); number * chunkBytes < info.bytes; number++) {
    const position = headerBytes + number * (chunkBytes + chunkHeadBytes)
    const chunk = Buffer.alloc(chunkHeadBytes + Math.min(chunkBytes, info.bytes - number * chunkBytes))
    await readFully(file, chunk, position)
    const isRight =
      chunk.readUInt32BE(4) === chunk.length - chunkHeadBytes &&
      checksumOf(chunk, number, seed) === chunk.readUInt32BE(0)
    if (!isRight) throw corrupt(path, position, 'the checksum of its data does not match')
    const data = chunk.subarray(chunkHeadBytes)
    checksum = crc32(data, checksum)
    yield new Uint8Array(data.buffer, data.byteOffset, data.length).subarray(Math.max(0, offset - number * chunkBytes))
  }
  if (offset === 0 && checksum !== info.checksum) {
    throw corrupt(path, headerBytes, 'the checksum of all its data does not match')
  }
}
