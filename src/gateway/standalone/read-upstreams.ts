import type { Refusal } from '../../raft/internal.ts'
import type { LeaderSearch } from '../forward/leader-search.ts'
import { refusals } from '../forward/refusals.ts'
import type { FailedAttempt, RelayTarget, Route } from '../forward/relay.ts'
import type { LeaderTracker } from './leader-tracker.ts'

/**
 * Spreads reads over the nodes that are ready, in turn. A node that stops to answer probes is given up while it owes
 * the answer to a read, and another one is asked; a read whose route turns out to be for the leader alone goes there.
 */
export class ReadRoutes {
  readonly #tracker: LeaderTracker
  readonly #search: LeaderSearch
  readonly #graceMs: number
  #turn = 0

  /** `graceMs`: how long a node may be out of reach while it owes an answer; one lost connection alone is no reason. */
  constructor (tracker: LeaderTracker, search: LeaderSearch, graceMs: number) {
    this.#tracker = tracker
    this.#search = search
    this.#graceMs = graceMs
  }

  /** A route for one read, once a node is ready; a refusal when none is in time, null when the client is gone. */
  async open (signal: AbortSignal): Promise<Route | Refusal | null> {
    const startedAtMs = this.#search.nowMs()
    const endsAtMs = startedAtMs + this.#search.waitForLeaderMs
    const tried = new Set<string>()
    const first = await this.#take(tried, startedAtMs, endsAtMs, signal)
    if (first === null || 'statusCode' in first) return first
    let leaderSearchEndsAtMs: number | null = null
    return {
      first,
      failed: (target, failure) => {
        if (target.leader !== null) this.#search.reportFailure(target, failure)
        else if (failure !== 'not-executed') this.#tracker.suspect(target.url)
      },
      next: async (failed: FailedAttempt) => {
        if (failed.failure === 'not-executed') {
          leaderSearchEndsAtMs ??= this.#search.nowMs() + this.#search.waitForLeaderMs
        }
        // Once the leader's, it stays so: the other nodes would only send it back.
        if (leaderSearchEndsAtMs !== null) return await this.#search.next(failed, leaderSearchEndsAtMs)
        const leftMs = Math.min(this.#search.waitForLeaderMs, failed.deadline.remainingMs)
        return await this.#take(tried, startedAtMs, this.#search.nowMs() + leftMs, failed.signal)
      },
      watch: ({ url }, giveUp) => this.#watch(url, giveUp),
      leader: this.#tracker.current
    }
  }

  #watch (url: string, giveUp: () => void): () => void {
    let timer: NodeJS.Timeout | null = null
    const look = (): void => {
      if (this.#tracker.nodes().some((node) => node.url === url && node.reachable)) {
        if (timer !== null) clearTimeout(timer)
        timer = null
      } else {
        timer ??= setTimeout(giveUp, this.#graceMs)
      }
    }
    const unsubscribe = this.#tracker.subscribe(look)
    return () => {
      unsubscribe()
      if (timer !== null) clearTimeout(timer)
    }
  }

  /** The next ready node in turn that this request has not met yet. */
  async #take (
    tried: Set<string>,
    startedAtMs: number,
    endsAtMs: number,
    signal: AbortSignal
  ): Promise<RelayTarget | Refusal | null> {
    for (;;) {
      const ready = this.#tracker.ready()
      const fresh = ready.filter((url) => !tried.has(url))
      const url = fresh[this.#turn % fresh.length]
      if (url !== undefined) {
        this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER
        tried.add(url)
        return { url, leader: null }
      }
      const leftMs = endsAtMs - this.#search.nowMs()
      if (leftMs <= 0) return refusals.noNode(this.#search.nowMs() - startedAtMs)
      switch (await this.#search.waitForChange(leftMs, signal)) {
        case 'changed':
          // A node that comes back after it failed has answered a probe since.
          tried.clear()
          break
        case 'timeout':
          break
        case 'aborted':
          return null
        case 'full':
          return refusals.busy('too many requests are waiting')
        case 'closed':
          return refusals.closing()
      }
    }
  }
}
