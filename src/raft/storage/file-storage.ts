import { join, resolve } from 'node:path'
import type { HardState, Index } from '../core/index.ts'
import { emptyHardState, wholeLog } from '../core/index.ts'
import { defaults } from '../defaults.ts'
import { InvalidOptionsError, StoppedError } from '../errors.ts'
import type { ClaimedLog } from './data-directory.ts'
import { claimLog, dataDirError, isSystemError } from './data-directory.ts'
import type { DirectoryClaim, FileOperations, LogDisk, OpenFile } from './disk/file-operations.ts'
import { nodeFileOperations } from './disk/file-system.ts'
import { SpaceWatch } from './disk/space-watch.ts'
import type { LogPoint, RecoveredState, Storage, StorageBatch, StorageIdentity } from './storage.ts'
import { newIncarnation } from './storage.ts'
import { LogQueue, storageFailed } from './wal/log-queue.ts'
import type { RecoveredLog } from './wal/recovery.ts'
import { recoverLog } from './wal/recovery.ts'
import { repairLog } from './wal/repair.ts'
import { removeSegments, spareName } from './wal/segment-file.ts'
import { encodeSegmentHeader } from './wal/segment-header.ts'
import { SegmentedLog } from './wal/segmented-log.ts'

/** Where a {@link FileStorage} keeps its log, and the node that it belongs to. */
export interface FileStorageOptions {
  /** The data directory; created when it is missing. Belongs to this one node, and to one process at a time. */
  readonly directory: string
  readonly identity: StorageIdentity
  /** Size of a segment. A multiple of 512, 4 KiB to 1 GiB; 16 MiB unless set. Applies to new segments. */
  readonly segmentBytes?: number
  /** With fewer free bytes on its file system, space counts as low; 64 MiB unless set. */
  readonly minFreeBytes?: number
  /** How often the free space is checked; 5 s unless set. */
  readonly spaceCheckIntervalMs?: number
  /** Called when space gets low, before any write fails for that, and when it is no longer low. */
  readonly onLowSpace?: (isLow: boolean, freeBytes: number) => void
  /**
   * Called by `open` when other processes of this machine may not see that the directory is in use, for example because
   * its file system keeps no sockets. A second node could then destroy the log. `reason` says why, for a log line.
   */
  readonly onWeakClaim?: (reason: string) => void
}

const mebibyte = 1024 * 1024
const defaultSegmentBytes = 16 * mebibyte
const smallestSegmentBytes = 4096
const largestSegmentBytes = 1024 * mebibyte

interface OpenLog {
  readonly claim: DirectoryClaim
  readonly disk: LogDisk
  readonly log: SegmentedLog
  readonly queue: LogQueue
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
 * `append`, `compact` and `reset` reject with `RAFT_STORAGE_FAILED` (its cause says why) from the first failure on, for
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
  readonly #onWeakClaim: (reason: string) => void
  #log: OpenLog | null = null
  /** Resolves when the opening is over; set from its start until the log is closed. */
  #opening: Promise<void> | null = null
  #closing: Promise<void> | null = null
  #removing: Promise<void> = Promise.resolve()
  #failure: Error | null = null
  #incarnation: string | null = null

  /**
   * @param options where the log is, and the node that it belongs to
   * @param files the file system; for tests
   */
  constructor (options: FileStorageOptions, files: FileOperations = nodeFileOperations) {
    this.#directory = resolve(options.directory)
    this.#identity = options.identity
    this.#segmentBytes = checkedSegmentBytes(options.segmentBytes)
    this.#files = files
    this.#onWeakClaim = options.onWeakClaim ?? (() => {})
    this.#space = new SpaceWatch(files, {
      directory: this.#directory,
      minFreeBytes: options.minFreeBytes ?? defaults.minFreeBytes,
      intervalMs: options.spaceCheckIntervalMs ?? 5000,
      onLowSpace: options.onLowSpace ?? (() => {})
    })
  }

  /** Whether the file system has less free space than `minFreeBytes`. No write has failed for that yet. */
  get lowSpace (): boolean { return this.#space.isLow }

  /** Whether less than half of `minFreeBytes` is free. */
  get criticalSpace (): boolean { return this.#space.isCritical }

  get incarnation (): string {
    if (this.#incarnation === null) throw new Error('the incarnation of a log is known once it has been opened')
    return this.#incarnation
  }

  async open (): Promise<RecoveredState> {
    if (this.#opening !== null || this.#closing !== null) throw new Error('the storage is already open')
    const opening = this.#open()
    // The recovered state may be large, and only the caller uses it: no reference to it is kept.
    this.#opening = opening.then(() => {}, () => { this.#opening = null })
    return opening
  }

  append (batch: StorageBatch): Promise<void> {
    return this.#whenOpen(({ queue }) => queue.append(batch))
  }

  compact (through: Index): Promise<void> {
    return this.#whenOpen((open) => open.queue.compact(through).then(() => this.#removeOld(open)))
  }

  reset (base: LogPoint, hardState: HardState): Promise<void> {
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

  /** Runs after the compaction or the reset is durable, and while the next groups are being written. */
  #removeOld ({ log, queue }: OpenLog): Promise<void> {
    const removed = this.#removing.then(() => log.removeCompacted())
    this.#removing = removed.catch((cause: unknown) => { queue.refuseFromNowOn(storageFailed(cause)) })
    return removed.catch((cause: unknown) => { throw queue.failure ?? storageFailed(cause) })
  }

  async #open (): Promise<RecoveredState> {
    if (this.#failure !== null) throw this.#failure
    const claimed = await this.#claim()
    const { weakness } = claimed.claim
    try {
      if (weakness !== null) this.#onWeakClaim(weakness)
      return await this.#recover(claimed)
    } catch (error) {
      await claimed.claim.release()
      if (!isSystemError(error)) throw error
      this.#failure = storageFailed(error)
      throw this.#failure
    }
  }

  async #claim (): Promise<ClaimedLog> {
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

  async #recover (claimed: ClaimedLog): Promise<RecoveredState> {
    const recovered = await recoverLog(this.#files, this.#directory, claimed.segmentIds, this.#identity)
    const file = await repairLog(this.#files, this.#directory, recovered)
    try {
      if (claimed.hasSpare) await this.#files.remove(join(this.#directory, spareName))
      await removeSegments(this.#files, this.#directory, recovered.obsolete)
      await this.#space.start()
    } catch (error) {
      await file.close()
      throw error
    }
    return this.#start(claimed.claim, recovered, file)
  }

  async #start (claim: DirectoryClaim, recovered: RecoveredLog, file: OpenFile): Promise<RecoveredState> {
    const disk = this.#files.startDisk('log')
    const log = new SegmentedLog({
      directory: this.#directory,
      identity: this.#identity,
      files: this.#files,
      disk,
      segmentBytes: this.#segmentBytes,
      space: this.#space
    }, recovered, file)
    this.#incarnation = recovered.incarnation
    this.#log = { claim, disk, log, queue: new LogQueue(recovered.rules, log) }
    // A crash may have come between a compaction and the removal of its segments.
    try {
      await log.removeCompacted()
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
      await open.claim.release()
    }
  }
}
