import type { Entry, HardState, Index } from '../../core/index.ts'
import { asIndex, asTerm, emptyHardState, wholeLog } from '../../core/index.ts'
import { isCount, isPoint } from '../disk/encoding.ts'
import type { LogPoint, StorageBatch } from '../storage.ts'
import { LogTimes } from './log-times.ts'

/** One change of a log. */
export type LogChange =
  | { readonly kind: 'append', readonly batch: StorageBatch }
  /** The entries through `base` are dropped. */
  | { readonly kind: 'compact', readonly base: LogPoint }
  /** The log starts anew. Always a group of its own. */
  | { readonly kind: 'reset', readonly base: LogPoint, readonly hardState: HardState }

/** What a log holds at one moment, apart from its entries. */
export interface LogPosition {
  readonly hardState: HardState
  /** The last entry that was compacted: the log starts behind it. */
  readonly base: LogPoint
  /** The last entry. */
  readonly last: LogPoint
}

interface TermRun {
  readonly firstIndex: number
  readonly term: number
}

/**
 * The rules that any sequence of changes must obey, in every storage. Checked before a batch is written, and again for
 * everything read back: a log that breaks a rule would make this node break its word.
 *
 * - A term never falls, and a vote once cast in a term stays (paper figure 2, section 5.2).
 * - No entry has a term above the hard state's: an entry would survive under a term the node has forgotten.
 * - Indexes have no gaps, and terms never fall along the log (section 5.3).
 * - An entry known to be committed is never replaced (section 5.4), and a compacted one never comes back.
 */
export class LogRules {
  #hardState: HardState
  #base: LogPoint
  #lastIndex: number
  #committed: number
  /** Entries behind this index are known; those between the base and it were in segments that are gone. */
  #knownFrom: number
  /** The entry at `#knownFrom`. */
  #lastBefore: LogPoint
  /** Where each term starts in the log: enough to know every entry's term, and small. */
  #runs: TermRun[]
  /** Log times of the entries behind `#knownFrom`. */
  #times = new LogTimes()

  constructor (start: LogPosition = { hardState: emptyHardState, base: wholeLog, last: wholeLog }) {
    this.#hardState = start.hardState
    this.#base = start.base
    this.#lastIndex = start.last.index
    this.#knownFrom = start.last.index
    this.#committed = start.base.index
    this.#runs = [{ firstIndex: start.last.index, term: start.last.term }]
    this.#lastBefore = start.last
  }

