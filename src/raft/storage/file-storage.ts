import { resolve } from 'node:path'
import { StorageFailedError, StoppedError } from '../errors.ts'
import { claimLog, dataDirError } from './directory.ts'
import { nodeFileOperations } from './file-operations.ts'
import { GroupCommit } from './group-commit.ts'
import { encodeLogHeader } from './log-header.ts'
import { LogWriter } from './log-writer.ts'
import { ReadWindow } from './read-window.ts'
import { recoverLog } from './recovery.ts'
import { settleLog } from './repair.ts'
import { systemErrorCode } from './system-error.ts'
import type { ClaimedDirectory } from './directory.ts'
import type { FileOperations, OpenFile } from './file-operations.ts'
import type { LogRules } from './log-rules.ts'
import type { RecoveredState, Storage, StorageBatch, StorageIdentity } from './storage.ts'

/** Where a {@link FileStorage} keeps its log, and whose it is. */
export interface FileStorageOptions {
  /** The data directory; created when it is missing. Belongs to this one node, and to one process at a time. */
  readonly directory: string
  readonly identity: StorageIdentity
}

interface OpenLog {
  readonly claimed: ClaimedDirectory
  readonly file: OpenFile
  readonly rules: LogRules
  readonly queue: GroupCommit
}

function storageFailed (cause: unknown): Error {
  return new StorageFailedError(cause instanceof Error ? cause.message : String(cause), { cause })
}

/** An error of the file system, as opposed to a refusal that already says what to do. */
const isSystemError = (error: unknown): boolean => !(error instanceof Error) || !(systemErrorCode(error) ?? '').startsWith('RAFT_')

/**
 * A {@link Storage} in one append-only file, `raft.log`.
 *
 * `open` rejects, before anything is written, with
 * - `RAFT_DATA_DIR`: the directory cannot be used;
 * - `RAFT_DATA_DIR_FOREIGN`: it belongs to another node or cluster;
 * - `RAFT_WAL_VERSION`: the log is of a version that this release does not know;
 * - `RAFT_WAL_CORRUPT`: the log is damaged other than by a write that a crash interrupted.
 *
 * `append` rejects with `RAFT_STORAGE_FAILED` (its cause says why) from the first failure on, for good: after a failed
 * sync the kernel may have dropped the data and reports success the next time, so nothing is tried again. A batch that
 * breaks a rule of the log counts as a failure too. Before `open` and after `close` it rejects with `RAFT_STOPPED`.
 */
export class FileStorage implements Storage {
  readonly #directory: string
  readonly #identity: StorageIdentity
  readonly #files: FileOperations
  #log: OpenLog | null = null
  /** Settles when the opening has; set from then on until the log is closed. */
  #opening: Promise<void> | null = null
  #closing: Promise<void> | null = null
  #failure: Error | null = null

  /**
   * @param options where, and whose
   * @param files the file system; for tests
   */
  constructor (options: FileStorageOptions, files: FileOperations = nodeFileOperations) {
    this.#directory = resolve(options.directory)
    this.#identity = options.identity
    this.#files = files
  }

  async open (): Promise<RecoveredState> {
    if (this.#opening !== null || this.#closing !== null) throw new Error('the storage is already open')
    const opening = this.#open()
    // What was recovered is the caller's alone, and may be large: only the outcome is kept.
    this.#opening = opening.then(() => {}, () => { this.#opening = null })
    return opening
  }

  append (batch: StorageBatch): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#log === null || this.#closing !== null) return Promise.reject(new StoppedError('its log is not open'))
    const { queue, rules } = this.#log
    const fault = queue.failure === null ? rules.takeBatch(batch) : null
    if (fault !== null) queue.refuseFromNowOn(storageFailed(new Error(`a batch breaks a rule of the log: ${fault}`)))
    return queue.append(batch)
  }

  close (): Promise<void> {
    this.#closing ??= this.#close().finally(() => { this.#closing = null })
    return this.#closing
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
    try {
      return await claimLog(this.#files, this.#directory, encodeLogHeader(this.#identity))
    } catch (error) {
      throw isSystemError(error) ? dataDirError(this.#directory, error) : error
    }
  }

  async #recover (claimed: ClaimedDirectory): Promise<RecoveredState> {
    const { logPath } = claimed
    const file = await this.#files.openExisting(logPath)
    try {
      const window = new ReadWindow(file, await file.size())
      const recovered = await recoverLog(window, logPath, this.#identity)
      await settleLog(this.#files, logPath, file, window, recovered)
      const writer = new LogWriter(file, recovered.seed, recovered.end)
      const queue = new GroupCommit((batches) => writer.write(batches), storageFailed)
      this.#log = { claimed, file, rules: recovered.rules, queue }
      return recovered.state
    } finally {
      if (this.#log === null) await file.close()
    }
  }

  async #close (): Promise<void> {
    await this.#opening
    const log = this.#log
    if (log === null) return
    await log.queue.idle()
    this.#failure ??= log.queue.failure
    this.#log = null
    this.#opening = null
    try {
      await log.file.close()
    } finally {
      await log.claimed.release()
    }
  }
}
