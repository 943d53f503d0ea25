import { StorageFailedError, StoppedError } from '../errors.ts'
import { GroupCommit } from './group-commit.ts'
import { LogRules } from './log-rules.ts'
import type { Entry } from '../core/types.ts'
import type { RecoveredState, Storage, StorageBatch } from './storage.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

/**
 * A {@link Storage} in memory: the twin of the file storage, with the same order, rules and errors. What was appended
 * is there again when the same instance is opened after it was closed, and gone with the process.
 *
 * `append` resolves in a later turn of the event loop. It rejects with `RAFT_STORAGE_FAILED`, for good, from the first
 * batch on that breaks a rule of the log, and with `RAFT_STOPPED` before `open` and after `close`.
 */
export class MemoryStorage implements Storage {
  readonly #rules = new LogRules()
  readonly #queue: GroupCommit
  readonly #entries: Entry[] = []
  #hardState = this.#rules.hardState
  #isOpen = false

  constructor () {
    this.#queue = new GroupCommit(async (batches) => {
      await nextTurn()
      for (const batch of batches) this.#take(batch)
    }, (cause) => new StorageFailedError(String(cause), { cause }))
  }

  async open (): Promise<RecoveredState> {
    if (this.#isOpen) throw new Error('the storage is already open')
    await this.#queue.idle()
    if (this.#queue.failure !== null) throw this.#queue.failure
    this.#isOpen = true
    return { hardState: this.#hardState, entries: [...this.#entries] }
  }

  append (batch: StorageBatch): Promise<void> {
    if (this.#queue.failure !== null) return Promise.reject(this.#queue.failure)
    if (!this.#isOpen) return Promise.reject(new StoppedError('its log is not open'))
    const fault = this.#rules.takeBatch(batch)
    if (fault !== null) {
      const cause = new Error(`a batch breaks a rule of the log: ${fault}`)
      this.#queue.refuseFromNowOn(new StorageFailedError(cause.message, { cause }))
    }
    return this.#queue.append(batch)
  }

  async close (): Promise<void> {
    this.#isOpen = false
    await this.#queue.idle()
  }

  #take (batch: StorageBatch): void {
    this.#hardState = batch.hardState ?? this.#hardState
    const first = batch.entries[0]
    if (first === undefined) return
    this.#entries.length = first.index - 1
    for (const entry of batch.entries) this.#entries.push(entry)
  }
}
