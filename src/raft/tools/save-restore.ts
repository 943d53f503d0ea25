import { rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { asIndex, asNodeId, stableConfiguration } from '../core/index.ts'
import type { Member } from '../engine.ts'
import { DataDirError, SnapshotMissingError } from '../errors.ts'
import { toMeta, toPoint } from '../snapshots/meta.ts'
import {
  contentOf,
  createDirectory,
  dataDirError,
  isSystemError,
  unfinishedRestoreName
} from '../storage/data-directory.ts'
import { withFile } from '../storage/disk/file-operations.ts'
import { nodeFileOperations, readOnlyFileOperations } from '../storage/disk/file-system.ts'
import { FileStorage } from '../storage/file-storage.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'
import { newestFirst } from '../storage/snapshot-store.ts'
import { FileSnapshotStore } from '../storage/snapshots/file-snapshot-store.ts'
import { listSnapshots, snapshotsName } from '../storage/snapshots/snapshot-directory.ts'
import { readChunks, readSnapshotLayout } from '../storage/snapshots/snapshot-format.ts'
import { SnapshotWriter } from '../storage/snapshots/snapshot-writer.ts'
import { segmentId, segmentName } from '../storage/wal/segment-file.ts'
import type { InspectedSnapshot } from './inspect.ts'
import { inspectSnapshot } from './inspect.ts'

const chunkBytes = 256 * 1024
const maxBytes = 16 * 1024 ** 3
const files = nodeFileOperations

async function orDataDirError<Result> (path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    throw isSystemError(error) ? dataDirError(path, error) : error
  }
}

async function newestIn (directory: string): Promise<string> {
  const found = await Promise.all((await listSnapshots(files, directory)).map((path) =>
    withFile(readOnlyFileOperations, path, async (file) => ({
      path,
      info: (await readSnapshotLayout(file, path, null)).info
    }))
  ))
  const [newest] = found.sort((one, other) => newestFirst(one.info, other.info))
  if (newest === undefined) throw new SnapshotMissingError(`The data directory ${directory} holds no snapshot`)
  return newest.path
}

/**
 * Copies the newest snapshot of a data directory into a file that must not exist. Each chunk is checked on the way, and
 * the copy is synced. The node may run meanwhile: a snapshot never changes. The log behind it is not copied.
 *
 * Rejects, and leaves no file, with `RAFT_SNAPSHOT_MISSING`, `RAFT_SNAPSHOT_CORRUPT`, `RAFT_SNAPSHOT_VERSION` or, when
 * the file system refuses, `RAFT_DATA_DIR`.
 */
export async function saveSnapshot (directory: string, target: string): Promise<InspectedSnapshot> {
  return await orDataDirError(target, async () => {
    const path = await newestIn(resolve(directory))
    const copy = await files.createNew(resolve(target))
    try {
      await withFile(readOnlyFileOperations, path, async (file) => {
        const layout = await readSnapshotLayout(file, path, null)
        const writer = new SnapshotWriter(copy, layout.info, { clusterId: layout.clusterId, chunkBytes, maxBytes })
        for await (const chunk of readChunks(file, path, layout, 0)) await writer.write(chunk)
        await writer.finish()
      })
      await files.syncDirectory(dirname(resolve(target)))
    } catch (error) {
      await files.remove(resolve(target))
      throw error
    } finally {
      await copy.close()
    }
    return await inspectSnapshot(resolve(target))
  })
}

/** The node that a snapshot is restored to. */
export interface RestoreOptions {
  /** The data directory; created when it is missing, and else empty but for what a new volume brings. */
  readonly directory: string
  readonly nodeId: string
  readonly clusterId: string
  /** All members of the new cluster, this node among them. */
  readonly members: readonly Member[]
  /**
   * How many indexes the new log leaves out behind the snapshot. Fencing tokens are indexes of the log, and the old
   * cluster may have granted more of them after the snapshot: this must be more than the entries that the old cluster
   * can have written since. It must be the same for all members.
   */
  readonly skipEntries: number
}

/**
 * Creates a data directory that starts a new cluster with the state of a snapshot. Each member needs one, created from
 * the same file with the same options, except for its own id and directory. Resolves with the index that the log starts
 * behind: every token granted later is above it.
 *
 * Rejects, and leaves no files, with `RAFT_DATA_DIR` when the directory is in use or not empty, and with
 * `RAFT_SNAPSHOT_CORRUPT` or `RAFT_SNAPSHOT_VERSION` when the snapshot cannot be used.
 */
