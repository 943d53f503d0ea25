import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { LeaderSearch } from '../forward/leader-search.ts'
import { LeaderRetries } from '../forward/leader-search.ts'
import { refusals } from '../forward/refusals.ts'
import type { AttemptFailure, FailedAttempt, Upstream, Upstreams } from '../forward/upstreams.ts'
import type { LeaderTracker } from './leader-tracker.ts'

/** Spreads reads over the nodes that are ready, in turn. */
export class ReadBalancer {
  readonly tracker: LeaderTracker
  readonly search: LeaderSearch
  /** How long a node may be out of reach while it owes an answer; one lost connection alone is no reason. */
  readonly graceMs: number
  #turn = 0

  constructor (tracker: LeaderTracker, search: LeaderSearch, graceMs: number) {
    this.tracker = tracker
    this.search = search
    this.graceMs = graceMs
  }

  /** Waits for a node to send one read to; a refusal when none is ready in time, null when the client is gone. */
  async open (signal: AbortSignal): Promise<ReadUpstreams | Refusal | null> {
    const nodes = new UntriedNodes(this)
    const first = await nodes.take(this.search.waitForLeaderMs, signal)
    return first === null || 'statusCode' in first ? first : new ReadUpstreams(this, nodes, first)
  }

  /** One of these nodes, another one each time. */
  choose (urls: readonly string[]): string | undefined {
    const url = urls[this.#turn % urls.length]
    if (url !== undefined) this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER
    return url
  }
}

/** The ready nodes that one read has not been sent to. */
class UntriedNodes {
  readonly #balancer: ReadBalancer
  readonly #tried = new Set<string>()
  readonly #startedAtMs: number

  constructor (balancer: ReadBalancer) {
    this.#balancer = balancer
    this.#startedAtMs = balancer.search.nowMs()
  }

  /** The next node in turn, once there is one. */
  async take (timeoutMs: number, signal: AbortSignal): Promise<Upstream | Refusal | null> {
    const { tracker, search } = this.#balancer
    const endsAtMs = search.nowMs() + timeoutMs
    for (;;) {
      const url = this.#balancer.choose(tracker.ready().filter((ready) => !this.#tried.has(ready)))
      if (url !== undefined) {
        this.#tried.add(url)
        return { url, leader: null }
      }
      const leftMs = endsAtMs - search.nowMs()
      if (leftMs <= 0) return refusals.noNode(search.nowMs() - this.#startedAtMs)
      switch (await search.waitForChange(leftMs, signal)) {
        case 'changed':
          // A node that comes back after it failed has answered a probe since.
          this.#tried.clear()
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

/**
 * Sends one read to a ready node. A node that stops to answer probes is given up while it owes the answer, and another
 * one is asked; a read whose route turns out to be for the leader alone goes there.
 */
class ReadUpstreams implements Upstreams {
  readonly first: Upstream
  readonly #balancer: ReadBalancer
  readonly #nodes: UntriedNodes
  /** Set once a node has said that the read is for the leader. */
  #leaderRetries: LeaderRetries | null = null

  constructor (balancer: ReadBalancer, nodes: UntriedNodes, first: Upstream) {
    this.first = first
    this.#balancer = balancer
    this.#nodes = nodes
  }

  reportFailure ({ url, leader }: Upstream, failure: AttemptFailure): void {
    const { search, tracker } = this.#balancer
    if (leader !== null) search.reportFailure(leader, failure)
    else if (failure !== 'not-executed') tracker.suspect(url)
  }

  async next (failed: FailedAttempt): Promise<Upstream | Refusal | null> {
    const { search } = this.#balancer
    if (failed.failure === 'not-executed') this.#leaderRetries ??= new LeaderRetries(search)
    // Once the leader's, it stays so: the other nodes would only send it back.
    if (this.#leaderRetries !== null) return await this.#leaderRetries.nextUpstream(failed)
    return await this.#nodes.take(Math.min(search.waitForLeaderMs, failed.deadline.remainingMs), failed.signal)
  }

  watch ({ url }: Upstream, giveUp: () => void): () => void {
    const { tracker, graceMs } = this.#balancer
    let timer: NodeJS.Timeout | null = null
    const look = (): void => {
      if (tracker.nodes().some((node) => node.url === url && node.reachable)) {
        if (timer !== null) clearTimeout(timer)
        timer = null
      } else {
        timer ??= setTimeout(giveUp, graceMs)
      }
    }
    const unsubscribe = tracker.subscribe(look)
    return () => {
      unsubscribe()
      if (timer !== null) clearTimeout(timer)
    }
  }

  knownLeader (): LeaderInfo | null {
    return this.#balancer.tracker.current()
  }
}
