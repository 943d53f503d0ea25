import type { LeaderSearch } from './leader-search.ts'
import type { LeaderTracker } from './leader-tracker.ts'
import { refusals } from './refusals.ts'
import type { Refusal } from './refusals.ts'
import type { FailedAttempt, RelayTarget, Route } from './relay.ts'

/** Spreads reads over the nodes that are ready, in turn. */
export class ReadRoutes {
  readonly #tracker: LeaderTracker
  readonly #search: LeaderSearch
  #turn = 0

  constructor (tracker: LeaderTracker, search: LeaderSearch) {
    this.#tracker = tracker
    this.#search = search
  }

  /** A route for one read, once a node is ready; a refusal when none is in time, null when the client is gone. */
  async open (signal: AbortSignal): Promise<Route | Refusal | null> {
    const startedAtMs = this.#search.nowMs()
    const endsAtMs = startedAtMs + this.#search.waitForLeaderMs
    const tried = new Set<string>()
    const first = await this.#take(tried, startedAtMs, endsAtMs, signal)
    if (first === null || 'statusCode' in first) return first
    return {
      first,
      failed: ({ url }) => { this.#tracker.suspect(url) },
      next: async (failed: FailedAttempt) => {
        const leftMs = Math.min(this.#search.waitForLeaderMs, failed.deadline.remainingMs)
        return await this.#take(tried, startedAtMs, this.#search.nowMs() + leftMs, failed.signal)
      },
      leader: this.#tracker.current
    }
  }

  /** The next ready node in turn that this request has not met yet. */
  async #take (tried: Set<string>, startedAtMs: number, endsAtMs: number, signal: AbortSignal): Promise<RelayTarget | Refusal | null> {
    for (;;) {
      const ready = this.#tracker.ready()
      const fresh = ready.filter(url => !tried.has(url))
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
        case 'timeout': break
        case 'aborted': return null
        case 'full': return refusals.busy('too many requests are waiting')
        case 'closed': return refusals.closing()
      }
    }
  }
}
