import { crc32 } from 'node:zlib'
import { SnapshotGoneError, TooLargeError } from '../../errors.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from '../snapshot-store.ts'
import { isSameSnapshot, newestFirst } from '../snapshot-store.ts'
import { type Incoming, resumeOrBegin, type SnapshotSink } from './incoming-snapshot.ts'
import { checkSnapshot } from './snapshot-format.ts'

/** A {@link SnapshotStore} in memory: the twin of the file store, with the same rules and errors. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #maxBytes: number
  readonly #snapshots: CompleteSnapshots
  #incoming: Incoming | null = null

  constructor (options: { readonly keep?: number, readonly maxBytes?: number } = {}) {
    this.#snapshots = new CompleteSnapshots(options.keep ?? 2)
    this.#maxBytes = options.maxBytes ?? 1024 ** 3
  }

  async open (): Promise<void> {
    await this.#incoming?.discard()
  }

  latest (): SnapshotInfo | null {
    return this.#snapshots.latest
  }

  async save (meta: SnapshotMeta, source: AsyncIterable<Uint8Array>): Promise<SnapshotInfo> {
    const unfinished = this.#begin(meta)
    for await (const chunk of source) await unfinished.write(chunk)
    return unfinished.complete()
  }

  async * read (info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array> {
    let at = 0
    for (const chunk of this.#snapshots.chunksOf(info)) {
      const rest = chunk.subarray(Math.max(0, offset - at))
      at += chunk.byteLength
      if (rest.byteLength > 0) yield rest
    }
  }

  async receive (info: SnapshotInfo): Promise<IncomingSnapshot> {
    this.#incoming = await resumeOrBegin(this.#incoming, info, async () => this.#begin(info))
    return this.#incoming
  }

  #begin (meta: SnapshotMeta | SnapshotInfo): UnfinishedSnapshot {
    checkSnapshot(meta, this.#maxBytes)
    return new UnfinishedSnapshot(this.#snapshots, meta, this.#maxBytes)
  }
}

interface CompleteSnapshot {
  readonly info: SnapshotInfo
  readonly chunks: readonly Uint8Array[]
}

/** A few of the newest snapshots. */
class CompleteSnapshots {
  readonly #keep: number
  #snapshots: CompleteSnapshot[] = []

  constructor (keep: number) {
    this.#keep = keep
  }

  get latest (): SnapshotInfo | null { return this.#snapshots[0]?.info ?? null }

  add (added: CompleteSnapshot): void {
    const { index, term } = added.info
    const others = this.#snapshots.filter(({ info }) => info.index !== index || info.term !== term)
    this.#snapshots = [...others, added]
      .sort((one, other) => newestFirst(one.info, other.info))
      .slice(0, this.#keep)
  }

  chunksOf (info: SnapshotInfo): readonly Uint8Array[] {
    const found = this.#snapshots.find((one) => isSameSnapshot(one.info, info))
    if (found === undefined) {
      throw new SnapshotGoneError(`The snapshot through index ${info.index} has been replaced by newer ones`)
    }
    return found.chunks
  }
}

class UnfinishedSnapshot implements SnapshotSink {
  readonly #snapshots: CompleteSnapshots
  readonly #meta: SnapshotMeta
  readonly #maxBytes: number
  #chunks: Uint8Array[] = []
  #bytes = 0
  #checksum = 0

  constructor (snapshots: CompleteSnapshots, meta: SnapshotMeta, maxBytes: number) {
    this.#snapshots = snapshots
    this.#meta = meta
    this.#maxBytes = maxBytes
  }

  get bytes (): number { return this.#bytes }
  get checksum (): number { return this.#checksum }

  async write (chunk: Uint8Array): Promise<void> {
    if (this.#bytes + chunk.byteLength > this.#maxBytes) {
      throw new TooLargeError(`A snapshot of more than ${this.#maxBytes} bytes is larger than this node takes`)
    }
    // A copy: the caller may use the memory again.
    this.#chunks.push(chunk.slice())
    this.#bytes += chunk.byteLength
    this.#checksum = crc32(chunk, this.#checksum)
  }

  async complete (): Promise<SnapshotInfo> {
    const { index, term, timeMs, configuration } = this.#meta
    const info = {
      index,
      term,
      timeMs,
      configuration: configuration.slice(),
      bytes: this.#bytes,
      checksum: this.#checksum
    }
    this.#snapshots.add({ info, chunks: this.#chunks })
    return info
  }

  async discard (): Promise<void> {
    this.#chunks = []
  }
}
