import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { asIndex, asNodeId, asTerm } from '../../../src/raft/core/types.ts'
import type { Entry, EntryKind, HardState } from '../../../src/raft/core/types.ts'
import { FileStorage } from '../../../src/raft/storage/file-storage.ts'
import { nodeFileOperations } from '../../../src/raft/storage/file-operations.ts'
import type { FileOperations, OpenFile } from '../../../src/raft/storage/file-operations.ts'
import type { RecoveredState, Storage, StorageBatch, StorageIdentity } from '../../../src/raft/storage/storage.ts'

export const identity: StorageIdentity = { clusterId: 'orders', nodeId: 'n1' }

export function hardState (term: number, vote: string | null = null, commit = 0): HardState {
  return { term: asTerm(term), vote: vote === null ? null : asNodeId(vote), commit: asIndex(commit) }
}

export function entry (index: number, term: number, data: string | Uint8Array = `data-${index}-${term}`, kind: EntryKind = 'command'): Entry {
  return {
    index: asIndex(index),
    term: asTerm(term),
    kind,
    timeMs: 1_700_000_000_000 + index,
    data: typeof data === 'string' ? new Uint8Array(Buffer.from(data)) : data
  }
}

export function batch (state: HardState | null, ...entries: Entry[]): StorageBatch {
  return { hardState: state, entries }
}

/** What a storage must hold after batches, computed the plain way. */
export function stateAfter (batches: readonly StorageBatch[]): RecoveredState {
  let state = hardState(0)
  const entries: Entry[] = []
  for (const { hardState: next, entries: added } of batches) {
    state = next ?? state
    for (const one of added) {
      entries.splice(one.index - 1)
      entries.push(one)
    }
  }
  return { hardState: state, entries }
}

const directories: string[] = []

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
})

/** A directory that is gone after the test. */
export async function temporaryDirectory (): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'raft-storage-'))
  directories.push(directory)
  return directory
}

export function fileStorage (directory: string, files: FileOperations = nodeFileOperations): FileStorage {
  return new FileStorage({ directory, identity }, files)
}

export function logPath (directory: string): string {
  return join(directory, 'raft.log')
}

/** Opens a storage, appends each batch as a group of its own, and closes it. */
export async function writeGroups (storage: Storage, batches: readonly StorageBatch[]): Promise<void> {
  await storage.open()
  for (const one of batches) await storage.append(one)
  await storage.close()
}

/** Opens and closes a storage, for what it holds. */
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

/** The code of what a promise rejects with; fails when it resolves. */
export async function codeOf (promise: Promise<unknown>): Promise<string> {
  return (await rejection(promise)).code
}

/** What a promise rejects with; fails when it resolves. */
export async function rejection (promise: Promise<unknown>): Promise<Error & { code: string, cause?: unknown }> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error && 'code' in error) return error as Error & { code: string }
    throw error
  }
  throw new Error('it resolved')
}

/** Calls that reach the file of a log, in order, and hooks that may fail them. */
export interface WatchedFiles {
  readonly files: FileOperations
  readonly calls: string[]
  onWrite: ((file: OpenFile, bytes: Uint8Array, position: number) => Promise<number>) | null
  onSync: (() => Promise<void>) | null
}

/** The real file system, with each write, sync and truncation of the log recorded. */
export function watchFiles (): WatchedFiles {
  const calls: string[] = []
  const watched: WatchedFiles = {
    calls,
    onWrite: null,
    onSync: null,
    files: {
      ...nodeFileOperations,
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
          truncate: async (length) => {
            calls.push('truncate')
            await file.truncate(length)
          },
          dataSync: () => sync(file.dataSync),
          sync: () => sync(file.sync)
        }
      }
    }
  }
  return watched
}

const skip = (): Promise<void> => Promise.resolve()

/** The real file system without its syncs, for tests that open a log thousands of times. */
export const hastyFiles: FileOperations = {
  ...nodeFileOperations,
  syncDirectory: skip,
  openExisting: async (path) => ({ ...await nodeFileOperations.openExisting(path), dataSync: skip, sync: skip }),
  createNew: async (path) => ({ ...await nodeFileOperations.createNew(path), dataSync: skip, sync: skip })
}

export function systemError (code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}
