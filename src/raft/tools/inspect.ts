import { basename, join, resolve } from 'node:path'
import { DataDirError } from '../errors.ts'
import { dataDirError, inspectDirectory } from '../storage/data-directory.ts'
import type { FileOperations } from '../storage/disk/file-operations.ts'
import { readOnlyFileOperations } from '../storage/disk/file-operations.ts'
import { systemErrorCode } from '../storage/disk/system-error.ts'
import type { SnapshotLayout } from '../storage/snapshots/snapshot-format.ts'
import { readChunks, readSnapshotLayout } from '../storage/snapshots/snapshot-format.ts'
import type { LogBase, StorageIdentity } from '../storage/storage.ts'
import { readHeaders, recoverLog } from '../storage/wal/recovery.ts'
import { usedBytes } from '../storage/wal/sectors.ts'
import { isAside, segmentName, snapshotsName } from '../storage/wal/segment-names.ts'

/** A segment by its header. */
export interface InspectedSegment {
  readonly name: string
  readonly bytes: number
  /** The index that its first entry has, unless that replaced an earlier one. */
  readonly firstIndex: number
  /** Whether the log starts anew here. */
  readonly startsAnew: boolean
}

/** A snapshot, read to its end. */
export interface InspectedSnapshot {
  readonly name: string
  readonly clusterId: string | null
  readonly index: number | null
  readonly term: number | null
  /** Log time of its last entry, in milliseconds since the epoch. */
  readonly timeMs: number | null
  /** Bytes of the state machine's data. */
  readonly bytes: number | null
  /** What is wrong with it, or null. */
  readonly fault: { readonly code: string, readonly message: string } | null
}

/** What a data directory holds. */
export interface LogInspection {
  readonly directory: string
  readonly identity: StorageIdentity
  readonly segments: readonly InspectedSegment[]
  /** What the log says; null when it is damaged. */
  readonly log: {
    readonly incarnation: string
    /** The last entry that was forgotten. */
    readonly base: LogBase
    readonly term: number
    readonly vote: string | null
    /** The last entry known to be committed. */
    readonly commitIndex: number
    readonly lastIndex: number
    readonly lastTerm: number
    readonly commands: number
    readonly configurations: number
    /** Bytes of a write that a crash interrupted: the next start saves them aside and cuts them. */
    readonly tornBytes: number
  } | null
  /** What is wrong with the log, or null: a node would start on it. */
  readonly fault: { readonly code: string, readonly message: string } | null
  /** Torn tails that earlier starts have saved aside. */
  readonly savedAside: readonly string[]
  readonly snapshots: readonly InspectedSnapshot[]
}

type Fault = NonNullable<LogInspection['fault']>

/** The refusal that an error is; errors of the file system are thrown on. */
function faultOf (error: unknown): Fault {
  const code = systemErrorCode(error) ?? ''
  if (!(error instanceof Error) || !code.startsWith('RAFT_')) throw error
  return { code, message: error.message }
}

/**
 * Reads all of a data directory, log and snapshots, and writes nothing: for people who want to know what is there, or
 * whether a node would start on it. Any node's will do. It is claimed meanwhile, so that nothing changes under the
 * reader and no node starts.
 *
 * Damage is part of the answer. Rejects with `RAFT_DATA_DIR` when there is no log to look at: the directory is missing,
 * empty, not readable, or in use by a running node; with `RAFT_WAL_VERSION` for the format before segments; as the file
 * system does when reading fails.
 */
export async function inspectLog (
  path: string,
  files: FileOperations = readOnlyFileOperations
): Promise<LogInspection> {
  const directory = resolve(path)
  const release = await claim(files, directory)
  try {
    const { segmentIds } = await inspectDirectory(files, directory)
    if (segmentIds.length === 0) {
      throw new DataDirError(`The data directory ${directory} cannot be read: it holds no log.`)
    }
    return {
      directory,
      ...(await inspectSegments(files, directory, segmentIds)),
      savedAside: (await files.list(directory)).filter(isAside).sort(),
      snapshots: await inspectSnapshots(files, directory)
    }
  } finally {
    await release()
  }
}

