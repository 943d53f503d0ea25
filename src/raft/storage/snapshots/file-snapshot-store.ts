import { join, resolve } from 'node:path'
import { SnapshotCorruptError, SnapshotGoneError } from '../../errors.ts'
import type { FileOperations, OpenFile } from '../disk/file-operations.ts'
import { nodeFileOperations } from '../disk/file-operations.ts'
import { systemErrorCode } from '../disk/system-error.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from '../snapshot-store.ts'
import { isSameSnapshot, newestFirst } from '../snapshot-store.ts'
import type { LogBase } from '../storage.ts'
import { snapshotsName } from '../wal/segment-names.ts'
import { Incoming } from './incoming-snapshot.ts'
import { checkSnapshot, readChunks, readSnapshotLayout } from './snapshot-format.ts'
import { SnapshotWriter } from './snapshot-writer.ts'

/** Where a {@link FileSnapshotStore} keeps its snapshots. */
export interface FileSnapshotStoreOptions {
  /** The node's data directory, which its log holds open; the snapshots are in `snapshots` within. */
  readonly directory: string
  readonly clusterId: string
  /** How many of the newest snapshots are kept; 2 unless told. */
  readonly keep?: number
  /** The most bytes of data a snapshot may have; 16 GiB unless told. */
  readonly maxBytes?: number
  /** Size of the pieces that are checked one by one; 256 KiB unless told. */
  readonly chunkBytes?: number
}

const unfinishedSuffix = '.new'
const namePattern = /^snapshot-\d{16}-\d{16}$/

function nameOf ({ index, term }: LogBase): string {
  return `snapshot-${String(index).padStart(16, '0')}-${String(term).padStart(16, '0')}`
}

interface Unfinished {
  readonly path: string
  readonly file: OpenFile
  readonly writer: SnapshotWriter
}

/**
 * A {@link SnapshotStore} in files, one a snapshot.
 *
 * `open` rejects with `RAFT_SNAPSHOT_CORRUPT`, `RAFT_SNAPSHOT_VERSION` or `RAFT_DATA_DIR_FOREIGN` when a snapshot there
 * cannot be used, and changes nothing then. Errors of the file system come as they are.
 */
export class FileSnapshotStore implements SnapshotStore {
  readonly #dataDirectory: string
  readonly #directory: string
  readonly #files: FileOperations
  readonly #keep: number
  readonly #writing: { readonly clusterId: string, readonly chunkBytes: number, readonly maxBytes: number }
  #snapshots: SnapshotInfo[] = []
  #incoming: Incoming | null = null
  #count = 0

  /**
   * @param options where, and whose
   * @param files the file system; for tests
   */
  constructor (options: FileSnapshotStoreOptions, files: FileOperations = nodeFileOperations) {
    this.#dataDirectory = resolve(options.directory)
    this.#directory = join(this.#dataDirectory, snapshotsName)
    this.#files = files
    this.#keep = options.keep ?? 2
    this.#writing = {
      clusterId: options.clusterId,
      chunkBytes: options.chunkBytes ?? 256 * 1024,
      maxBytes: options.maxBytes ?? 16 * 1024 ** 3
    }
  }

  async open (): Promise<void> {
    if (await this.#files.kindOf(this.#directory) === 'missing') {
      await this.#files.makeDirectory(this.#directory)
      await this.#files.syncDirectory(this.#dataDirectory)
    }
    const names = await this.#files.list(this.#directory)
    const found: SnapshotInfo[] = []
    for (const name of names.filter((one) => namePattern.test(one))) {
      const path = join(this.#directory, name)
      const info = await this.#withFile(
        path,
        async (file) => (await readSnapshotLayout(file, path, this.#writing.clusterId)).info
      )
      if (nameOf(info) !== name) {
        throw new SnapshotCorruptError(
          `The snapshot ${path} is one through index ${info.index} of term ${info.term} under the name of another. ` +
            'Nothing was changed.'
        )
      }
      found.push(info)
    }
    this.#snapshots = found.sort(newestFirst)
    for (const name of names.filter((one) => one.endsWith(unfinishedSuffix))) {
      await this.#files.remove(join(this.#directory, name))
    }
    await this.#files.syncDirectory(this.#directory)
  }

  latest (): SnapshotInfo | null {
    return this.#snapshots[0] ?? null
  }

  async save (meta: SnapshotMeta, source: AsyncIterable<Uint8Array>): Promise<SnapshotInfo> {
    const unfinished = await this.#begin(meta)
    try {
      for await (const piece of source) await unfinished.writer.write(piece)
      return await this.#complete(unfinished)
    } catch (error) {
      await this.#drop(unfinished)
      throw error
    }
  }

  async * read (info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array> {
    const path = join(this.#directory, nameOf(info))
    const file = await this.#openExisting(path)
    try {
      const layout = await readSnapshotLayout(file, path, this.#writing.clusterId)
      if (!isSameSnapshot(layout.info, info)) {
        throw new SnapshotGoneError(`The snapshot ${path} is no longer the one it was`)
      }
      yield * readChunks(file, path, layout, offset)
    } finally {
      await file.close()
    }
  }

  async receive (info: SnapshotInfo): Promise<IncomingSnapshot> {
    if (this.#incoming?.isUnderWay === true && isSameSnapshot(this.#incoming.info, info)) return this.#incoming
    await this.#incoming?.discard()
    const unfinished = await this.#begin(info)
    this.#incoming = new Incoming(
      info,
      unfinished.writer,
      () => this.#complete(unfinished),
      () => this.#drop(unfinished)
    )
    return this.#incoming
  }

  async #begin (meta: SnapshotMeta | SnapshotInfo): Promise<Unfinished> {
    checkSnapshot(meta, this.#writing.maxBytes)
    this.#count++
    const path = join(this.#directory, `${nameOf(meta)}-${this.#count}${unfinishedSuffix}`)
    const file = await this.#files.createNew(path)
    return { path, file, writer: new SnapshotWriter(file, meta, this.#writing) }
  }

  /** The snapshot counts once its name is durable. Then the oldest may go. */
  async #complete ({ path, file, writer }: Unfinished): Promise<SnapshotInfo> {
    const info = await writer.finish()
    await file.close()
    await this.#files.rename(path, join(this.#directory, nameOf(info)))
    await this.#files.syncDirectory(this.#directory)
    const others = this.#snapshots.filter((one) => nameOf(one) !== nameOf(info))
    this.#snapshots = [...others, info].sort(newestFirst)
    for (const old of this.#snapshots.splice(this.#keep)) await this.#files.remove(join(this.#directory, nameOf(old)))
    return info
  }

  async #drop ({ path, file }: Unfinished): Promise<void> {
    await file.close()
    if (await this.#files.kindOf(path) !== 'missing') await this.#files.remove(path)
  }

  async #openExisting (path: string): Promise<OpenFile> {
    try {
      return await this.#files.openExisting(path)
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') {
        throw new SnapshotGoneError(`The snapshot ${path} has been replaced by newer ones`, { cause: error })
      }
      throw error
    }
  }

  async #withFile<Result> (path: string, use: (file: OpenFile) => Promise<Result>): Promise<Result> {
    const file = await this.#files.openExisting(path)
    try {
      return await use(file)
    } finally {
      await file.close()
    }
  }
}
