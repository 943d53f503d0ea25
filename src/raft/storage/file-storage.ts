import { join, resolve } from 'node:path'
import type { HardState, Index } from '../core/types.ts'
import { emptyHardState } from '../core/types.ts'
import { InvalidOptionsError, StoppedError } from '../errors.ts'
import type { ClaimedDirectory } from './data-directory.ts'
import { claimLog, dataDirError } from './data-directory.ts'
import type { FileOperations, OpenFile } from './disk/file-operations.ts'
import { nodeFileOperations } from './disk/file-operations.ts'
import type { LogDisk } from './disk/log-disk.ts'
import { SpaceWatch } from './disk/space-watch.ts'
import { systemErrorCode } from './disk/system-error.ts'
import { newIncarnation } from './incarnation.ts'
import type { LogBase, RecoveredState, Storage, StorageBatch, StorageIdentity } from './storage.ts'
import { wholeLog } from './storage.ts'
import { CheckedQueue, storageFailed } from './wal/checked-queue.ts'
import type { RecoveredLog } from './wal/recovery.ts'
import { recoverLog } from './wal/recovery.ts'
import { settleLog } from './wal/repair.ts'
import { removeSegments } from './wal/segment-file.ts'
import { encodeSegmentHeader } from './wal/segment-header.ts'
import { spareName } from './wal/segment-names.ts'
import { SegmentedLog } from './wal/segmented-log.ts'

/** Where a {@link FileStorage} keeps its log, and whose it is. */
export interface FileStorageOptions {
  /** The data directory; created when it is missing. Belongs to this one node, and to one process at a time. */
  readonly directory: string
  readonly identity: StorageIdentity
  /** Size of a segment. A multiple of 512, 4 KiB to 1 GiB; 16 MiB unless told. Applies to new segments. */
  readonly segmentBytes?: number
  /** Below this many free bytes of the file system, space counts as low; 64 MiB unless told. */
  readonly minFreeBytes?: number
  /** How often the free space is looked at; 5 s unless told. */
  readonly spaceCheckIntervalMs?: number
  /** Called when space gets low, before any write fails for it, and when it no longer is. */
  readonly onLowSpace?: (isLow: boolean, freeBytes: number) => void
}

const mebibyte = 1024 * 1024
const defaultSegmentBytes = 16 * mebibyte
const smallestSegmentBytes = 4096
const largestSegmentBytes = 1024 * mebibyte

interface OpenLog {
  readonly claimed: ClaimedDirectory
  readonly disk: LogDisk
  readonly log: SegmentedLog
  readonly queue: CheckedQueue
}

/** An error of the file system, as opposed to a refusal that already says what to do. */
function isSystemError (error: unknown): boolean {
  return !(error instanceof Error) || !(systemErrorCode(error) ?? '').startsWith('RAFT_')
}

function checkedSegmentBytes (bytes: number = defaultSegmentBytes): number {
  if (Number.isInteger(bytes) && bytes % 512 === 0 && bytes >= smallestSegmentBytes && bytes <= largestSegmentBytes) {
    return bytes
  }
  throw new InvalidOptionsError(
    `segmentBytes is ${bytes}; it must be a multiple of 512 from ${smallestSegmentBytes} to ${largestSegmentBytes}`
  )
}

/**
 * A {@link Storage} in segments of a fixed size, written by a thread of its own.
 *
 * `open` rejects, before anything is written, with
 * - `RAFT_DATA_DIR`: the directory cannot be used;
 * - `RAFT_DATA_DIR_FOREIGN`: it belongs to another node or cluster;
 * - `RAFT_WAL_VERSION`: the log is of a version that this release does not know;
 * - `RAFT_WAL_CORRUPT`: the log is damaged other than by a write that a crash interrupted, or a part of it is missing.
 *
 * `append`, `release` and `reset` reject with `RAFT_STORAGE_FAILED` (its cause says why) from the first failure on, for
 * good: after a failed sync the kernel may have dropped the data and reports success the next time, so nothing is
 * tried again. A change that breaks a rule of the log counts as a failure too. Before `open` and after `close` they
 * reject with `RAFT_STOPPED`.
 */
export class FileStorage implements Storage {
  readonly #directory: string
  readonly #identity: StorageIdentity
  readonly #segmentBytes: number
  readonly #files: FileOperations
  readonly #space: SpaceWatch
  #log: OpenLog | null = null
  /** Settles when the opening has; set from then on until the log is closed. */
  #opening: Promise<void> | null = null
  #closing: Promise<void> | null = null
  #removing: Promise<void> = Promise.resolve()
  #failure: Error | null = null
  #incarnation: string | null = null

