import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { access, mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { claimDirectory } from './directory-claim.ts'
import { DiskThread } from './disk-thread.ts'
import type { DiskTask, LogDisk, OpenFile } from './log-disk.ts'
import { systemErrorCode } from './system-error.ts'

export { writeFully } from './log-disk.ts'
export type { DiskTask, OpenFile } from './log-disk.ts'

/** What stands at a path, symbolic links followed. */
export type PathKind = 'missing' | 'file' | 'directory' | 'other'

/**
 * Everything the file storage asks of a file system. A port, so that tests can fail, shorten and record each call.
 */
export interface FileOperations {
  readonly kindOf: (path: string) => Promise<PathKind>
  readonly list: (directory: string) => Promise<readonly string[]>
  /** Rejects unless this process may read and write the path. Changes nothing. */
  readonly checkAccess: (path: string) => Promise<void>
  /** Creates a directory and its missing parents, mode 0700; resolves with the first one created. */
  readonly makeDirectory: (path: string) => Promise<string | undefined>
  /** Makes the names in a directory durable. */
  readonly syncDirectory: (path: string) => Promise<void>
  /** Opens an existing file for reading and writing. */
  readonly openExisting: (path: string) => Promise<OpenFile>
  /** Creates a file that must not exist, mode 0600. */
  readonly createNew: (path: string) => Promise<OpenFile>
  /** Claims a directory until the function it resolves with is called; see {@link claimDirectory}. */
  readonly claim: (directory: string) => Promise<() => Promise<void>>
  readonly rename: (from: string, to: string) => Promise<void>
  readonly remove: (path: string) => Promise<void>
  /** Bytes of the directory's file system that this process may still use. */
  readonly freeBytes: (directory: string) => Promise<number>
  /** Starts what writes the groups of a log, or what fills its next segment with zeros beside that. */
  readonly startDisk: (task: DiskTask) => LogDisk
}

function openFile (handle: FileHandle): OpenFile {
  return {
    descriptor: handle.fd,
    size: async () => (await handle.stat()).size,
    read: async (target, position) => (await handle.read(target, 0, target.byteLength, position)).bytesRead,
    write: async (bytes, position) => (await handle.write(bytes, 0, bytes.byteLength, position)).bytesWritten,
    dataSync: () => handle.datasync(),
    sync: () => handle.sync(),
    close: () => handle.close()
  }
}

async function kindOf (path: string): Promise<PathKind> {
  try {
    const found = await stat(path)
    if (found.isFile()) return 'file'
    return found.isDirectory() ? 'directory' : 'other'
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return 'missing'
    throw error
  }
}

async function freeBytes (directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize
}

async function syncDirectory (path: string): Promise<void> {
  // Windows cannot open a directory, and makes a rename durable by itself.
  if (process.platform === 'win32') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Step by step: Node's own recursive mkdir tries for ever where a parent exists and says ENOENT, as /proc does. */
async function makeDirectory (path: string): Promise<string | undefined> {
  const missing: string[] = []
  for (let at = resolve(path); await kindOf(at) === 'missing'; at = dirname(at)) missing.unshift(at)
  for (const directory of missing) {
    try {
      await mkdir(directory, { mode: 0o700 })
    } catch (error) {
      // Somebody else was faster.
      if (systemErrorCode(error) !== 'EEXIST' || await kindOf(directory) !== 'directory') throw error
    }
  }
  return missing[0]
}

/** The real file system. */
export const nodeFileOperations: FileOperations = {
  kindOf,
  list: (directory) => readdir(directory),
  checkAccess: (path) => access(path, constants.R_OK | constants.W_OK),
  makeDirectory,
  syncDirectory,
  openExisting: async (path) => openFile(await open(path, 'r+')),
  createNew: async (path) => openFile(await open(path, 'wx+', 0o600)),
  claim: claimDirectory,
  rename: (from, to) => rename(from, to),
  remove: (path) => unlink(path),
  freeBytes,
  startDisk: (task) => new DiskThread(task)
}

/** The real file system, for those who only look: what needs permission to write is opened for reading alone. */
export const readOnlyFileOperations: FileOperations = {
  ...nodeFileOperations,
  checkAccess: (path) => access(path, constants.R_OK),
  openExisting: async (path) => openFile(await open(path, 'r'))
}

/** Fills `target` from the file. Rejects when the file ends before that. */
export async function readFully (file: OpenFile, target: Uint8Array, position: number): Promise<void> {
  let filled = 0
  while (filled < target.byteLength) {
    const count = await file.read(target.subarray(filled), position + filled)
    if (count <= 0) throw new Error(`the file ended at byte ${position + filled} while it was being read`)
    filled += count
  }
}
