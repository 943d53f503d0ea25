import type { ApplyContext } from '../../raft/index.ts'

/**
 * Which fencing tokens are valid at this point of the log: that of the current leadership, and those of the locks held.
 * A write of a deposed leader can only be applied behind the new leader's first entry, where its token is not valid any
 * more.
 */
export class FenceTable {
  readonly #isLockToken: (token: number) => boolean
  #leadershipToken = 0

  constructor (isLockToken: (token: number) => boolean) {
    this.#isLockToken = isLockToken
  }

  /** Token of the last leadership that started; 0 before the first. */
  get leadershipToken (): number { return this.#leadershipToken }

  /** A leadership started: its first entry is the token, and the last leadership's is void. */
  leadershipStarted (context: ApplyContext): void {
    this.#leadershipToken = context.index
  }

  /** Whether a write under this token may apply; a write without one always may. */
  allows (token: number | undefined): boolean {
    return token === undefined || token === this.#leadershipToken || this.#isLockToken(token)
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return { leadershipToken: this.#leadershipToken } }
}
