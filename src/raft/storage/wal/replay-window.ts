import type { Entry } from '../../core/index.ts'
import type { LogPoint } from '../storage.ts'

/** How to read a log back without holding all of it. */
export interface ReplayOptions {
  /**
   * Receives the entries that are known to be committed, while the log is being read: in index order without gaps, each
   * once; none of them is replaced later. The next ones come when the promise has resolved. If it rejects, so does the
   * reading.
   *
   * The first entries may come before the log is known to be compacted past them: bring a state machine to its snapshot
   * before, and skip the entries that the snapshot covers. There is no gap behind those.
   */
  readonly onCommitted: (entries: readonly Entry[]) => Promise<void> | void
  /**
   * How many of the newest entries handed over are in the recovered state as well, at least; 4096 unless set. The
   * base of that state is then an entry that the log on disk still holds.
   */
  readonly trailingEntries?: number
}

/** Entries that are handed over together, at least. */
const batchEntries = 1024
const defaultTrailingEntries = 4096

/**
 * The entries of a log that is being read. With a replay, those known to be committed are handed over, and all but the
 * newest of them are dropped; without one, all are held.
 */
export class ReplayWindow {
  readonly #replay: ReplayOptions | null
  readonly #trailing: number
  #entries: Entry[] = []
  /** Index of the first entry held. */
  #first = 0
  #handedOver = 0
  #dropped: LogPoint | null = null

  constructor (replay: ReplayOptions | null) {
    this.#replay = replay
    this.#trailing = replay?.trailingEntries ?? defaultTrailingEntries
  }

  get entries (): readonly Entry[] { return this.#entries }

  /** The last entry that was dropped here and that the log still holds, or null. */
  get dropped (): LogPoint | null { return this.#dropped }

  /** Takes the next entry, which replaces everything from its index on. It has passed the rules. */
  take (entry: Entry): void {
    if (this.#entries.length === 0 || entry.index < this.#first) {
      this.#entries.length = 0
      this.#first = entry.index
    }
    this.#entries.length = entry.index - this.#first
    this.#entries.push(entry)
  }

  /** The log was compacted through this index. */
  compact (through: number): void {
    if (this.#dropped !== null && this.#dropped.index <= through) this.#dropped = null
    this.#drop(through)
  }

  /** Whether enough entries are committed to hand them over. */
  isDue (committed: number): boolean {
    return (
      this.#replay !== null &&
      this.#entries.length > 0 &&
      committed - Math.max(this.#handedOver, this.#first - 1) >= batchEntries
    )
  }

  /** Hands over the committed entries that were not handed over yet. */
  async handOver (committed: number): Promise<void> {
    if (this.#replay === null || this.#entries.length === 0) return
    const from = Math.max(this.#handedOver + 1, this.#first)
    if (committed < from) return
    await this.#replay.onCommitted(this.#entries.slice(from - this.#first, committed + 1 - this.#first))
    this.#handedOver = Math.min(committed, this.#first + this.#entries.length - 1)
    const surplus = this.#handedOver - this.#first + 1 - this.#trailing
    // Not with each batch: the entries that stay are moved.
    if (surplus < Math.max(batchEntries, this.#trailing)) return
    const last = this.#entries[surplus - 1]
    if (last === undefined) return
    this.#drop(last.index)
    this.#dropped = { index: last.index, term: last.term, timeMs: last.timeMs }
  }

  #drop (through: number): void {
    if (this.#entries.length === 0 || through < this.#first) return
    this.#entries.splice(0, through - this.#first + 1)
    this.#first = through + 1
  }
}
