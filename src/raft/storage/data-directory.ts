import { dirname, join } from 'node:path'
import { DataDirError, WalVersionError } from '../errors.ts'
import type { FileOperations } from './disk/file-operations.ts'
import { writeFully } from './disk/file-operations.ts'
import { systemErrorCode } from './disk/system-error.ts'
import { createSpare, dropSpare } from './wal/segment-file.ts'
import { isAside, oldLogName, segmentId, segmentName, snapshotsName, spareName } from './wal/segment-names.ts'
import { rejoin } from './way-out.ts'

/** Names that a directory without a log may hold: an empty ext4 volume has `lost+found`. */
const harmlessNames: ReadonlySet<string> = new Set([spareName, 'lost+found'])

/** What was found at the path of a data directory. */
export interface DirectoryState {
  readonly exists: boolean
  /** The segments in it, oldest first. */
  readonly segmentIds: readonly number[]
  readonly hasSpare: boolean
}

const plainReasons: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'this process may not read and write it'],
  ['EPERM', 'this process may not read and write it'],
  ['EROFS', 'its file system is read-only'],
  ['ENOSPC', 'its file system is full'],
  ['EDQUOT', 'its disk quota is used up'],
  ['ENOENT', 'a part of its path cannot be created'],
  ['ENOTDIR', 'a part of its path is a file'],
  ['EEXIST', 'a part of its path is a file'],
  ['ENAMETOOLONG', 'its path is too long']
])

/** Turns a system error into `RAFT_DATA_DIR` with a plain reason. */
export function dataDirError (path: string, cause: unknown): Error {
  const reason = plainReasons.get(systemErrorCode(cause) ?? '') ??
    (cause instanceof Error ? cause.message : String(cause))
  return new DataDirError(`The data directory ${path} cannot be used: ${reason}.`, { cause })
}

/**
 * Looks at a data directory without changing anything. Rejects with `RAFT_DATA_DIR` when it cannot be used: it is not
 * a directory, not readable and writable, or holds other things and no log; with `RAFT_WAL_VERSION` when it holds the
 * one file of the format before segments.
 */
export async function inspectDirectory (files: FileOperations, directory: string): Promise<DirectoryState> {
  const refuse = (reason: string): Error =>
    new DataDirError(`The data directory ${directory} cannot be used: ${reason}.`)
  const kind = await files.kindOf(directory)
  if (kind === 'missing') return { exists: false, segmentIds: [], hasSpare: false }
  if (kind !== 'directory') throw refuse('it is not a directory')
  await files.checkAccess(directory)
  const names = await files.list(directory)
  refuseOldLog(directory, names)
  const segmentIds = names.map(segmentId).filter((id) => id !== null).sort((a, b) => a - b)
  for (const id of segmentIds) {
    const path = join(directory, segmentName(id))
    if (await files.kindOf(path) !== 'file') throw refuse(`${path} is not a file`)
    await files.checkAccess(path)
  }
  if (segmentIds.length === 0) {
    const left = names.filter((name) => isAside(name) || name === snapshotsName)
    if (left.length > 0) {
      throw refuse(
        `its log is missing, and what belongs to one is there (${left.slice(0, 3).join(', ')}); put back the log, ` +
          `or ${rejoin}`
      )
    }
    const foreign = names.filter((name) => !harmlessNames.has(name))
    if (foreign.length > 0) {
      throw refuse(
        `it has no log but holds other things (${foreign.slice(0, 3).join(', ')}); give the node an empty directory`
      )
    }
  }
  return { exists: true, segmentIds, hasSpare: names.includes(spareName) }
}

function refuseOldLog (directory: string, names: readonly string[]): void {
  if (!names.includes(oldLogName)) return
  throw new WalVersionError(
    `The data directory ${directory} holds ${oldLogName}, a log of the format before segments. That format was never ` +
    `released and is not read. Nothing was changed. The way out: ${rejoin}.`
  )
}

/** Below a read-only file system Node.js reports the new directory as missing: what stands above it says why. */
async function refuseToCreate (files: FileOperations, directory: string, error: unknown): Promise<never> {
  let parent = dirname(directory)
  while (await files.kindOf(parent) === 'missing') parent = dirname(parent)
  await files.checkAccess(parent)
  throw error
}

/** Creates the directory with its missing parents, so that they survive a power cut. */
async function createDirectory (files: FileOperations, directory: string): Promise<void> {
  const first = await files.makeDirectory(directory).catch((error: unknown) => refuseToCreate(files, directory, error))
  if (first === undefined) return
  for (let created = directory; ; created = dirname(created)) {
    await files.syncDirectory(dirname(created))
    if (created === first || created === dirname(created)) return
  }
}

/**
 * Creates the first segment. It gets its name only when its header is complete and durable, so a segment that exists
 * always has its header.
 */
async function createLog (
  files: FileOperations,
  directory: string,
  segmentBytes: number,
  header: Uint8Array
): Promise<void> {
  const disk = files.startDisk('spares')
  const spare = await createSpare(files, disk, directory, segmentBytes, () => false).finally(() => disk.stop())
  if (spare === null) throw new Error('the first segment was abandoned')
  try {
    await writeFully(spare.file, header, 0)
    await spare.file.sync()
  } catch (error) {
    await dropSpare(files, directory, spare.file)
    throw error
  }
  await spare.file.close()
  await files.rename(join(directory, spareName), join(directory, segmentName(1)))
  await files.syncDirectory(directory)
}

/** A directory that holds a log, and is this storage's alone until it is released. */
export interface ClaimedDirectory {
  /** The segments of the log, oldest first; at least one. */
  readonly segmentIds: readonly number[]
  readonly hasSpare: boolean
  readonly release: () => Promise<void>
}

/** The first segment of a new log. */
export interface FirstSegment {
  readonly segmentBytes: number
  readonly header: Uint8Array
}

/**
 * Claims the directory and sees to it that it holds a log: what {@link inspectDirectory} finds missing is created.
 * Rejects with `RAFT_DATA_DIR` when the directory cannot be used, and then has created nothing in it that counts.
 */
export async function claimLog (
  files: FileOperations,
  directory: string,
  first: FirstSegment
): Promise<ClaimedDirectory> {
  if (!(await inspectDirectory(files, directory)).exists) await createDirectory(files, directory)
  const release = await files.claim(directory)
  try {
    const { segmentIds, hasSpare } = await inspectDirectory(files, directory)
    if (segmentIds.length > 0) return { segmentIds, hasSpare, release }
    await createLog(files, directory, first.segmentBytes, first.header)
    return { segmentIds: [1], hasSpare: false, release }
  } catch (error) {
    await release()
    throw error
  }
}
