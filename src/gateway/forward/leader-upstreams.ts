import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { LeaderSearch } from './leader-search.ts'
import { LeaderRetries } from './leader-search.ts'
import { refusals } from './refusals.ts'
import type { AttemptFailure, FailedAttempt, Upstream, Upstreams } from './upstreams.ts'

/** Sends a request to the leader, and to the next one when that did not execute it. */
export class LeaderUpstreams implements Upstreams {
  readonly first: Upstream
  readonly #search: LeaderSearch
  #retries: LeaderRetries | null = null

  constructor (search: LeaderSearch, leader: LeaderInfo) {
    this.first = { url: leader.url, leader }
    this.#search = search
  }

  /** Waits for a leader to send one request to; a refusal when none is known in time, null when the client is gone. */
  static async open (search: LeaderSearch, signal: AbortSignal): Promise<LeaderUpstreams | Refusal | null> {
    const target = await search.target(signal)
    if (target.kind === 'none') return target.code === 'aborted' ? null : search.refusalOf(target)
    const leader = target.kind === 'remote' ? target.leader : search.knownLeader()
    return leader === null ? refusals.noLeader(0) : new LeaderUpstreams(search, leader)
  }

  reportFailure ({ leader }: Upstream, failure: AttemptFailure): void {
    if (leader !== null) this.#search.reportFailure(leader, failure)
  }

  async next (failed: FailedAttempt): Promise<Upstream | Refusal | null> {
    this.#retries ??= new LeaderRetries(this.#search)
    return await this.#retries.nextUpstream(failed)
  }

  knownLeader (): LeaderInfo | null {
    return this.#search.knownLeader()
  }
}
