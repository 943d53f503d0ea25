import { dirname, join } from 'node:path'
import { DataDirError, isRaftError, WalVersionError } from '../errors.ts'
import type { DirectoryClaim, FileOperations } from './disk/file-operations.ts'
import { systemErrorCode, writeFully } from './disk/file-operations.ts'
import { nodeFileOperations } from './disk/file-system.ts'
import { isClaimName } from './disk/socket-claim.ts'
import { snapshotsName } from './snapshots/snapshot-directory.ts'
import { rejoin } from './wal/damage.ts'
import {
  createSpare,
  dropSpare,
  isTornTail,
  oldLogName,
  segmentId,
  segmentName,
  spareName
} from './wal/segment-file.ts'

/** Where a snapshot is restored in a data directory, until it is complete. */
export const unfinishedRestoreName = 'restoring'

/**
 * The names in a data directory that count, of all that are there. These do not: what a fresh file system brings (ext4
 * has `lost+found`), what a claim leaves, and a spare segment, which no log has used. A directory without content is
 * empty for all that ask: a node that starts for the first time, the checks before that, and a restore.
 */
export function contentOf (names: readonly string[]): readonly string[] {
  return names.filter((name) => name !== 'lost+found' && name !== spareName && !isClaimName(name))
}

/**
 * Whether no node has stored anything in the directory, by {@link contentOf}; true also when it is missing. Rejects
 * with the error of the file system when it cannot be listed.
 */
export async function isEmptyDirectory (
  directory: string,
  files: Pick<FileOperations, 'kindOf' | 'list'> = nodeFileOperations
): Promise<boolean> {
  if (await files.kindOf(directory) === 'missing') return true
  return contentOf(await files.list(directory)).length === 0
}

/** The state of a data directory. */
interface DirectoryState {
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

/** Whether an error comes from the file system. An error of this package already says what to do. */
export function isSystemError (error: unknown): boolean {
  return !isRaftError(error)
}

/** Turns a system error into `RAFT_DATA_DIR` with a plain reason. */
export function dataDirError (path: string, cause: unknown): Error {
  const reason = plainReasons.get(systemErrorCode(cause) ?? '') ??
    (cause instanceof Error ? cause.message : String(cause))
  return new DataDirError(`The data directory ${path} cannot be used: ${reason}.`, { cause })
}

/**
 * Inspects a data directory without changing anything. Rejects with `RAFT_DATA_DIR` when it cannot be used: it is not
 * a directory, not readable and writable, or holds other files and no log; with `RAFT_WAL_VERSION` when it holds the
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
    if (names.includes(unfinishedRestoreName)) {
      throw refuse(
        `the restore of a snapshot was interrupted (${unfinishedRestoreName} is left); empty the directory and ` +
          'restore the snapshot again'
      )
    }
    const left = names.filter((name) => isTornTail(name) || name === snapshotsName)
    if (left.length > 0) {
      throw refuse(
        `its log is missing, but other files of a log are there (${left.slice(0, 3).join(', ')}); put back the log, ` +
          `or ${rejoin}`
      )
    }
    const foreign = contentOf(names)
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

/** On a read-only file system Node.js reports a new directory as missing: access to an existing parent tells why. */
async function refuseToCreate (files: FileOperations, directory: string, error: unknown): Promise<never> {
  let parent = dirname(directory)
  while (await files.kindOf(parent) === 'missing') parent = dirname(parent)
  await files.checkAccess(parent)
  throw error
}

/** Creates the directory with its missing parents, so that they survive a power cut. */
export async function createDirectory (files: FileOperations, directory: string): Promise<void> {
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
  const spare = await createSpare(files, disk, directory, segmentBytes).finally(() => disk.stop())
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

/** A log in a directory that this process has claimed. */
export interface ClaimedLog {
  readonly claim: DirectoryClaim
  /** The segments of the log, oldest first; at least one. */
  readonly segmentIds: readonly number[]
  readonly hasSpare: boolean
}

/** The first segment of a new log. */
interface FirstSegment {
  readonly segmentBytes: number
  readonly header: Uint8Array
}

/**
 * Claims the directory and creates it and its first segment when {@link inspectDirectory} finds none. Rejects with
 * `RAFT_DATA_DIR` when the directory cannot be used, and then has created no segment in it.
 */
export async function claimLog (
  files: FileOperations,
  directory: string,
  first: FirstSegment
): Promise<ClaimedLog> {
  if (!(await inspectDirectory(files, directory)).exists) await createDirectory(files, directory)
  const claim = await files.claim(directory)
  try {
    const { segmentIds, hasSpare } = await inspectDirectory(files, directory)
    if (segmentIds.length > 0) return { claim, segmentIds, hasSpare }
    await createLog(files, directory, first.segmentBytes, first.header)
    return { claim, segmentIds: [1], hasSpare: false }
  } catch (error) {
    await claim.release()
    throw error
  }
}
