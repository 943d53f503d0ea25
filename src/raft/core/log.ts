import { invariant } from './invariant.ts'
import { asIndex, asTerm } from './types.ts'
import type { Entry, Index, Term } from './types.ts'

/** Bytes of the commands in these entries. */
export const byteLength = (entries: readonly Entry[]): number =>
  entries.reduce((total, entry) => total + entry.data.byteLength, 0)

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
 */
export class RaftLog {
  readonly #entries: Entry[]
  readonly #pendingWrites: PendingWrite[] = []
  #commitIndex: number
  #stableIndex: number
  #firstUnwritten: number

  constructor (entries: readonly Entry[], commitIndex: Index) {
    entries.forEach((entry, position) => {
      invariant(entry.index === position + 1, 'the recovered log has no gaps')
    })
    invariant(commitIndex <= entries.length, 'the recovered commit index lies within the recovered log')
    this.#entries = [...entries]
    this.#commitIndex = commitIndex
    this.#stableIndex = entries.length
    this.#firstUnwritten = entries.length + 1
  }

  get lastIndex (): Index { return asIndex(this.#entries.length) }
  get lastTerm (): Term { return this.#entries.at(-1)?.term ?? asTerm(0) }
  get lastTimeMs (): number { return this.#entries.at(-1)?.timeMs ?? 0 }
  get commitIndex (): Index { return asIndex(this.#commitIndex) }
  /** Last index known to be on this node's disk. */
  get stableIndex (): Index { return asIndex(this.#stableIndex) }

  /** The term of the entry at an index, 0 for index 0, undefined beyond the end. */
  termAt (index: Index): Term | undefined {
    return index === 0 ? asTerm(0) : this.#entries[index - 1]?.term
  }

  /** Whether the log holds an entry with this index and term (paper section 5.3, the consistency check). */
  matches (index: Index, term: Term): boolean {
    return this.termAt(index) === term
  }

  /** Whether a log that ends there is at least as up to date as this one (paper section 5.4.1). */
  isUpToDate (lastIndex: Index, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /** The last index at or below `index` whose term is at most `term`: where two logs may still agree. */
  lastIndexWithTermAtMost (index: Index, term: Term): Index {
    let candidate = Math.min(index, this.#entries.length)
    while (candidate > 0 && (this.termAt(asIndex(candidate)) ?? 0) > term) candidate--
    return asIndex(candidate)
  }

  /** Entries from an index on, at least one when there is one, within both limits. */
  slice (from: Index, maxEntries: number, maxBytes: number): readonly Entry[] {
    invariant(from >= 1, 'a slice starts within the log')
    const selected: Entry[] = []
    let bytes = 0
    for (let position = from - 1; position < this.#entries.length && selected.length < maxEntries; position++) {
      const entry = this.#entries[position]
      if (entry === undefined) break
      bytes += entry.data.byteLength
      if (selected.length > 0 && bytes > maxBytes) break
      selected.push(entry)
    }
    return selected
  }

  /** Entries in (after, through]. */
  range (after: Index, through: Index): readonly Entry[] {
    return this.#entries.slice(after, through)
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
   * figure 2, AppendEntries rules 3 and 4). Returns the first index that was replaced, or null.
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
    const entries = this.#entries.slice(this.#firstUnwritten - 1)
    this.#firstUnwritten = this.#entries.length + 1
    this.#pendingWrites.push({ id, lastIndex: this.#entries.length })
    return entries
  }

  get hasUnwritten (): boolean { return this.#firstUnwritten <= this.#entries.length }

  /** The disk confirmed this write, and with it all earlier ones. */
  completeWrite (id: number): void {
    for (let write = this.#pendingWrites[0]; write !== undefined && write.id <= id; write = this.#pendingWrites[0]) {
      this.#stableIndex = write.lastIndex
      this.#pendingWrites.shift()
    }
  }

  #truncateFrom (index: Index): void {
    invariant(index > this.#commitIndex, 'a committed entry is never removed')
    this.#entries.length = index - 1
    this.#stableIndex = Math.min(this.#stableIndex, index - 1)
    this.#firstUnwritten = Math.min(this.#firstUnwritten, index)
    for (const write of this.#pendingWrites) write.lastIndex = Math.min(write.lastIndex, index - 1)
  }
}
