import { basename, resolve } from 'node:path'
import { DataDirError } from '../errors.ts'
import { dataDirError, inspectDirectory, isSystemError } from '../storage/data-directory.ts'
import type { DirectoryClaim, FileOperations, OpenFile } from '../storage/disk/file-operations.ts'
import { systemErrorCode, withFile } from '../storage/disk/file-operations.ts'
import { readOnlyFileOperations } from '../storage/disk/file-system.ts'
import { listSnapshots } from '../storage/snapshots/snapshot-directory.ts'
import type { SnapshotLayout } from '../storage/snapshots/snapshot-format.ts'
import { readChunks, readSnapshotLayout } from '../storage/snapshots/snapshot-format.ts'
import type { LogPoint, StorageIdentity } from '../storage/storage.ts'
import { readHeaders, recoverLog } from '../storage/wal/recovery.ts'
import { usedBytes } from '../storage/wal/sectors.ts'
import { isTornTail, segmentName } from '../storage/wal/segment-file.ts'

/** A segment by its header. */
export interface InspectedSegment {
  readonly name: string
  readonly bytes: number
  /** The index that its first entry has, unless that replaced an earlier one. */
  readonly firstIndex: number
  /** Whether the log starts anew here. */
  readonly startsAnew: boolean
}

/** A snapshot file that was read to its end. */
export interface InspectedSnapshot {
  readonly name: string
  readonly clusterId: string | null
  readonly index: number | null
  readonly term: number | null
  /** Log time of its last entry, in milliseconds; no time of day, but near one. */
  readonly timeMs: number | null
  /** Bytes of the state machine's data. */
  readonly bytes: number | null
  /** What is wrong with it, or null. */
  readonly fault: { readonly code: string, readonly message: string } | null
}

/** The content of a data directory. */
export interface LogInspection {
  readonly directory: string
  readonly identity: StorageIdentity
  readonly segments: readonly InspectedSegment[]
  /** The content of the log; null when it is damaged. */
  readonly log: {
    readonly incarnation: string
    /** The last entry that was compacted: the log starts behind it. */
    readonly base: LogPoint
    readonly term: number
    readonly vote: string | null
    /** The last entry known to be committed. */
    readonly commitIndex: number
    readonly lastIndex: number
    readonly lastTerm: number
    readonly commands: number
    readonly configurations: number
    /** Bytes of a write that a crash interrupted: the next start saves them in a file of their own and cuts them. */
    readonly tornBytes: number
  } | null
  /** What is wrong with the log; null when a node can start on it. */
  readonly fault: { readonly code: string, readonly message: string } | null
  /** The files of torn tails that earlier starts have saved. */
  readonly savedAside: readonly string[]
  readonly snapshots: readonly InspectedSnapshot[]
}

type Fault = NonNullable<LogInspection['fault']>

/** Code and message of an error that says what is wrong. Throws errors of the file system on. */
function faultOf (error: unknown): Fault {
  const code = systemErrorCode(error)
  if (!(error instanceof Error) || code === undefined || isSystemError(error)) throw error
  return { code, message: error.message }
}

/**
 * Reads all of a data directory, log and snapshots, and writes nothing: it shows an operator what is there, and whether
 * a node can start on it. It reads the directory of any node, and claims it meanwhile, so that no node starts on it and
 * nothing changes during the reading.
 *
 * Damage is part of the result. Rejects with `RAFT_DATA_DIR` when there is no log to read: the directory is missing,
 * empty, not readable, or in use by a running node; with `RAFT_WAL_VERSION` for the format before segments; with the
 * error of the file system when reading fails.
 */
export async function inspectLog (
  path: string,
  files: FileOperations = readOnlyFileOperations
): Promise<LogInspection> {
  const directory = resolve(path)
  const claim = await claimDirectory(files, directory)
  try {
    const { segmentIds } = await inspectDirectory(files, directory)
    if (segmentIds.length === 0) {
      throw new DataDirError(`The data directory ${directory} cannot be read: it holds no log.`)
    }
    return {
      directory,
      ...(await inspectSegments(files, directory, segmentIds)),
      savedAside: (await files.list(directory)).filter(isTornTail).sort(),
      snapshots: await inspectSnapshots(files, directory)
    }
  } finally {
    await claim.release()
  }
}

async function claimDirectory (files: FileOperations, directory: string): Promise<DirectoryClaim> {
  try {
    if (!(await inspectDirectory(files, directory)).exists) {
      throw new DataDirError(`The data directory ${directory} cannot be read: it does not exist.`)
    }
    return await files.claim(directory)
  } catch (error) {
    throw isSystemError(error) ? dataDirError(directory, error) : error
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
  const snapshots: InspectedSnapshot[] = []
  for (const path of await listSnapshots(files, dataDirectory)) snapshots.push(await inspectSnapshot(path, files))
  return snapshots
}

/**
 * Reads one snapshot file to its end, in any directory. Damage is part of the result; rejects with errors of the file
 * system.
 */
export async function inspectSnapshot (
  path: string,
  files: FileOperations = readOnlyFileOperations
): Promise<InspectedSnapshot> {
  const { layout, fault } = await withFile(files, path, (file) => verifySnapshot(file, path))
  return {
    name: basename(path),
    clusterId: layout?.clusterId ?? null,
    index: layout?.info.index ?? null,
    term: layout?.info.term ?? null,
    timeMs: layout?.info.timeMs ?? null,
    bytes: layout?.info.bytes ?? null,
    fault
  }
}

async function verifySnapshot (
  file: OpenFile,
  path: string
): Promise<{ readonly layout: SnapshotLayout | null; readonly fault: Fault | null }> {
  let layout: SnapshotLayout | null = null
  try {
    layout = await readSnapshotLayout(file, path, null)
    // Each chunk is checked before it is yielded.
    let bytes = 0
    for await (const chunk of readChunks(file, path, layout, 0)) bytes += chunk.byteLength
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
  }
}
