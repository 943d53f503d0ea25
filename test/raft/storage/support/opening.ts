import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { FileOperations, OpenFile } from '../../../../src/raft/storage/disk/file-operations.ts'
import { nodeFileOperations } from '../../../../src/raft/storage/disk/file-system.ts'
import { FileStorage } from '../../../../src/raft/storage/file-storage.ts'
import type { RecoveredState, Storage, StorageBatch } from '../../../../src/raft/storage/storage.ts'
import { usedBytes } from '../../../../src/raft/storage/wal/sectors.ts'
import { segmentName } from '../../../../src/raft/storage/wal/segment-file.ts'
import { identity, inlineDisk } from './builders.ts'

export * from './builders.ts'

const directories: string[] = []

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
})

/** A directory that is removed after the test. */
export async function temporaryDirectory (): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'raft-storage-'))
  directories.push(directory)
  return directory
}

/** Segments of the tests: small, so that logs go through several and reading them is quick. */
export const segmentBytes = 8192

export function fileStorage (
  directory: string,
  files: FileOperations = nodeFileOperations,
  bytes = segmentBytes
): FileStorage {
  return new FileStorage({ directory, identity, segmentBytes: bytes, minFreeBytes: 0 }, files)
}

/** The path of a segment; the first one of a log by default. */
export function segmentPath (directory: string, id = 1): string {
  return join(directory, segmentName(id))
}

/** A segment's bytes, and where its last group ends. */
export async function readSegment (
  directory: string,
  id = 1
): Promise<{ bytes: Buffer; end: number; headerEnd: number; seed: number }> {
  const bytes = await readFile(segmentPath(directory, id))
  return { bytes, end: usedBytes(bytes), headerEnd: 20 + bytes.readUInt32BE(16), seed: bytes.readUInt32BE(8) }
}

/** Opens a storage, appends each batch as a group of its own, and closes it. */
export async function writeGroups (storage: Storage, batches: readonly StorageBatch[]): Promise<void> {
  await storage.open()
  for (const one of batches) await storage.append(one)
  await storage.close()
}

/** Opens and closes a storage; resolves with its content. */
export async function readBack (storage: Storage): Promise<RecoveredState> {
  const state = await storage.open()
  await storage.close()
  return state
}

/** Names, kinds, modes and contents of everything in a directory. */
export async function picture (directory: string): Promise<Record<string, string>> {
  const seen: Record<string, string> = {}
  for (const name of (await readdir(directory)).sort()) {
    const path = join(directory, name)
    const found = await stat(path)
    const content = found.isFile() ? (await readFile(path)).toString('hex') : 'not a file'
    seen[name] = `${found.mode.toString(8)} ${content}`
  }
  return seen
}

/** The code of the reason that a promise rejects with; throws when it resolves. */
export async function codeOf (promise: Promise<unknown>): Promise<string> {
  return (await rejection(promise)).code
}

/** The reason that a promise rejects with; throws when it resolves. */
export async function rejection (promise: Promise<unknown>): Promise<Error & { code: string, cause?: unknown }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error as Error & { code: string }
    throw error
  }
  throw new Error('it resolved')
}

/** Calls that reach the segments of a log, in order, and hooks that may fail them. */
export interface WatchedFiles {
  readonly files: FileOperations
  readonly calls: string[]
  onWrite: ((file: OpenFile, bytes: Uint8Array, position: number) => Promise<number>) | null
  onSync: (() => Promise<void>) | null
}

/** The real file system, with each write and sync of the segments that existed when they were opened recorded. */
export function watchFiles (): WatchedFiles {
  const calls: string[] = []
  const watched: WatchedFiles = {
    calls,
    onWrite: null,
    onSync: null,
    files: {
      ...nodeFileOperations,
      startDisk: () => inlineDisk(nodeFileOperations),
      openExisting: async (path) => {
        const file = await nodeFileOperations.openExisting(path)
        const sync = async (real: () => Promise<void>): Promise<void> => {
          calls.push('sync')
          await (watched.onSync ?? real)()
        }
        return {
          ...file,
          write: async (bytes, position) => {
            calls.push('write')
            return watched.onWrite === null ? file.write(bytes, position) : watched.onWrite(file, bytes, position)
          },
          dataSync: () => sync(file.dataSync),
          sync: () => sync(file.sync)
        }
      }
    }
  }
  return watched
}

function skip (): Promise<void> {
  return Promise.resolve()
}

/** The real file system without its syncs, for tests that open a log thousands of times. */
export const hastyFiles: FileOperations = {
  ...nodeFileOperations,
  syncDirectory: skip,
  openExisting: async (path) => ({ ...await nodeFileOperations.openExisting(path), dataSync: skip, sync: skip }),
  createNew: async (path) => ({ ...await nodeFileOperations.createNew(path), dataSync: skip, sync: skip }),
  startDisk: () => inlineDisk({ ...nodeFileOperations, syncDirectory: skip })
}
