import { basename, join } from 'node:path'
import { SnapshotCorruptError } from '../../errors.ts'
import type { FileOperations, OpenFile } from '../disk/file-operations.ts'
import { withFile } from '../disk/file-operations.ts'
import type { SnapshotInfo } from '../snapshot-store.ts'
import { newestFirst } from '../snapshot-store.ts'
import type { LogPoint } from '../storage.ts'
import { readSnapshotLayout } from './snapshot-format.ts'

/** The directory of the snapshots, within a data directory. */
export const snapshotsName = 'snapshots'

const snapshotPattern = /^snapshot-\d{16}-\d{16}$/
const unfinishedSuffix = '.new'

function snapshotName ({ index, term }: LogPoint): string {
  return `snapshot-${String(index).padStart(16, '0')}-${String(term).padStart(16, '0')}`
}

/** The paths of the complete snapshots in a data directory, by index and term, the oldest first. */
export async function listSnapshots (
  files: Pick<FileOperations, 'kindOf' | 'list'>,
  dataDirectory: string
): Promise<string[]> {
  const directory = join(dataDirectory, snapshotsName)
  if (await files.kindOf(directory) !== 'directory') return []
  const names = (await files.list(directory)).filter((name) => snapshotPattern.test(name))
  return names.sort().map((name) => join(directory, name))
}

/** The snapshot files of one node: the complete ones, and those that are being written under temporary names. */
export class SnapshotDirectory {
  readonly #files: FileOperations
  readonly #dataDirectory: string
  readonly #directory: string
  readonly #clusterId: string
  readonly #keep: number
  /** The complete snapshots, newest first. */
  #snapshots: SnapshotInfo[] = []
  #created = 0

  constructor (files: FileOperations, dataDirectory: string, clusterId: string, keep: number) {
    this.#files = files
    this.#dataDirectory = dataDirectory
    this.#directory = join(dataDirectory, snapshotsName)
    this.#clusterId = clusterId
    this.#keep = keep
  }

  get latest (): SnapshotInfo | null { return this.#snapshots[0] ?? null }

  /**
   * Reads the headers of all snapshots and removes the unfinished ones. Rejects, and removes nothing, when a snapshot
   * cannot be used.
   */
  async open (): Promise<void> {
    if (await this.#files.kindOf(this.#directory) === 'missing') {
      await this.#files.makeDirectory(this.#directory)
      await this.#files.syncDirectory(this.#dataDirectory)
    }
    const found: SnapshotInfo[] = []
    for (const path of await listSnapshots(this.#files, this.#dataDirectory)) found.push(await this.#readInfo(path))
    this.#snapshots = found.sort(newestFirst)
    for (const name of await this.#files.list(this.#directory)) {
      if (name.endsWith(unfinishedSuffix)) await this.#files.remove(join(this.#directory, name))
    }
    await this.#files.syncDirectory(this.#directory)
  }

  /** Where the snapshot is, once it is complete. */
  pathOf (info: LogPoint): string {
    return join(this.#directory, snapshotName(info))
  }

  /** Creates a file for a snapshot, under a temporary name. */
  async create (meta: LogPoint): Promise<{ readonly path: string, readonly file: OpenFile }> {
    this.#created++
    const path = `${this.pathOf(meta)}-${this.#created}${unfinishedSuffix}`
    return { path, file: await this.#files.createNew(path) }
  }

  /** Gives a synced file its name. The snapshot counts once this is durable; then the oldest ones are removed. */
  async publish (path: string, info: SnapshotInfo): Promise<void> {
    await this.#files.rename(path, this.pathOf(info))
    await this.#files.syncDirectory(this.#directory)
    const others = this.#snapshots.filter((one) => one.index !== info.index || one.term !== info.term)
    this.#snapshots = [...others, info].sort(newestFirst)
    for (const old of this.#snapshots.splice(this.#keep)) await this.#files.remove(this.pathOf(old))
  }

  /** Removes an unfinished file, if it is there. */
  async remove (path: string): Promise<void> {
    if (await this.#files.kindOf(path) !== 'missing') await this.#files.remove(path)
  }

  async #readInfo (path: string): Promise<SnapshotInfo> {
    const { info } = await withFile(this.#files, path, (file) => readSnapshotLayout(file, path, this.#clusterId))
    if (snapshotName(info) !== basename(path)) {
      throw new SnapshotCorruptError(
        `The snapshot ${path} is one through index ${info.index} of term ${info.term} under the name of another. ` +
          'Nothing was changed.'
      )
    }
    return info
  }
}