  /**
   * @param options where, and whose
   * @param files the file system; for tests
   */
  constructor (options: FileStorageOptions, files: FileOperations = nodeFileOperations) {
    this.#directory = resolve(options.directory)
    this.#identity = options.identity
    this.#segmentBytes = checkedSegmentBytes(options.segmentBytes)
    this.#files = files
    this.#space = new SpaceWatch(files, {
      directory: this.#directory,
      minFreeBytes: options.minFreeBytes ?? 64 * mebibyte,
      intervalMs: options.spaceCheckIntervalMs ?? 5000,
      onChange: options.onLowSpace ?? (() => {})
    })
  }

  /** Whether the file system has less free space than `minFreeBytes`. Nothing has failed for it yet. */
  get lowSpace (): boolean { return this.#space.isLow }

  get incarnation (): string {
    if (this.#incarnation === null) throw new Error('the incarnation of a log is known once it has been opened')
    return this.#incarnation
  }

  async open (): Promise<RecoveredState> {
    if (this.#opening !== null || this.#closing !== null) throw new Error('the storage is already open')
    const opening = this.#open()
    // What was recovered is the caller's alone, and may be large: only the outcome is kept.
    this.#opening = opening.then(() => {}, () => { this.#opening = null })
    return opening
  }

  append (batch: StorageBatch): Promise<void> {
    return this.#whenOpen(({ queue }) => queue.append(batch))
  }

  release (through: Index): Promise<void> {
    return this.#whenOpen((open) => open.queue.release(through).then(() => this.#removeOld(open)))
  }

  reset (base: LogBase, hardState: HardState): Promise<void> {
    return this.#whenOpen((open) => open.queue.reset(base, hardState).then(() => this.#removeOld(open)))
  }

  close (): Promise<void> {
    this.#closing ??= this.#close().finally(() => { this.#closing = null })
    return this.#closing
  }

  #whenOpen (change: (open: OpenLog) => Promise<void>): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#log === null || this.#closing !== null) return Promise.reject(new StoppedError('its log is not open'))
    return change(this.#log)
  }

  /** Only after the release or the reset is durable, and while the next groups are being written. */
  #removeOld ({ log, queue }: OpenLog): Promise<void> {
    const removed = this.#removing.then(() => log.removeReleased())
    this.#removing = removed.catch((cause: unknown) => { queue.refuseFromNowOn(storageFailed(cause)) })
    return removed.catch((cause: unknown) => { throw queue.failure ?? storageFailed(cause) })
  }

  async #open (): Promise<RecoveredState> {
    if (this.#failure !== null) throw this.#failure
    const claimed = await this.#claim()
    try {
      return await this.#recover(claimed)
    } catch (error) {
      await claimed.release()
      if (!isSystemError(error)) throw error
      this.#failure = storageFailed(error)
      throw this.#failure
    }
  }

  async #claim (): Promise<ClaimedDirectory> {
    const start = {
      id: 1,
      incarnation: newIncarnation(),
      segmentBytes: this.#segmentBytes,
      previous: null,
      base: wholeLog,
      last: wholeLog,
      hardState: emptyHardState
    }
    const header = encodeSegmentHeader(start, this.#identity).bytes
    try {
      return await claimLog(this.#files, this.#directory, { segmentBytes: this.#segmentBytes, header })
    } catch (error) {
      throw isSystemError(error) ? dataDirError(this.#directory, error) : error
    }
  }

  async #recover (claimed: ClaimedDirectory): Promise<RecoveredState> {
    const recovered = await recoverLog(this.#files, this.#directory, claimed.segmentIds, this.#identity)
    const file = await settleLog(this.#files, this.#directory, recovered)
    try {
      if (claimed.hasSpare) await this.#files.remove(join(this.#directory, spareName))
      await removeSegments(this.#files, this.#directory, recovered.obsolete)
      await this.#space.start()
    } catch (error) {
      await file.close()
      throw error
    }
    return this.#start(claimed, recovered, file)
  }

  async #start (claimed: ClaimedDirectory, recovered: RecoveredLog, file: OpenFile): Promise<RecoveredState> {
    const disk = this.#files.startDisk('log')
    const log = new SegmentedLog({
      directory: this.#directory,
      identity: this.#identity,
      files: this.#files,
      disk,
      segmentBytes: this.#segmentBytes,
      onPreparationFailed: (cause) => {
        if (systemErrorCode(cause) === 'ENOSPC') this.#space.reportFull()
      }
    }, recovered, file)
    this.#incarnation = recovered.incarnation
    this.#log = { claimed, disk, log, queue: new CheckedQueue(recovered.rules, log) }
    // A crash may have come between a release and the removal it allows.
    try {
      await log.removeReleased()
    } catch (error) {
      this.#log = null
      this.#space.stop()
      await log.close()
      await disk.stop()
      throw error
    }
    return recovered.state
  }

  async #close (): Promise<void> {
    await this.#opening
    const open = this.#log
    if (open === null) return
    await open.queue.idle()
    await this.#removing
    this.#failure ??= open.queue.failure
    this.#log = null
    this.#opening = null
    this.#space.stop()
    try {
      await open.log.close()
    } finally {
      await open.disk.stop()
      await open.claimed.release()
    }
  }
}
