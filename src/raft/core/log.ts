import { entryBytes } from './entry-size.ts'
import { invariant } from './invariant.ts'
import type { Entry, Index, LogBase, Term } from './types.ts'
import { asIndex } from './types.ts'

/** Entries from an index on, and what they were chosen by. */
interface Slice {
  readonly from: Index
  /** Last index of the log then: it has grown since if it is another one, and a truncation forgets the slice. */
  readonly lastIndex: Index
  readonly maxEntries: number
  readonly maxBytes: number
  readonly entries: readonly Entry[]
}

interface PendingWrite {
  readonly id: number
  /** Last index that this write makes durable; lowered when a later truncation takes its entries away. */
  lastIndex: number
}

/**
 * The log as the protocol sees it, and how much of it the disk has confirmed.
 *
 * Entries become durable through numbered writes that complete in order. A truncation lowers what earlier writes can
 * still prove, so that the completion of an overwritten write never counts for the entries that replaced its own.
 *
 * Entries that a snapshot covers may be compacted: the log then starts behind its base, the last compacted entry (paper
 * section 7). All entries up to the base are committed, so the logs of all later leaders agree there.
 */
export class RaftLog {
  #base: LogBase
  /** The entry at position 0 follows the base. */
  readonly #entries: Entry[]
  readonly #pendingWrites: PendingWrite[] = []
  #commitIndex: number
  #stableIndex: number
  #firstUnwritten: number
  /** The last slice, while it is the same for everybody who asks: all followers that keep up are sent the same one. */
  #lastSlice: Slice | null = null

  constructor (base: LogBase, entries: readonly Entry[], commitIndex: Index) {
    entries.forEach((entry, position) => {
      invariant(entry.index === base.index + position + 1, 'the recovered log has no gaps')
    })
    invariant(entries[0] === undefined || entries[0].term >= base.term, 'terms never fall from the base on')
    this.#base = base
    this.#entries = [...entries]
    invariant(commitIndex <= this.lastIndex, 'the recovered commit index lies within the recovered log')
    this.#commitIndex = Math.max(commitIndex, base.index)
    this.#stableIndex = this.lastIndex
    this.#firstUnwritten = this.lastIndex + 1
  }

