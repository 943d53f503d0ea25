import { crc32 } from 'node:zlib'
import { TooLargeError } from '../../errors.ts'
import type { OpenFile } from '../disk/file-operations.ts'
import { writeFully } from '../disk/file-operations.ts'
import type { SnapshotInfo, SnapshotMeta } from '../snapshot-store.ts'
import { chunkHeadBytes, encodeSnapshotEnd, encodeSnapshotHeader, sealChunk } from './snapshot-format.ts'

/** How a snapshot file is written. */
export interface SnapshotWriterOptions {
  readonly clusterId: string
  readonly chunkBytes: number
  /** The most bytes of data a snapshot may have. */
  readonly maxBytes: number
}

/** Writes a snapshot file; its data may come in any sizes. Not to be used again after a call of it has failed. */
export class SnapshotWriter {
  readonly #file: OpenFile
  readonly #meta: SnapshotMeta
  readonly #options: SnapshotWriterOptions
  readonly #chunk: Buffer
  #seed = 0
  #position = 0
  #chunks = 0
  #filled = chunkHeadBytes
  #bytes = 0
  #checksum = 0

  constructor (file: OpenFile, meta: SnapshotMeta, options: SnapshotWriterOptions) {
    this.#file = file
    this.#meta = meta
    this.#options = options
    this.#chunk = Buffer.alloc(chunkHeadBytes + options.chunkBytes)
  }

  /** Bytes of data written so far. */
  get bytes (): number { return this.#bytes }
  /** CRC-32 of the data written so far. */
  get checksum (): number { return this.#checksum }

  async write (data: Uint8Array): Promise<void> {
    const { maxBytes } = this.#options
    if (this.#bytes + data.byteLength > maxBytes) {
      throw new TooLargeError(`A snapshot of more than ${maxBytes} bytes is larger than this node takes`)
    }
    this.#checksum = crc32(data, this.#checksum)
    this.#bytes += data.byteLength
    for (let taken = 0; taken < data.byteLength;) {
      const part = data.subarray(taken, taken + this.#chunk.length - this.#filled)
      this.#chunk.set(part, this.#filled)
      this.#filled += part.byteLength
      taken += part.byteLength
      if (this.#filled === this.#chunk.length) await this.#flush()
    }
  }

  /** Writes the last chunk and the end, and syncs the file. */
  async finish (): Promise<SnapshotInfo> {
    await this.#flush()
    await this.#put(encodeSnapshotEnd(this.#bytes, this.#checksum, this.#seed))
    await this.#file.sync()
    const { index, term, timeMs, configuration } = this.#meta
    return { index, term, timeMs, configuration, bytes: this.#bytes, checksum: this.#checksum }
  }

  async #flush (): Promise<void> {
    if (this.#position === 0) {
      const header = encodeSnapshotHeader(this.#meta, this.#options.clusterId, this.#options.chunkBytes)
      this.#seed = header.seed
      await this.#put(header.bytes)
    }
    if (this.#filled === chunkHeadBytes) return
    const chunk = this.#chunk.subarray(0, this.#filled)
    sealChunk(chunk, this.#chunks, this.#seed)
    await this.#put(chunk)
    this.#chunks++
    this.#filled = chunkHeadBytes
  }

  async #put (bytes: Buffer): Promise<void> {
    await writeFully(this.#file, bytes, this.#position)
    this.#position += bytes.length
  }
}
