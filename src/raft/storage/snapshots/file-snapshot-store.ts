import { resolve } from 'node:path'
import { SnapshotGoneError } from '../../errors.ts'
import type { FileOperations, OpenFile } from '../disk/file-operations.ts'
import { systemErrorCode } from '../disk/file-operations.ts'
import { nodeFileOperations } from '../disk/file-system.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotMeta, SnapshotStore } from '../snapshot-store.ts'
import { isSameSnapshot } from '../snapshot-store.ts'
import { type Incoming, resumeOrBegin, type SnapshotSink } from './incoming-snapshot.ts'
import { SnapshotDirectory } from './snapshot-directory.ts'
import { checkSnapshot, readChunks, readSnapshotLayout } from './snapshot-format.ts'
import type { SnapshotWriterOptions } from './snapshot-writer.ts'
import { SnapshotWriter } from './snapshot-writer.ts'

/** Where a {@link FileSnapshotStore} keeps its snapshots. */
export interface FileSnapshotStoreOptions {
  /** The node's data directory, which its log has claimed; the snapshots are in `snapshots` within. */
  readonly directory: string
  readonly clusterId: string
  /** How many of the newest snapshots are kept; 2 unless set. */
  readonly keep?: number
  /** The most bytes of data a snapshot may have; 16 GiB unless set. */
  readonly maxBytes?: number
  /** Bytes of data in a chunk, which has a checksum of its own; 256 KiB unless set. */
  readonly chunkBytes?: number
}

/**
 * A {@link SnapshotStore} with one file for each snapshot.
 *
 * `open` rejects with `RAFT_SNAPSHOT_CORRUPT`, `RAFT_SNAPSHOT_VERSION` or `RAFT_DATA_DIR_FOREIGN` when a snapshot there
 * cannot be used, and then changes nothing. Errors of the file system are passed on unchanged.
 */
export class FileSnapshotStore implements SnapshotStore {
  readonly #files: FileOperations
  readonly #directory: SnapshotDirectory
  readonly #writing: SnapshotWriterOptions
  #incoming: Incoming | null = null

  /**
   * @param options where the snapshots are, and the cluster that they belong to
   * @param files the file system; for tests
   */
  constructor (options: FileSnapshotStoreOptions, files: FileOperations = nodeFileOperations) {
    const { directory, clusterId, keep = 2 } = options
    this.#files = files
    this.#directory = new SnapshotDirectory(files, resolve(directory), clusterId, keep)
    this.#writing = {
      clusterId,
      chunkBytes: options.chunkBytes ?? 256 * 1024,
      maxBytes: options.maxBytes ?? 16 * 1024 ** 3
    }
  }

  open (): Promise<void> {
    return this.#directory.open()
  }

  latest (): SnapshotInfo | null {
    return this.#directory.latest
  }

  async save (meta: SnapshotMeta, source: AsyncIterable<Uint8Array>): Promise<SnapshotInfo> {
    const unfinished = await this.#begin(meta)
    try {
      for await (const chunk of source) await unfinished.write(chunk)
      return await unfinished.complete()
    } catch (error) {
      await unfinished.discard()
      throw error
    }
  }

  async * read (info: SnapshotInfo, offset = 0): AsyncGenerator<Uint8Array> {
    const path = this.#directory.pathOf(info)
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
    this.#incoming = await resumeOrBegin(this.#incoming, info, () => this.#begin(info))
    return this.#incoming
  }

  async #begin (meta: SnapshotMeta | SnapshotInfo): Promise<UnfinishedFile> {
    checkSnapshot(meta, this.#writing.maxBytes)
    const { path, file } = await this.#directory.create(meta)
    return new UnfinishedFile(this.#directory, path, file, new SnapshotWriter(file, meta, this.#writing))
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
}

/** A snapshot file under its temporary name. */
class UnfinishedFile implements SnapshotSink {
  readonly #directory: SnapshotDirectory
  readonly #path: string
  readonly #file: OpenFile
  readonly #writer: SnapshotWriter

  constructor (directory: SnapshotDirectory, path: string, file: OpenFile, writer: SnapshotWriter) {
    this.#directory = directory
    this.#path = path
    this.#file = file
    this.#writer = writer
  }

  get bytes (): number { return this.#writer.bytes }
  get checksum (): number { return this.#writer.checksum }

  write (chunk: Uint8Array): Promise<void> {
    return this.#writer.write(chunk)
  }

  async complete (): Promise<SnapshotInfo> {
    const info = await this.#writer.finish()
    await this.#file.close()
    await this.#directory.publish(this.#path, info)
    return info
  }

  async discard (): Promise<void> {
    await this.#file.close()
    await this.#directory.remove(this.#path)
  }
}