  get hardState (): HardState { return this.#hardState }
  get base (): LogPoint { return this.#base }
  get lastIndex (): number { return this.#lastIndex }
  /** The last entry that is known to be committed and is in the log. */
  get committedIndex (): number { return Math.min(this.#committed, this.#lastIndex) }
  /** The last index before the entries taken so far; above the base's when entries in between are missing. */
  get knownFrom (): number { return this.#knownFrom }
  get position (): LogPosition {
    return { hardState: this.#hardState, base: this.#base, last: this.#pointAt(this.#lastIndex) }
  }

  /** Takes the next change. Returns the rule it breaks, or null. */
  take (change: LogChange): string | null {
    switch (change.kind) {
      case 'append': return this.takeBatch(change.batch)
      case 'compact': return this.takeCompaction(change.base)
      case 'reset': return this.takeReset(change.base, change.hardState)
    }
  }

  /** Takes the next hard state. Returns the rule it breaks, or null. */
  takeHardState (next: HardState): string | null {
    const current = this.#hardState
    if (!isCount(next.term) || !isCount(next.commit)) return 'a hard state holds a number that is not a count'
    if (next.term < current.term) return `the term falls from ${current.term} to ${next.term}`
    if (next.term === current.term && current.vote !== null && next.vote !== current.vote) {
      return `the vote of term ${next.term} changes from "${current.vote}" to ` +
        `${next.vote === null ? 'none' : `"${next.vote}"`}`
    }
    this.#hardState = next
    return null
  }

  /** Takes the next entry, which replaces everything from its index on. Returns the rule it breaks, or null. */
  takeEntry (entry: Entry): string | null {
    const { index, term } = entry
    if (!isPoint(entry)) return 'an entry holds a number that is not a count'
    if (index < 1 || term < 1) return `entry ${index} of term ${term} is before the first index or term`
    if (index > this.#lastIndex + 1) return `entry ${index} comes after entry ${this.#lastIndex}`
    if (index <= this.#base.index) return `entry ${index} was compacted with all through ${this.#base.index}`
    if (index <= this.#lastIndex && index <= this.#committed) return `entry ${index} replaces a committed one`
    if (index <= this.#lastIndex) this.#truncateFrom(index)
    const before = this.#runs.at(-1)?.term ?? 0
    if (term < before) return `entry ${index} has term ${term} after an entry of term ${before}`
    if (term > this.#hardState.term) {
      return `entry ${index} has term ${term}, above the hard state's term ${this.#hardState.term}`
    }
    if (term > before) this.#runs.push({ firstIndex: index, term })
    this.#times.push(entry.timeMs)
    this.#lastIndex = index
    return null
  }

  /**
   * The entry that the log starts behind after a compaction through this index. A string names the rule that this would
   * break; null means that the entries were dropped before.
   */
  compactionPoint (through: Index): LogPoint | string | null {
    if (!isCount(through)) return 'a compaction names something that is not an index'
    if (through > this.#lastIndex) return `a compaction through ${through} goes beyond entry ${this.#lastIndex}`
    return through <= this.#base.index ? null : this.#pointAt(through)
  }

  /** Takes the compaction of all entries through `base`. Returns the rule it breaks, or null. */
  takeCompaction (base: LogPoint): string | null {
    if (!isPoint(base)) return 'a compaction holds a number that is not a count'
    if (base.index <= this.#base.index) {
      return `a compaction through ${base.index} comes after one through ${this.#base.index}`
    }
    if (base.index > this.#lastIndex) return `a compaction through ${base.index} goes beyond entry ${this.#lastIndex}`
    if (base.index > this.#knownFrom) {
      const { term, timeMs } = this.#pointAt(base.index)
      if (term !== base.term || timeMs !== base.timeMs) return `a compaction through ${base.index} names another entry`
      this.#times.drop(base.index - this.#knownFrom)
      this.#knownFrom = base.index
      this.#lastBefore = base
    }
    this.#base = base
    this.#committed = Math.max(this.#committed, base.index)
    const firstUseful = this.#runs.findLastIndex(({ firstIndex }) => firstIndex <= base.index)
    if (firstUseful > 0) this.#runs.splice(0, firstUseful)
    return null
  }

  /** Takes a new start of the log behind `base`. Returns the rule it breaks, or null. */
  takeReset (base: LogPoint, hardState: HardState): string | null {
    if (!isPoint(base)) return 'a base holds a number that is not a count'
    const committed = Math.min(this.#committed, this.#lastIndex)
    if (base.index < committed) return `a start behind ${base.index} drops entries committed through ${committed}`
    if (base.term > hardState.term) return `a base has term ${base.term}, above the hard state's term ${hardState.term}`
    const fault = this.takeHardState(hardState)
    if (fault !== null) return fault
    this.#base = base
    this.#lastIndex = base.index
    this.#knownFrom = base.index
    this.#lastBefore = base
    this.#runs = [{ firstIndex: base.index, term: base.term }]
    this.#times = new LogTimes()
    this.#committed = base.index
    return null
  }

  /** Ends a batch: entries that its hard state calls committed may not be replaced from now on. */
  endBatch (): void {
    this.#committed = Math.max(this.#committed, this.#hardState.commit)
  }

  /** Takes a whole batch. Returns the rule it breaks, or null. */
  takeBatch (batch: StorageBatch): string | null {
    if (batch.hardState !== null) {
      const fault = this.takeHardState(batch.hardState)
      if (fault !== null) return fault
    }
    let previous: number | null = null
    for (const entry of batch.entries) {
      if (previous !== null && entry.index !== previous + 1) {
        return `entry ${entry.index} comes after entry ${previous} in one batch`
      }
      const fault = this.takeEntry(entry)
      if (fault !== null) return fault
      previous = entry.index
    }
    this.endBatch()
    return null
  }

  /** Makes room for an entry that replaces others. */
  #truncateFrom (index: number): void {
    while ((this.#runs.at(-1)?.firstIndex ?? 0) >= index) this.#runs.pop()
    if (index <= this.#knownFrom) {
      this.#knownFrom = index - 1
      // Its term and time are unknown and never asked for: missing entries have to be compacted.
      this.#lastBefore = { ...wholeLog, index: asIndex(index - 1) }
      this.#times = new LogTimes()
    }
    this.#times.truncate(index - 1 - this.#knownFrom)
  }

  #pointAt (index: number): LogPoint {
    if (index === this.#knownFrom) return this.#lastBefore
    const run = this.#runs.findLast(({ firstIndex }) => firstIndex <= index)
    return { index: asIndex(index), term: asTerm(run?.term ?? 0), timeMs: this.#times.at(index - this.#knownFrom - 1) }
  }
}
