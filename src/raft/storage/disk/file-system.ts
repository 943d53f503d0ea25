import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { access, mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { claimDirectory, claimForReading } from './directory-claim.ts'
import { DiskThread } from './disk-thread.ts'
import type { FileOperations, OpenFile, PathKind } from './file-operations.ts'
import { systemErrorCode } from './file-operations.ts'

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

/** One directory at a time: a recursive mkdir of Node.js never returns below a parent that answers ENOENT (/proc). */
async function makeDirectory (path: string): Promise<string | undefined> {
  const missing: string[] = []
  for (let at = resolve(path); await kindOf(at) === 'missing'; at = dirname(at)) missing.unshift(at)
  for (const directory of missing) {
    try {
      await mkdir(directory, { mode: 0o700 })
    } catch (error) {
      // Another process may have created it meanwhile.
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

/** The real file system for tools that only read: files are opened for reading alone, without write permission. */
export const readOnlyFileOperations: FileOperations = {
  ...nodeFileOperations,
  checkAccess: (path) => access(path, constants.R_OK),
  claim: claimForReading,
  openExisting: async (path) => openFile(await open(path, 'r'))
}
