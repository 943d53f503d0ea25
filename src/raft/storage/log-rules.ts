import { emptyHardState } from '../core/types.ts'
import type { Entry, HardState } from '../core/types.ts'
import type { StorageBatch } from './storage.ts'

interface TermRun {
  readonly firstIndex: number
  readonly term: number
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/**
 * What any sequence of hard states and entries must obey, whichever storage holds it. Checked before a batch is
 * written, and again for everything read back: a log that breaks a rule would make this node break its word.
 *
 * - A term never falls, and a vote once cast in a term stays (paper figure 2, section 5.2).
 * - No entry has a term above the hard state's: an entry would survive under a term the node has forgotten.
 * - Indexes have no gaps, and terms never fall along the log (section 5.3).
 * - An entry known to be committed is never replaced (section 5.4).
 */
export class LogRules {
  #hardState: HardState = emptyHardState
  #lastIndex = 0
  #committed = 0
  /** Where each term starts in the log: enough to know every entry's term, and small. */
  readonly #runs: TermRun[] = []

  get hardState (): HardState { return this.#hardState }
  get lastIndex (): number { return this.#lastIndex }

  /** Takes the next hard state. Returns the rule it breaks, or null. */
  takeHardState (next: HardState): string | null {
    const current = this.#hardState
    if (!isCount(next.term) || !isCount(next.commit)) return 'a hard state holds a number that is not a count'
    if (next.term < current.term) return `the term falls from ${current.term} to ${next.term}`
    if (next.term === current.term && current.vote !== null && next.vote !== current.vote) {
      return `the vote of term ${next.term} changes from "${current.vote}" to ${next.vote === null ? 'none' : `"${next.vote}"`}`
    }
    this.#hardState = next
    return null
  }

  /** Takes the next entry, which replaces everything from its index on. Returns the rule it breaks, or null. */
  takeEntry (entry: Entry): string | null {
    const { index, term } = entry
    if (!isCount(index) || !isCount(term) || !isCount(entry.timeMs)) return 'an entry holds a number that is not a count'
    if (index < 1 || term < 1) return `entry ${index} of term ${term} is before the first index or term`
    if (index > this.#lastIndex + 1) return `entry ${index} comes after entry ${this.#lastIndex}`
    if (index <= this.#lastIndex && index <= this.#committed) return `entry ${index} replaces a committed one`
    while ((this.#runs.at(-1)?.firstIndex ?? 0) >= index) this.#runs.pop()
    const before = this.#runs.at(-1)?.term ?? 0
    if (term < before) return `entry ${index} has term ${term} after an entry of term ${before}`
    if (term > this.#hardState.term) return `entry ${index} has term ${term}, above the hard state's term ${this.#hardState.term}`
    if (term > before) this.#runs.push({ firstIndex: index, term })
    this.#lastIndex = index
    return null
  }

  /** What was taken so far counts from now on: entries it calls committed may not be replaced. */
  settle (): void {
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
      if (previous !== null && entry.index !== previous + 1) return `entry ${entry.index} comes after entry ${previous} in one batch`
      const fault = this.takeEntry(entry)
      if (fault !== null) return fault
      previous = entry.index
    }
    this.settle()
    return null
  }
}
