import type { ApplyContext } from '../../raft/index.ts'
import { SnapshotCorruptError } from '../../raft/index.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIndex, isLogNumber } from './validate.ts'

const part = 'fences'

/**
 * Which fencing tokens are valid at this point of the log: that of the current leadership, and those of the locks held.
 * A write of a deposed leader can only be applied behind the new leader's first entry, where its token is not valid any
 * more.
 */
export class FenceTable implements SnapshotPart {
  readonly #isLockToken: (token: number) => boolean
  #leadershipToken = 0
  #lastIndex = 0

  constructor (isLockToken: (token: number) => boolean) {
    this.#isLockToken = isLockToken
  }

  /** Token of the last leadership that started; 0 before the first. */
  get leadershipToken (): number { return this.#leadershipToken }

  /** Index of the last entry of the log that was applied; 0 before the first. */
  get lastIndex (): number { return this.#lastIndex }

  /**
   * Notes where in the log the state is. Throws where that would go back: then a token would be given a second time,
   * and a node halts rather than do that.
   */
  advance (index: number): void {
    if (index <= this.#lastIndex) {
      throw new Error(`The entry at index ${index} comes after the one at ${this.#lastIndex}: tokens would not rise`)
    }
    this.#lastIndex = index
  }

  /** A leadership started: its first entry is the token, and the last leadership's is void. */
  leadershipStarted (context: ApplyContext): void {
    this.#leadershipToken = context.index
  }

  /** Whether a write under this token may apply; a write without one always may. */
  allows (token: number | undefined): boolean {
    return token === undefined || token === this.#leadershipToken || this.#isLockToken(token)
  }

  capture (): Iterable<Uint8Array> {
    return [recordOf(this.#leadershipToken, this.#lastIndex)]
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    let read: { readonly leadershipToken: number, readonly lastIndex: number } | null = null
    for await (const record of records) {
      const [leadershipToken, lastIndex, ...more] = fieldsOf(textOf(record, part), part)
      const isRecord = isIndex(leadershipToken) && isLogNumber(lastIndex) && more.length === 0
      if (read !== null || !isRecord) throw malformed(part)
      read = { leadershipToken: leadershipToken as number, lastIndex: lastIndex as number }
    }
    if (read === null || read.leadershipToken > read.lastIndex) throw malformed(part)
    const { leadershipToken, lastIndex } = read
    if (lastIndex < this.#lastIndex) {
      throw new SnapshotCorruptError(
        `The snapshot ends at index ${lastIndex}, before what is applied here (${this.#lastIndex}): tokens would ` +
          'not rise.'
      )
    }
    return () => {
      this.#leadershipToken = leadershipToken
      this.#lastIndex = lastIndex
    }
  }

  /** All that commands decide, as JSON. */
  toJSON (): unknown { return { leadershipToken: this.#leadershipToken } }
}