  /** The last compacted entry; index 0 for a whole log. */
  get base (): LogBase { return this.#base }
  get lastIndex (): Index { return asIndex(this.#base.index + this.#entries.length) }
  get lastTerm (): Term { return this.#entries.at(-1)?.term ?? this.#base.term }
  get lastTimeMs (): number { return this.#entries.at(-1)?.timeMs ?? this.#base.timeMs }
  get commitIndex (): Index { return asIndex(this.#commitIndex) }
  /** Last index known to be on this node's disk. */
  get stableIndex (): Index { return asIndex(this.#stableIndex) }

  /** The term of the entry at an index: the base's for its own, undefined before it and beyond the end. */
  termAt (index: Index): Term | undefined {
    return index === this.#base.index ? this.#base.term : this.#entries[index - this.#base.index - 1]?.term
  }

  /** Index, term and log time of an entry that is held, or of the base. */
  pointAt (index: Index): LogBase {
    if (index === this.#base.index) return this.#base
    const entry = this.#entries[index - this.#base.index - 1]
    invariant(entry !== undefined, 'a point of the log is held')
    return { index: entry.index, term: entry.term, timeMs: entry.timeMs }
  }

  /**
   * Whether the log agrees with one that has an entry with this index and term (paper section 5.3, the consistency
   * check). Below the base it agrees with every leader's.
   */
  matches (index: Index, term: Term): boolean {
    return index < this.#base.index || this.termAt(index) === term
  }

  /** Whether a log that ends there is at least as up to date as this one (paper section 5.4.1). */
  isUpToDate (lastIndex: Index, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /**
   * The last index at or below `index` whose term is at most `term`: where two logs may still agree. An index before
   * the base when that entry is compacted.
   */
  lastIndexWithTermAtMost (index: Index, term: Term): Index {
    let candidate = Math.min(index, this.lastIndex)
    while (candidate > 0 && candidate >= this.#base.index && (this.termAt(asIndex(candidate)) ?? 0) > term) candidate--
    return asIndex(candidate)
  }

  /** Entries from an index on, at least one when there is one, within both limits. */
  slice (from: Index, maxEntries: number, maxBytes: number): readonly Entry[] {
    invariant(from > this.#base.index, 'a slice starts within the log')
    const { lastIndex } = this
    const last = this.#lastSlice
    const isSame = last?.from === from && last.lastIndex === lastIndex &&
      last.maxEntries === maxEntries && last.maxBytes === maxBytes
    if (isSame) return last.entries
    const entries = this.#select(from, maxEntries, maxBytes)
    this.#lastSlice = { from, lastIndex, maxEntries, maxBytes, entries }
    return entries
  }

  #select (from: Index, maxEntries: number, maxBytes: number): readonly Entry[] {
    const selected: Entry[] = []
    let bytes = 0
    for (
      let position = from - this.#base.index - 1;
      position < this.#entries.length && selected.length < maxEntries;
      position++
    ) {
      const entry = this.#entries[position]
      if (entry === undefined) break
      bytes += entryBytes(entry)
      if (selected.length > 0 && bytes > maxBytes) break
      selected.push(entry)
    }
    return selected
  }

  /** Entries in (after, through]. */
  range (after: Index, through: Index): readonly Entry[] {
    invariant(after >= this.#base.index, 'a range starts within the log')
    return this.#entries.slice(after - this.#base.index, Math.max(0, through - this.#base.index))
  }

  /** Adds a leader's own entry at the end. */
  append (entry: Entry): void {
    invariant(entry.index === this.lastIndex + 1, 'an appended entry follows the last one')
    invariant(entry.term >= this.lastTerm, 'terms never fall along the log')
    this.#entries.push(entry)
  }

  /**
   * Adds entries of a leader whose previous entry matches. Entries that this log already has stay, so that a delayed
   * shorter append never shortens the log; the first real conflict removes all entries from there on (paper figure 2,
   * AppendEntries rules 3 and 4). Entries up to the base are skipped: a snapshot covers them. Returns the first index
   * that was replaced, or null.
   */
  merge (entries: readonly Entry[]): Index | null {
    const conflict = this.findConflict(entries)
    if (conflict !== null) this.#truncateFrom(conflict)
    for (const entry of entries) {
      if (entry.index > this.lastIndex) this.append(entry)
    }
    return conflict
  }

  /** The first index at which these entries contradict the log, or null. */
  findConflict (entries: readonly Entry[]): Index | null {
    for (const entry of entries) {
      if (entry.index < this.#base.index) continue
      const held = this.termAt(entry.index)
      if (held === undefined) return null
      if (held !== entry.term) return entry.index
    }
    return null
  }

  commitTo (index: Index): void {
    invariant(index <= this.lastIndex, 'the commit index lies within the log')
    if (index > this.#commitIndex) this.#commitIndex = index
  }

  /** Hands out the entries that no write carries yet, as part of the write with this id. */
  startWrite (id: number): readonly Entry[] {
    const entries = this.#entries.slice(this.#firstUnwritten - this.#base.index - 1)
    this.#firstUnwritten = this.lastIndex + 1
    this.#pendingWrites.push({ id, lastIndex: this.lastIndex })
    return entries
  }

  get hasUnwritten (): boolean { return this.#firstUnwritten <= this.lastIndex }

  /** The disk confirmed this write, and with it all earlier ones. */
  completeWrite (id: number): void {
    for (let write = this.#pendingWrites[0]; write !== undefined && write.id <= id; write = this.#pendingWrites[0]) {
      this.#stableIndex = write.lastIndex
      this.#pendingWrites.shift()
    }
  }

  /**
   * The index through which the log may be compacted when a snapshot covers it through `covered`. The last entries
   * before that stay for peers that are a little behind: at most `keepEntries`, with at most `keepBytes`. Only entries
   * that are committed and on this node's disk are compacted.
   */
  compactableThrough (covered: Index, keepEntries: number, keepBytes: number): Index {
    const last = Math.min(covered, this.#commitIndex, this.#stableIndex)
    let through = last
    let bytes = 0
    for (; through > this.#base.index && last - through < keepEntries; through--) {
      const entry = this.#entries[through - this.#base.index - 1]
      if (entry !== undefined) bytes += entryBytes(entry)
      if (bytes > keepBytes) break
    }
    return asIndex(Math.max(through, this.#base.index))
  }

  /** Drops all entries through this index; a durable snapshot covers them (paper section 7). */
  compact (through: Index): void {
    invariant(
      through <= this.#commitIndex && through <= this.#stableIndex,
      'only committed and durable entries are compacted'
    )
    const base = this.pointAt(through)
    this.#entries.splice(0, through - this.#base.index)
    this.#base = base
  }

  /**
   * Starts anew behind a snapshot whose last entry this log does not hold: no entry of the log is known to agree (paper
   * figure 13, rule 7). The snapshot is durable, and with it all entries that it covers; writes under way prove nothing
   * more.
   */
  restart (base: LogBase): void {
    invariant(base.index > this.#commitIndex, 'a snapshot replaces only entries that are not committed yet')
    this.#base = base
    this.#lastSlice = null
    this.#entries.length = 0
    this.#commitIndex = base.index
    this.#stableIndex = base.index
    this.#firstUnwritten = base.index + 1
    for (const write of this.#pendingWrites) write.lastIndex = base.index
  }

  #truncateFrom (index: Index): void {
    invariant(index > this.#commitIndex, 'a committed entry is never removed')
    this.#lastSlice = null
    this.#entries.length = index - this.#base.index - 1
    this.#stableIndex = Math.min(this.#stableIndex, index - 1)
    this.#firstUnwritten = Math.min(this.#firstUnwritten, index)
    for (const write of this.#pendingWrites) write.lastIndex = Math.min(write.lastIndex, index - 1)
  }
}
