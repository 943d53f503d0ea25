import { crc32 } from 'node:zlib'
import { SnapshotGoneError, TooLargeError } from '../../errors.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from '../snapshot-store.ts'
import { isSameSnapshot, newestFirst } from '../snapshot-store.ts'
import type { SnapshotSink } from './incoming-snapshot.ts'
import { Incoming } from './incoming-snapshot.ts'
import { checkSnapshot } from './snapshot-format.ts'

interface Held {
  readonly info: SnapshotInfo
  readonly pieces: readonly Uint8Array[]
}

class Pieces implements SnapshotSink {
  readonly pieces: Uint8Array[] = []
  readonly #maxBytes: number
  #bytes = 0
  #checksum = 0

  constructor (maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes (): number { return this.#bytes }
  get checksum (): number { return this.#checksum }

  async write (piece: Uint8Array): Promise<void> {
    if (this.#bytes + piece.byteLength > this.#maxBytes) {
      throw new TooLargeError(`A snapshot of more than ${this.#maxBytes} bytes is larger than this node takes`)
    }
    // A copy: the caller may use the memory again.
    this.pieces.push(piece.slice())
    this.#bytes += piece.byteLength
    this.#checksum = crc32(piece, this.#checksum)
  }
}

/** A {@link SnapshotStore} in memory: the twin of the file store, with the same rules and errors. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #keep: number
  readonly #maxBytes: number
  #held: Held[] = []
  #incoming: Incoming | null = null

  constructor (options: { readonly keep?: number, readonly maxBytes?: number } = {}) {
    this.#keep = options.keep ?? 2
    this.#maxBytes = options.maxBytes ?? 1024 ** 3
  }

  async open (): Promise<void> {
    await this.#incoming?.discard()
  }

  latest (): SnapshotInfo | null {
    return this.#held[0]?.info ?? null
  }

  async save (meta: SnapshotMeta, source: AsyncIterable<Uint8Array>): Promise<SnapshotInfo> {
    checkSnapshot(meta, this.#maxBytes)
    const taken = new Pieces(this.#maxBytes)
    for await (const piece of source) await taken.write(piece)
    return this.#complete(meta, taken)
  }

  async * read (info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array> {
    const held = this.#held.find((one) => isSameSnapshot(one.info, info))
    if (held === undefined) {
      throw new SnapshotGoneError(`The snapshot through index ${info.index} has been replaced by newer ones`)
    }
    let at = 0
    for (const piece of held.pieces) {
      const rest = piece.subarray(Math.max(0, offset - at))
      at += piece.byteLength
      if (rest.byteLength > 0) yield rest
    }
  }

  async receive (info: SnapshotInfo): Promise<IncomingSnapshot> {
    if (this.#incoming?.isUnderWay === true && isSameSnapshot(this.#incoming.info, info)) return this.#incoming
    await this.#incoming?.discard()
    checkSnapshot(info, this.#maxBytes)
    const taken = new Pieces(this.#maxBytes)
    this.#incoming = new Incoming(info, taken, async () => this.#complete(info, taken), () => Promise.resolve())
    return this.#incoming
  }

  #complete ({ index, term, timeMs, configuration }: SnapshotMeta, { pieces, bytes, checksum }: Pieces): SnapshotInfo {
    const info = { index, term, timeMs, configuration: configuration.slice(), bytes, checksum }
    const others = this.#held.filter((one) => one.info.index !== index || one.info.term !== term)
    this.#held = [...others, { info, pieces }]
      .sort((one, other) => newestFirst(one.info, other.info))
      .slice(0, this.#keep)
    return info
  }
}
