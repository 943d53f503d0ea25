import { entryBytes } from './entry-size.ts'
import { invariant } from './invariant.ts'
import type { Entry, Index, LogBase, Term } from './types.ts'
import { asIndex } from './types.ts'

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
 * What a snapshot covers may be missing: the log then starts behind its base (paper section 7). Whatever is at or below
 * the base is committed, so that the logs of all leaders to come agree there.
 */
export class RaftLog {
  #base: LogBase
  /** The entry at position 0 follows the base. */
  readonly #entries: Entry[]
  readonly #pendingWrites: PendingWrite[] = []
  #commitIndex: number
  #stableIndex: number
  #firstUnwritten: number

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

  /** The last entry that is forgotten; index 0 for a whole log. */
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
   * the base when that place is forgotten.
   */
  lastIndexWithTermAtMost (index: Index, term: Term): Index {
    let candidate = Math.min(index, this.lastIndex)
    while (candidate > 0 && candidate >= this.#base.index && (this.termAt(asIndex(candidate)) ?? 0) > term) candidate--
    return asIndex(candidate)
  }

  /** Entries from an index on, at least one when there is one, within both limits. */
  slice (from: Index, maxEntries: number, maxBytes: number): readonly Entry[] {
    invariant(from > this.#base.index, 'a slice starts within the log')
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
   * Takes entries over from a leader whose previous entry matches. Entries already held are left alone, so that a
   * delayed shorter append never shortens the log; the first real conflict removes everything from there on (paper
   * figure 2, AppendEntries rules 3 and 4). Entries that the base covers are held in another form. Returns the first
   * index that was replaced, or null.
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
   * How far the log may be forgotten when a snapshot covers it through `covered`, and the last entries before that, at
   * most this many and with this many bytes, stay for peers that are a little behind. Never more than is committed and
   * on this node's disk.
   */
  forgettable (covered: Index, keepEntries: number, keepBytes: number): Index {
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

  /** Forgets everything through this index; a durable snapshot covers it (paper section 7). */
  forget (through: Index): void {
    invariant(
      through <= this.#commitIndex && through <= this.#stableIndex,
      'only what is committed and durable is forgotten'
    )
    const base = this.pointAt(through)
    this.#entries.splice(0, through - this.#base.index)
    this.#base = base
  }

  /**
   * Starts anew behind a snapshot whose last entry this log does not hold: nothing in it is known to agree (paper
   * figure 13, rule 7). The snapshot is durable, and so is all that it covers; writes under way prove nothing more.
   */
  restart (base: LogBase): void {
    invariant(base.index > this.#commitIndex, 'a snapshot takes the place only of what is not committed yet')
    this.#base = base
    this.#entries.length = 0
    this.#commitIndex = base.index
    this.#stableIndex = base.index
    this.#firstUnwritten = base.index + 1
    for (const write of this.#pendingWrites) write.lastIndex = base.index
  }

  #truncateFrom (index: Index): void {
    invariant(index > this.#commitIndex, 'a committed entry is never removed')
    this.#entries.length = index - this.#base.index - 1
    this.#stableIndex = Math.min(this.#stableIndex, index - 1)
    this.#firstUnwritten = Math.min(this.#firstUnwritten, index)
    for (const write of this.#pendingWrites) write.lastIndex = Math.min(write.lastIndex, index - 1)
  }
}
