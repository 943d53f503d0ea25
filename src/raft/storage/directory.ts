import { dirname, join } from 'node:path'
import { DataDirError } from '../errors.ts'
import { writeFully } from './file-operations.ts'
import { systemErrorCode } from './system-error.ts'
import type { FileOperations } from './file-operations.ts'

/** The log's name within its directory. */
export const logName = 'raft.log'
/** A log under creation; never holds anything that was acknowledged. */
const unfinishedName = 'raft.log.new'

/** Names that a directory without a log may hold: an empty ext4 volume has `lost+found`. */
const harmlessNames: ReadonlySet<string> = new Set([unfinishedName, 'lost+found'])

/** What was found at the path of a data directory. */
interface DirectoryState {
  readonly exists: boolean
  readonly hasLog: boolean
  readonly hasUnfinished: boolean
}

const plainReasons: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'this process may not read and write it'],
  ['EPERM', 'this process may not read and write it'],
  ['EROFS', 'its file system is read-only'],
  ['ENOSPC', 'its file system is full'],
  ['EDQUOT', 'its disk quota is used up'],
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
 * a directory, not readable and writable, or holds other things and no log.
 */
async function inspectDirectory (files: FileOperations, directory: string): Promise<DirectoryState> {
  const refuse = (reason: string): Error => new DataDirError(`The data directory ${directory} cannot be used: ${reason}.`)
  const kind = await files.kindOf(directory)
  if (kind === 'missing') return { exists: false, hasLog: false, hasUnfinished: false }
  if (kind !== 'directory') throw refuse('it is not a directory')
  await files.checkAccess(directory)
  const names = await files.list(directory)
  if (names.includes(logName)) {
    const logPath = join(directory, logName)
    if (await files.kindOf(logPath) !== 'file') throw refuse(`${logPath} is not a file`)
    await files.checkAccess(logPath)
  } else {
    const foreign = names.filter((name) => !harmlessNames.has(name))
    if (foreign.length > 0) {
      throw refuse(`it has no ${logName} but holds other things (${foreign.slice(0, 3).join(', ')}); give the node an empty directory`)
    }
  }
  return { exists: true, hasLog: names.includes(logName), hasUnfinished: names.includes(unfinishedName) }
}

/** Creates the directory with its missing parents, so that they survive a power cut. */
async function createDirectory (files: FileOperations, directory: string): Promise<void> {
  const first = await files.makeDirectory(directory)
  if (first === undefined) return
  for (let created = directory; ; created = dirname(created)) {
    await files.syncDirectory(dirname(created))
    if (created === first || created === dirname(created)) return
  }
}

/**
 * Creates the log, with its header alone. It gets its name only when it is complete and durable, so a log that exists
 * always has its header.
 */
async function createLog (files: FileOperations, directory: string, header: Uint8Array): Promise<void> {
  const unfinished = join(directory, unfinishedName)
  const file = await files.createNew(unfinished)
  try {
    await writeFully(file, header, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(unfinished, join(directory, logName))
  await files.syncDirectory(directory)
}

/** A directory that holds a log, and is this storage's alone until it is released. */
export interface ClaimedDirectory {
  readonly logPath: string
  readonly release: () => Promise<void>
}

/**
 * Claims the directory and sees to it that it holds a log: what {@link inspectDirectory} finds missing is created, with
 * `header` as the log's content. Rejects with `RAFT_DATA_DIR` when the directory cannot be used, and then has created
 * nothing in it that counts.
 */
export async function claimLog (files: FileOperations, directory: string, header: Uint8Array): Promise<ClaimedDirectory> {
  if (!(await inspectDirectory(files, directory)).exists) await createDirectory(files, directory)
  const release = await files.claim(directory)
  try {
    const state = await inspectDirectory(files, directory)
    if (!state.hasLog) {
      if (state.hasUnfinished) await files.remove(join(directory, unfinishedName))
      await createLog(files, directory, header)
    }
    return { logPath: join(directory, logName), release }
  } catch (error) {
    await release()
    throw error
  }
}
