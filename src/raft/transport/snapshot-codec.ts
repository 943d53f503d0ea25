import type { Message, Term } from '../core/index.ts'
import { asIndex, asTerm } from '../core/index.ts'
import { MalformedMessageError, SnapshotVersionError } from '../errors.ts'
import { BinaryReader, BinaryWriter } from '../runtime/binary.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'
import type { Address } from './codec.ts'
import { decodeMessages, encodeMessages, readAddress, writeAddress } from './codec.ts'

/** Version of how snapshots travel; a node refuses any other. */
const snapshotProtocolVersion = 1

/** A part of a snapshot on its way from the leader of a term. */
export interface SnapshotChunk {
  readonly term: Term
  /** The whole of which this is a part: repeated with every part, so that the receiver keeps nothing between them. */
  readonly info: SnapshotInfo
  /** Where in the data these bytes stand; without bytes it is a question for where to go on. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** What the receiver has of a snapshot. */
export interface SnapshotReply {
  /** How many bytes of its data are there: the sender goes on with those behind. */
  readonly offset: number
  /** What its core answers once the snapshot is complete, or not needed; none before that. */
  readonly messages: readonly Message[]
}

export function encodeSnapshotChunk (address: Address, { term, info, offset, bytes }: SnapshotChunk): Buffer {
  const writer = new BinaryWriter(bytes.byteLength + info.configuration.byteLength + 512)
  writeAddress(writer, address)
  writer.byte(snapshotProtocolVersion)
  writer.number(term)
  writer.number(info.index)
  writer.number(info.term)
  writer.number(info.timeMs)
  writer.number(info.bytes)
  writer.number(info.checksum)
  writer.bytes(info.configuration)
  writer.number(offset)
  writer.bytes(bytes)
  return writer.finish()
}

/**
 * Throws `RAFT_MALFORMED_MESSAGE` for what {@link encodeSnapshotChunk} does not produce, `RAFT_SNAPSHOT_VERSION` for
 * what a later release does.
 */
export function decodeSnapshotChunk (body: Uint8Array): { readonly address: Address, readonly chunk: SnapshotChunk } {
  const reader = new BinaryReader(body)
  const address = readAddress(reader)
  const version = reader.byte()
  if (version !== snapshotProtocolVersion) {
    throw new SnapshotVersionError(
      `A snapshot arrived in version ${version} of the protocol; this release knows version ` +
        `${snapshotProtocolVersion}. Nothing was changed.`
    )
  }
  const term = asTerm(reader.number())
  const info: SnapshotInfo = {
    index: asIndex(reader.number()),
    term: asTerm(reader.number()),
    timeMs: reader.number(),
    bytes: reader.number(),
    checksum: reader.number(),
    // Copied out of the request's body: it lives as long as the snapshot.
    configuration: Uint8Array.from(reader.bytes())
  }
  const offset = reader.number()
  const bytes = reader.bytes()
  reader.end()
  if (offset + bytes.byteLength > info.bytes) {
    throw new MalformedMessageError('a part of a snapshot stands beyond its end')
  }
  return { address, chunk: { term, info, offset, bytes } }
}

export function encodeSnapshotReply (address: Address, { offset, messages }: SnapshotReply): Buffer {
  const writer = new BinaryWriter()
  writer.number(offset)
  writer.raw(encodeMessages(address, messages))
  return writer.finish()
}

export function decodeSnapshotReply (body: Uint8Array): { readonly address: Address, readonly reply: SnapshotReply } {
  const reader = new BinaryReader(body)
  const offset = reader.number()
  const { address, messages } = decodeMessages(reader.raw(reader.remaining))
  return { address, reply: { offset, messages } }
}
