import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { WalCorruptError, WalVersionError, DataDirForeignError } from '../errors.ts'
import { wayOut } from './way-out.ts'
import type { ReadWindow } from './read-window.ts'
import type { StorageIdentity } from './storage.ts'

/**
 * The header of the log file:
 *
 * ```
 * magic     8 bytes
 * checksum  4 bytes  CRC-32 of everything behind it
 * version   4 bytes
 * length    4 bytes  of the payload
 * payload            salt (8 random bytes), cluster id, node id, each id with its length in 2 bytes before it
 * ```
 *
 * Everything up to the payload keeps its place in all versions to come, so that a newer version is told from damage.
 */
export const formatVersion = 1

const magic = Buffer.from('raft-log', 'latin1')
const checksumOffset = magic.length
const versionOffset = checksumOffset + 4
const lengthOffset = versionOffset + 4
const headBytes = lengthOffset + 4
const saltBytes = 8
const maxHeaderPayloadBytes = 1024 * 1024

/** What the rest of the file builds on. */
export interface LogHeader {
  /** Where the first group starts. */
  readonly end: number
  /** What the first checksum of each group continues from. The salt makes it differ from file to file. */
  readonly seed: number
}

/** The header of a new log. */
export function encodeLogHeader (identity: StorageIdentity): Buffer {
  const ids = [identity.clusterId, identity.nodeId].map((id) => {
    const bytes = Buffer.from(id, 'utf8')
    const length = Buffer.alloc(2)
    length.writeUInt16BE(bytes.length)
    return Buffer.concat([length, bytes])
  })
  const payload = Buffer.concat([randomBytes(saltBytes), ...ids])
  const head = Buffer.alloc(headBytes)
  magic.copy(head)
  head.writeUInt32BE(formatVersion, versionOffset)
  head.writeUInt32BE(payload.length, lengthOffset)
  const header = Buffer.concat([head, payload])
  header.writeUInt32BE(crc32(header.subarray(versionOffset)), checksumOffset)
  return header
}

function readIdentity (payload: Buffer): StorageIdentity | null {
  const clusterAt = saltBytes + 2
  if (payload.length < clusterAt) return null
  const nodeAt = clusterAt + payload.readUInt16BE(saltBytes) + 2
  if (payload.length < nodeAt) return null
  if (payload.length !== nodeAt + payload.readUInt16BE(nodeAt - 2)) return null
  return { clusterId: payload.toString('utf8', clusterAt, nodeAt - 2), nodeId: payload.toString('utf8', nodeAt) }
}

/**
 * Reads the header and checks whose log this is.
 *
 * Rejects with `RAFT_WAL_CORRUPT`, `RAFT_WAL_VERSION` for a version that this release does not know, and
 * `RAFT_DATA_DIR_FOREIGN` when the log belongs to another node or cluster.
 */
export async function readLogHeader (window: ReadWindow, path: string, expected: StorageIdentity): Promise<LogHeader> {
  const corrupt = (what: string): Error =>
    new WalCorruptError(`The log ${path} is damaged at byte 0, before index 1: ${what}. ${wayOut}`)
  if (window.size < headBytes) throw corrupt('its header is cut short')
  const head = await window.load(0, headBytes)
  if (!head.subarray(0, magic.length).equals(magic)) throw corrupt('it does not start as a log does')
  const seed = head.readUInt32BE(checksumOffset)
  const version = head.readUInt32BE(versionOffset)
  const payloadBytes = head.readUInt32BE(lengthOffset)
  const end = headBytes + payloadBytes
  if (payloadBytes > maxHeaderPayloadBytes || end > window.size) throw corrupt('its header is cut short')
  const header = await window.load(0, end)
  if (crc32(header.subarray(versionOffset)) !== seed) throw corrupt('the checksum of its header does not match')
  if (version !== formatVersion) {
    throw new WalVersionError(
      `The log ${path} has format version ${version}; this release knows version ${formatVersion}. ` +
      'Start this node with the release that wrote it, or a later one. Nothing was changed.'
    )
  }
  const found = readIdentity(header.subarray(headBytes))
  if (found === null) throw corrupt('its header has an unknown form')
  if (found.clusterId !== expected.clusterId || found.nodeId !== expected.nodeId) {
    throw new DataDirForeignError(
      `The log ${path} belongs to node "${found.nodeId}" of cluster "${found.clusterId}", not to node ` +
      `"${expected.nodeId}" of cluster "${expected.clusterId}". Give this node its own data directory, or start it ` +
      'under the id and in the cluster it has a log for. Nothing was changed.'
    )
  }
  return { end, seed }
}
