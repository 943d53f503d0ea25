import { dirname } from 'node:path'
import type { Entry, HardState } from '../../../../src/raft/core/index.ts'
import { asIndex, asNodeId, asTerm, wholeLog } from '../../../../src/raft/core/index.ts'
import { encodeContent } from '../../../../src/raft/runtime/entry-codec.ts'
import type { FileOperations, LogDisk } from '../../../../src/raft/storage/disk/file-operations.ts'
import { writeFully } from '../../../../src/raft/storage/disk/file-operations.ts'
import type { LogPoint, RecoveredState, StorageBatch, StorageIdentity } from '../../../../src/raft/storage/storage.ts'
import { configurationOf } from '../../../support/configurations.ts'

export const identity: StorageIdentity = { clusterId: 'orders', nodeId: 'n1' }

export function hardState (term: number, vote: string | null = null, commit = 0): HardState {
  return { term: asTerm(term), vote: vote === null ? null : asNodeId(vote), commit: asIndex(commit) }
}

export function entry (
  index: number,
  term: number,
  data: string | Uint8Array = `data-${index}-${term}`,
  kind: 'command' | 'noop' = 'command'
): Entry {
  const head = headOf(index, term)
  if (kind === 'noop') return { ...head, kind }
  return { ...head, kind, data: typeof data === 'string' ? new Uint8Array(Buffer.from(data)) : data }
}

/** An entry with a configuration of these voters. */
export function configurationEntry (index: number, term: number, ...voters: readonly string[]): Entry {
  return { ...headOf(index, term), kind: 'configuration', configuration: configurationOf(voters.map(asNodeId)) }
}

function headOf (index: number, term: number): Pick<Entry, 'index' | 'term' | 'timeMs'> {
  return { index: asIndex(index), term: asTerm(term), timeMs: 1_700_000_000_000 + index }
}

/** The content of an entry as the log keeps it. */
export function contentOf (entry: Entry): Buffer {
  return Buffer.from(encodeContent(entry))
}

export function batch (state: HardState | null, ...entries: Entry[]): StorageBatch {
  return { hardState: state, entries }
}

/** The state that a storage must hold after these batches, computed in the simplest way. */
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
  return { base: wholeLog, hardState: state, entries }
}

/** The log point of an entry. */
export function baseOf ({ index, term, timeMs }: Entry): LogPoint {
  return { index, term, timeMs }
}

/** A disk that works through the file operations, in this thread, so that tests can intercept each call. */
export function inlineDisk (files: Pick<FileOperations, 'rename' | 'syncDirectory'>): LogDisk {
  return {
    allocate: (bytes) => Buffer.alloc(bytes, 0xaa),
    free: () => {},
    write: async (file, bytes, position) => {
      await writeFully(file, bytes, position)
      await file.dataSync()
    },
    publish: async (from, to) => {
      await files.rename(from, to)
      await files.syncDirectory(dirname(to))
    },
    stop: () => Promise.resolve()
  }
}

export function systemError (code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}
