import { BusyError } from '../../raft/index.ts'
import { Shares } from '../../raft/internal.ts'

/** Calls that wait on one node until something changes in the cluster. */
export const waitLimits = {
  /** Those that wait for a leader, or for the same lock. */
  maxWaitsForOne: 10_000,
  /** All of them: each is told of every change. */
  maxWaits: 20_000
} as const

/** Bounds of {@link Waits}; {@link waitLimits} except in tests. */
type WaitLimits = { readonly [Limit in keyof typeof waitLimits]: number }

/** A bounded number of calls that wait, so that nobody waits in vain at the cost of all others. */
export class Waits {
  readonly #shares: Shares

  constructor ({ maxWaits, maxWaitsForOne }: WaitLimits = waitLimits) {
    this.#shares = new Shares({ total: maxWaits, each: maxWaitsForOne })
  }

  /** Waits if there is room, and rejects with `RAFT_BUSY` otherwise. `what` is waited for. */
  async take<T> (what: string, wait: () => Promise<T>): Promise<T> {
    if (!this.#shares.take(what, 1)) throw new BusyError(`too many calls wait for ${what}, or for the cluster at all`)
    try {
      return await wait()
    } finally {
      this.#shares.give(what, 1)
    }
  }
}
