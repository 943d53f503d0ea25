import type { Leadership, LeadershipEnd } from '../engine.ts'
import type { LeadershipLease } from './lease.ts'

/** What became of this node's leadership; see {@link LeadershipWatch}. */
export type LeadershipNews =
  | { readonly kind: 'started', readonly leadership: Leadership }
  | { readonly kind: 'suspended', readonly leadership: Leadership }
  | { readonly kind: 'resumed', readonly leadership: Leadership }
  | { readonly kind: 'ended', readonly leadership: Leadership, readonly reason: LeadershipEnd }

/** Every step of the node looks, and almost always there is nothing new. */
const noNews: readonly LeadershipNews[] = []

/** Lengths of a {@link LeadershipWatch}, in milliseconds. */
interface LeadershipWatchOptions {
  readonly lease: LeadershipLease
  readonly monotonicMs: () => number
  /** A node that did not look for longer than this could not run: a whole round of heartbeats is missing. */
  readonly stallMs: number
  /** How long a quorum has to confirm a leadership from when the node runs again. */
  readonly confirmWithinMs: number
  /** This long after its last confirmed round a leader has surely been replaced, if a majority could do that. */
  readonly replacedAfterMs: number
}

/**
 * Follows a leadership of this node from its start to its end, across lapses of its lease.
 *
 * Once the lease has lapsed another node may lead, so from then on this node does not count as leader. What remains
 * open is what to tell the work that runs under the leadership:
 *
 * - A node that ran and yet heard from no quorum for the length of a lease has lost its quorum: the leadership ends.
 * - A node that could not run, or whose clocks were set, knows nothing yet: answers of the quorum may lie in its
 *   sockets. The leadership is suspended, for as long as it takes to ask.
 *
 * A round that a quorum answers in this term proves that no other node led before the round began: to elect it, one of
 * those that answered would have had to be in a later term by then (paper sections 5.1 and 5.2). So the leadership that
 * is resumed is the one that was suspended, without a gap.
 */
export class LeadershipWatch {
  readonly #options: LeadershipWatchOptions
  #leadership: Leadership | null = null
  #isSuspended = false
  #lookedAtMs: number
  /** When this node could run again after it could not, or noticed that its clocks had been set. */
  #ranAgainAtMs = -Infinity
  #lapseWasTold = false
  #wantsRound = false

  constructor (options: LeadershipWatchOptions) {
    this.#options = options
    this.#lookedAtMs = options.monotonicMs()
  }

  /** The leadership that started and has not ended, suspended or not. */
  get leadership (): Leadership | null { return this.#leadership }

  /** Somebody was told that this node does not lead, because its lease has lapsed: they wait for news. */
  lapseTold (): void {
    if (this.#leadership !== null) this.#lapseWasTold = true
  }

  /** Whether a round of heartbeats should start ahead of its time, because this node could not run. Asks once. */
  takeWantsRound (): boolean {
    const wantsRound = this.#wantsRound
    this.#wantsRound = false
    return wantsRound
  }

  /**
   * Looks at the lease and the clocks. `leading` is the leadership as the core has it, whatever the lease says; `loss`
   * is why it has none.
   */
  look (leading: Leadership | null, loss: LeadershipEnd): readonly LeadershipNews[] {
    const nowMs = this.#options.monotonicMs()
    if (nowMs - this.#lookedAtMs > this.#options.stallMs) this.#askAgain(nowMs)
    this.#lookedAtMs = nowMs
    const current = this.#leadership
    if (current === null || current.token === leading?.token) {
      return leading === null ? noNews : this.#lookAt(leading, nowMs)
    }
    const ended = this.#end(current, loss)
    return leading === null ? [ended] : [ended, ...this.#lookAt(leading, nowMs)]
  }

  #lookAt (leading: Leadership, nowMs: number): readonly LeadershipNews[] {
    const current = this.#leadership
    if (this.#options.lease.remainingMs() <= 0) return current === null ? noNews : this.#lapsed(current, nowMs)
    if (current === null) {
      this.#leadership = leading
      return [{ kind: 'started', leadership: leading }]
    }
    if (!this.#isSuspended && !this.#lapseWasTold) return noNews
    this.#clear()
    return [{ kind: 'resumed', leadership: current }]
  }

  #lapsed (leadership: Leadership, nowMs: number): readonly LeadershipNews[] {
    const { lease, confirmWithinMs, replacedAfterMs } = this.#options
    if (lease.elapsedMs() >= replacedAfterMs) return [this.#end(leadership, 'lease-lost')]
    if (!this.#isSuspended && lease.clocksDisagree()) this.#askAgain(nowMs)
    if (nowMs - this.#ranAgainAtMs >= confirmWithinMs) {
      return [this.#end(leadership, this.#isSuspended ? 'lease-lost' : 'quorum-lost')]
    }
    if (this.#isSuspended) return noNews
    this.#isSuspended = true
    return [{ kind: 'suspended', leadership }]
  }

  /** What a quorum answers to a round from now on counts. */
  #askAgain (nowMs: number): void {
    this.#ranAgainAtMs = nowMs
    this.#wantsRound = true
  }

  #end (leadership: Leadership, reason: LeadershipEnd): LeadershipNews {
    this.#leadership = null
    this.#clear()
    return { kind: 'ended', leadership, reason }
  }

  #clear (): void {
    this.#isSuspended = false
    this.#lapseWasTold = false
  }
}
