import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { LeaderSearch } from '../forward/leader-search.ts'
import { LeaderRetries } from '../forward/leader-search.ts'
import { refusals } from '../forward/refusals.ts'
import type { AttemptFailure, FailedAttempt, Upstream, Upstreams } from '../forward/upstreams.ts'
import type { Ejection } from './ejection.ts'
import type { LeaderTracker } from './leader-tracker.ts'
import { chooseNode, nearestNodes } from './node-choice.ts'

/** What a {@link ReadBalancer} works with. */
interface ReadBalancerParts {
  readonly tracker: LeaderTracker
  readonly search: LeaderSearch
  readonly ejection: Ejection
  /** Which of the ready nodes reads go to. */
  readonly among: 'any' | 'nearest'
  /** How long a node may be out of reach while it owes an answer; one lost connection alone is no reason. */
  readonly graceMs: number
  /** Told of each attempt that ended in no answer. */
  readonly onFailed: (url: string, failure: AttemptFailure) => void
}

/** Spreads reads over the nodes that are ready, by what each of them has under way. */
export class ReadBalancer {
  readonly tracker: LeaderTracker
  readonly search: LeaderSearch
  readonly ejection: Ejection
  readonly graceMs: number
  readonly onFailed: ReadBalancerParts['onFailed']
  readonly #among: ReadBalancerParts['among']
  /** Reads under way, by node. */
  readonly #load = new Map<string, number>()

  constructor ({ tracker, search, ejection, among, graceMs, onFailed }: ReadBalancerParts) {
    this.tracker = tracker
    this.search = search
    this.ejection = ejection
    this.graceMs = graceMs
    this.onFailed = onFailed
    this.#among = among
  }

  /** Waits for a node to send one read to; a refusal when none is ready in time, null when the client is gone. */
  async open (signal: AbortSignal): Promise<ReadUpstreams | Refusal | null> {
    const nodes = new UntriedNodes(this)
    const first = await nodes.take(this.search.waitForLeaderMs, signal)
    return first === null || 'statusCode' in first ? first : new ReadUpstreams(this, nodes, first)
  }

  /** One of these nodes, by the policy. */
  choose (urls: readonly string[]): string | undefined {
    const admitted = this.ejection.admitted(urls)
    const candidates = this.#among === 'any'
      ? admitted
      : nearestNodes(admitted, (url) => this.tracker.latencyMsOf(url))
    return chooseNode(candidates, (url) => this.#load.get(url) ?? 0, Math.random)
  }

  /** A read goes to a node; returns what to call at its end. */
  began (url: string): (isAnswered: boolean) => void {
    this.#load.set(url, (this.#load.get(url) ?? 0) + 1)
    return (isAnswered) => {
      const load = (this.#load.get(url) ?? 1) - 1
      if (load === 0) this.#load.delete(url)
      else this.#load.set(url, load)
      if (isAnswered) this.ejection.answered(url)
    }
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

  /** The next node, once there is one. */
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
    const { search, tracker, ejection, onFailed } = this.#balancer
    if (leader !== null) {
      search.reportFailure(leader, failure)
      return
    }
    onFailed(url, failure)
    if (failure === 'not-executed') return
    ejection.failed(url)
    tracker.suspect(url)
  }

  async next (failed: FailedAttempt): Promise<Upstream | Refusal | null> {
    const { search } = this.#balancer
    if (failed.failure === 'not-executed') this.#leaderRetries ??= new LeaderRetries(search)
    // Once the leader's, it stays so: the other nodes would only send it back.
    if (this.#leaderRetries !== null) return await this.#leaderRetries.nextUpstream(failed)
    return await this.#nodes.take(Math.min(search.waitForLeaderMs, failed.deadline.remainingMs), failed.signal)
  }

  watch ({ url }: Upstream, giveUp: () => void): (isAnswered: boolean) => void {
    const { tracker, graceMs } = this.#balancer
    const ended = this.#balancer.began(url)
    let timer: NodeJS.Timeout | null = null
    const look = (): void => {
      if (tracker.isReachable(url)) {
        if (timer !== null) clearTimeout(timer)
        timer = null
      } else {
        timer ??= setTimeout(giveUp, graceMs)
      }
    }
    const unsubscribe = tracker.subscribe(look)
    return (isAnswered) => {
      ended(isAnswered)
      unsubscribe()
      if (timer !== null) clearTimeout(timer)
    }
  }

  knownLeader (): LeaderInfo | null {
    return this.#balancer.tracker.current()
  }
}
