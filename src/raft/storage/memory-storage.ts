import type { Entry, HardState, Index } from '../core/types.ts'
import { StoppedError } from '../errors.ts'
import { newIncarnation } from './incarnation.ts'
import type { LogBase, RecoveredState, Storage, StorageBatch } from './storage.ts'
import { wholeLog } from './storage.ts'
import { CheckedQueue } from './wal/checked-queue.ts'
import type { LogChange } from './wal/log-change.ts'
import { LogRules } from './wal/log-rules.ts'

function nextTurn (): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}

/**
 * A {@link Storage} in memory: the twin of the file storage, with the same order, rules and errors. What was appended
 * is there again when the same instance is opened after it was closed, and gone with the process.
 *
 * Its calls resolve in a later turn of the event loop. They reject with `RAFT_STORAGE_FAILED`, for good, from the first
 * change on that breaks a rule of the log, and with `RAFT_STOPPED` before `open` and after `close`.
 */
export class MemoryStorage implements Storage {
  readonly incarnation: string
  readonly #rules = new LogRules()
  readonly #queue: CheckedQueue
  readonly #entries: Entry[] = []
  #hardState = this.#rules.hardState
  #base: LogBase = wholeLog
  #isOpen = false

  /** Every instance is a log of its own, unless it is given the incarnation of one whose content it is to have. */
  constructor (incarnation = newIncarnation()) {
    this.incarnation = incarnation
    let gathered: LogChange[] = []
    this.#queue = new CheckedQueue(this.#rules, {
      gather: (change) => { gathered.push(change) },
      write: async () => {
        const group = gathered
        gathered = []
        await nextTurn()
        for (const change of group) this.#take(change)
      }
    })
  }

  get lowSpace (): boolean { return false }

  async open (): Promise<RecoveredState> {
    if (this.#isOpen) throw new Error('the storage is already open')
    await this.#queue.idle()
    if (this.#queue.failure !== null) throw this.#queue.failure
    this.#isOpen = true
    return { base: this.#base, hardState: this.#hardState, entries: [...this.#entries] }
  }

  append (batch: StorageBatch): Promise<void> {
    return this.#whenOpen(() => this.#queue.append(batch))
  }

  release (through: Index): Promise<void> {
    return this.#whenOpen(() => this.#queue.release(through))
  }

  reset (base: LogBase, hardState: HardState): Promise<void> {
    return this.#whenOpen(() => this.#queue.reset(base, hardState))
  }

  async close (): Promise<void> {
    this.#isOpen = false
    await this.#queue.idle()
  }

  #whenOpen (change: () => Promise<void>): Promise<void> {
    const refusal = this.#queue.failure ?? (this.#isOpen ? null : new StoppedError('its log is not open'))
    return refusal === null ? change() : Promise.reject(refusal)
  }

  #take (change: LogChange): void {
    switch (change.kind) {
      case 'append': {
        const { hardState, entries: [first, ...rest] } = change.batch
        this.#hardState = hardState ?? this.#hardState
        if (first === undefined) return
        this.#entries.length = first.index - 1 - this.#base.index
        this.#entries.push(first)
        for (const entry of rest) this.#entries.push(entry)
        return
      }
      case 'release':
        this.#entries.splice(0, change.base.index - this.#base.index)
        this.#base = change.base
        return
      case 'reset':
        this.#entries.length = 0
        this.#base = change.base
        this.#hardState = change.hardState
    }
  }
}