async function claim (files: FileOperations, directory: string): Promise<() => Promise<void>> {
  try {
    if (!(await inspectDirectory(files, directory)).exists) {
      throw new DataDirError(`The data directory ${directory} cannot be read: it does not exist.`)
    }
    return await files.claim(directory)
  } catch (error) {
    throw (systemErrorCode(error) ?? '').startsWith('RAFT_') ? error : dataDirError(directory, error)
  }
}

async function inspectSegments (
  files: FileOperations,
  directory: string,
  ids: readonly number[]
): Promise<Pick<LogInspection, 'identity' | 'segments' | 'log' | 'fault'>> {
  const identity = { clusterId: '', nodeId: '' }
  let segments: InspectedSegment[] = []
  try {
    const headers = await readHeaders(files, directory, ids, null)
    Object.assign(identity, headers[0]?.identity)
    segments = headers.map(({ id, segmentBytes, last, previous }) => ({
      name: segmentName(id),
      bytes: segmentBytes,
      firstIndex: last.index + 1,
      startsAnew: previous === null
    }))
    return { identity, segments, log: await readLog(files, directory, ids), fault: null }
  } catch (error) {
    return { identity, segments, log: null, fault: faultOf(error) }
  }
}

async function readLog (
  files: FileOperations,
  directory: string,
  ids: readonly number[]
): Promise<LogInspection['log']> {
  const counts = { command: 0, configuration: 0, noop: 0 }
  let countedThrough = 0
  const recovered = await recoverLog(files, directory, ids, null, {
    trailingEntries: 0,
    onCommitted: (entries) => {
      for (const { kind, index } of entries) {
        counts[kind]++
        countedThrough = index
      }
    }
  })
  for (const { kind, index } of recovered.state.entries) if (index > countedThrough) counts[kind]++
  const { rules, tail, end } = recovered
  const { base, hardState, last } = rules.position
  return {
    incarnation: recovered.incarnation,
    base,
    term: hardState.term,
    vote: hardState.vote,
    commitIndex: rules.committedIndex,
    lastIndex: last.index,
    lastTerm: last.term,
    commands: counts.command,
    configurations: counts.configuration,
    tornBytes: usedBytes(tail.subarray(end))
  }
}

async function inspectSnapshots (files: FileOperations, dataDirectory: string): Promise<InspectedSnapshot[]> {
  const directory = join(dataDirectory, snapshotsName)
  if (await files.kindOf(directory) !== 'directory') return []
  const names = (await files.list(directory)).filter((name) => /^snapshot-\d{16}-\d{16}$/.test(name)).sort()
  const snapshots: InspectedSnapshot[] = []
  for (const name of names) snapshots.push(inspected(name, await verifySnapshot(files, join(directory, name))))
  return snapshots
}

/**
 * Reads one snapshot file to its end, wherever it is. Damage is part of the answer; rejects as the file system does.
 */
export async function inspectSnapshot (
  path: string,
  files: FileOperations = readOnlyFileOperations
): Promise<InspectedSnapshot> {
  return inspected(basename(path), await verifySnapshot(files, path))
}

function inspected (
  name: string,
  { layout, fault }: { readonly layout: SnapshotLayout | null; readonly fault: Fault | null }
): InspectedSnapshot {
  return {
    name,
    clusterId: layout?.clusterId ?? null,
    index: layout?.info.index ?? null,
    term: layout?.info.term ?? null,
    timeMs: layout?.info.timeMs ?? null,
    bytes: layout?.info.bytes ?? null,
    fault
  }
}

async function verifySnapshot (
  files: FileOperations,
  path: string
): Promise<{ readonly layout: SnapshotLayout | null; readonly fault: Fault | null }> {
  const file = await files.openExisting(path)
  let layout: SnapshotLayout | null = null
  try {
    layout = await readSnapshotLayout(file, path, null)
    // Each piece is checked before it comes.
    let bytes = 0
    for await (const piece of readChunks(file, path, layout, 0)) bytes += piece.byteLength
    return {
      layout,
      fault:
        bytes === layout.info.bytes
          ? null
          : {
              code: 'RAFT_SNAPSHOT_CORRUPT',
              message: `The snapshot ${path} has ${bytes} bytes of ${layout.info.bytes}.`
            }
    }
  } catch (error) {
    return { layout, fault: faultOf(error) }
  } finally {
    await file.close()
  }
}
