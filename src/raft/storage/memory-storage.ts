import type { Entry, HardState, Index } from '../core/index.ts'
import { emptyHardState, wholeLog } from '../core/index.ts'
import { StoppedError } from '../errors.ts'
import type { LogPoint, RecoveredState, Storage, StorageBatch } from './storage.ts'
import { newIncarnation } from './storage.ts'
import type { GroupTarget } from './wal/log-queue.ts'
import { LogQueue } from './wal/log-queue.ts'
import type { LogChange } from './wal/log-rules.ts'
import { LogRules } from './wal/log-rules.ts'

/**
 * A {@link Storage} in memory: the twin of the file storage, with the same order, rules and errors. What was appended
 * is there again when the same instance is opened after it was closed, and gone with the process.
 *
 * Its calls resolve in a later turn of the event loop. They reject with `RAFT_STORAGE_FAILED`, for good, from the first
 * change on that breaks a rule of the log, and with `RAFT_STOPPED` before `open` and after `close`.
 */
export class MemoryStorage implements Storage {
  readonly incarnation: string
  readonly #log = new MemoryLog()
  readonly #queue = new LogQueue(new LogRules(), this.#log)
  #isOpen = false

  /** Every instance is a log of its own, unless it is given the incarnation of the log whose content it receives. */
  constructor (incarnation = newIncarnation()) {
    this.incarnation = incarnation
  }

  get lowSpace (): boolean { return false }
  get criticalSpace (): boolean { return false }

  async open (): Promise<RecoveredState> {
    if (this.#isOpen) throw new Error('the storage is already open')
    await this.#queue.idle()
    if (this.#queue.failure !== null) throw this.#queue.failure
    this.#isOpen = true
    return this.#log.state
  }

  append (batch: StorageBatch): Promise<void> {
    return this.#refusal ?? this.#queue.append(batch)
  }

  compact (through: Index): Promise<void> {
    return this.#refusal ?? this.#queue.compact(through)
  }

  reset (base: LogPoint, hardState: HardState): Promise<void> {
    return this.#refusal ?? this.#queue.reset(base, hardState)
  }

  async close (): Promise<void> {
    this.#isOpen = false
    await this.#queue.idle()
  }

  get #refusal (): Promise<never> | null {
    const reason = this.#queue.failure ?? (this.#isOpen ? null : new StoppedError('its log is not open'))
    return reason === null ? null : Promise.reject(reason)
  }
}

/** The content of a log in memory. */
class MemoryLog implements GroupTarget {
  readonly #entries: Entry[] = []
  #hardState = emptyHardState
  #base: LogPoint = wholeLog
  #gathered: LogChange[] = []

  get state (): RecoveredState {
    return { base: this.#base, hardState: this.#hardState, entries: [...this.#entries] }
  }

  gather (change: LogChange): void {
    this.#gathered.push(change)
  }

  async write (): Promise<void> {
    const group = this.#gathered
    this.#gathered = []
    await nextTurn()
    for (const change of group) this.#apply(change)
  }

  #apply (change: LogChange): void {
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
      case 'compact':
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

function nextTurn (): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve) })
}