export async function restoreSnapshot (
  path: string,
  { directory: target, nodeId, clusterId, members, skipEntries }: RestoreOptions
): Promise<{ readonly index: number; readonly term: number }> {
  const directory = resolve(target)
  return await orDataDirError(directory, async () => {
    const isNew = await files.kindOf(directory) === 'missing'
    if (isNew) await createDirectory(files, directory)
    try {
      await refuseUsed(directory)
      const claim = await files.claim(directory)
      try {
        await refuseUsed(directory)
        return await restoreInto(directory, path, { nodeId, clusterId, members, skipEntries })
      } finally {
        await claim.release()
      }
    } catch (error) {
      if (isNew) await removeIfEmpty(directory)
      throw error
    }
  })
}

/** Refuses a directory that is not empty, by the rule that a node's first start has as well. */
async function refuseUsed (directory: string): Promise<void> {
  if (await files.kindOf(directory) !== 'directory') {
    throw new DataDirError(`The data directory ${directory} cannot be used: it is not a directory.`)
  }
  const found = contentOf(await files.list(directory))
  if (found.length > 0) {
    throw new DataDirError(
      `The data directory ${directory} cannot be used: a snapshot is restored into a new or empty directory only, ` +
        `and this one holds something (${found.slice(0, 3).join(', ')}). Nothing was changed.`
    )
  }
}

async function removeIfEmpty (directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch {
    // Another process has come to use it meanwhile.
  }
}

/** Restores into an empty directory that is claimed, and removes what it has made when that fails. */
async function restoreInto (
  directory: string,
  path: string,
  { nodeId, clusterId, members, skipEntries }: Omit<RestoreOptions, 'directory'>
): Promise<{ readonly index: number, readonly term: number }> {
  const unfinished = join(directory, unfinishedRestoreName)
  try {
    const info = await withFile(readOnlyFileOperations, path, async (file) => {
      const layout = await readSnapshotLayout(file, path, null)
      const data = readChunks(file, path, layout, 0)
      return await fill(unfinished, { clusterId, nodeId }, members, skipEntries, layout.info, data)
    })
    await publish(unfinished, directory)
    return info
  } catch (error) {
    // The log first and the unfinished directory last: without a log a node is refused as long as anything is left.
    for (const name of [...contentOf(await files.list(directory))].sort().reverse()) {
      await rm(join(directory, name), { recursive: true, force: true })
    }
    throw error
  }
}

/**
 * Moves what was restored to its place, the log last: an interrupted restore never looks like a new node with an empty
 * log, and the newest segment is the first to go: it says where the log starts.
 */
async function publish (unfinished: string, directory: string): Promise<void> {
  await files.rename(join(unfinished, snapshotsName), join(directory, snapshotsName))
  await files.syncDirectory(directory)
  const ids = (await files.list(unfinished)).map(segmentId).filter((id) => id !== null)
  for (const id of ids.sort((one, other) => other - one)) {
    await files.rename(join(unfinished, segmentName(id)), join(directory, segmentName(id)))
    await files.syncDirectory(directory)
  }
  await rm(unfinished, { recursive: true })
  await files.syncDirectory(directory)
}

async function fill (
  directory: string,
  identity: { readonly clusterId: string, readonly nodeId: string },
  members: readonly Member[],
  skipEntries: number,
  old: SnapshotInfo,
  data: AsyncIterable<Uint8Array>
): Promise<{ readonly index: number, readonly term: number }> {
  const index = asIndex(old.index + skipEntries)
  if (!Number.isSafeInteger(index)) {
    throw new RangeError(`the log would start behind index ${index}, which is too large`)
  }
  const configuration = stableConfiguration(members.map(({ id, url }) => ({ id: asNodeId(id), address: url })))
  const { term, timeMs } = toPoint(old)
  const storage = new FileStorage({ directory, identity, minFreeBytes: 0 })
  try {
    await storage.open()
    const store = new FileSnapshotStore({ directory, clusterId: identity.clusterId })
    await store.open()
    await store.save(toMeta({ index, term, timeMs, held: { index, configuration } }), data)
    // No vote: the new cluster has had no election, and the next one raises the term.
    await storage.reset({ index, term, timeMs }, { term, vote: null, commit: index })
  } finally {
    await storage.close()
  }
  return { index, term }
}
