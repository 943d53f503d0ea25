import type { LeaderInfo } from '../../raft/index.ts'
import { StoppedError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { systemClock } from '../../raft/internal.ts'
import type { Deadline } from './deadline.ts'
import type { WaitResult } from './leader-wait.ts'
import { LeaderWaiters } from './leader-wait.ts'
import { refusals } from './refusals.ts'
import type { ForwarderOptions, NoTargetCode, Target } from './types.ts'
import type { AttemptFailure, FailedAttempt, Upstream } from './upstreams.ts'

/** Pause before the same leader is tried again: doubled from attempt to attempt. */
const firstPauseMs = 20
const longestPauseMs = 250

/** The options that concern finding the leader, as opposed to reaching it. */
type LeaderPolicy = Pick<
  ForwarderOptions,
  'leaders' | 'waitForLeaderMs' | 'maxWaiting' | 'clock' | 'timers' | 'onAttemptFailed'
>

const reasons: Record<
  Exclude<WaitResult, 'changed'>,
  { readonly code: NoTargetCode; readonly reason: (waitedMs: number) => string }
> = {
  timeout: { code: 'no-leader', reason: (waitedMs) => `no leader was known within ${waitedMs} ms` },
  full: { code: 'busy', reason: () => 'too many requests are waiting for a leader' },
  aborted: { code: 'aborted', reason: () => 'the wait was aborted' },
  closed: { code: 'closed', reason: () => 'the forwarder is closed' }
}

/** Where the leader is, now or within the time allowed. */
export class LeaderSearch {
  readonly #policy: LeaderPolicy
  readonly #waiters: LeaderWaiters

  constructor (policy: LeaderPolicy) {
    this.#policy = policy
    this.#waiters = new LeaderWaiters(policy.leaders, policy.maxWaiting, policy.timers)
  }

  get waiting (): number {
    return this.#waiters.size
  }

  get waitForLeaderMs (): number {
    return this.#policy.waitForLeaderMs
  }

  nowMs (): number {
    return (this.#policy.clock ?? systemClock).monotonicMs()
  }

  close (): void {
    this.#waiters.close()
  }

  /** As {@link LeaderWaiters.wait}, in the same bounded queue. */
  async waitForChange (timeoutMs: number, signal?: AbortSignal): Promise<WaitResult> {
    return await this.#waiters.wait(timeoutMs, signal)
  }

  /** The leader, or `self` when this node leads and may serve. */
  current (): LeaderInfo | 'self' | null {
    return this.#policy.leaders.current()
  }

  /** The leader, this node included if it can be addressed. */
  knownLeader (): LeaderInfo | null {
    const current = this.current()
    return current === 'self' ? this.#policy.leaders.self?.() ?? null : current
  }

  reportFailure (leader: LeaderInfo, failure: AttemptFailure): void {
    this.#policy.onAttemptFailed?.(leader, failure)
  }

  /** Where a request belongs, by what is known now; null: there is nobody at this moment. */
  targetNow (): Exclude<Target, { kind: 'none' }> | null {
    const current = this.current()
    if (current === null) return null
    return current === 'self' ? { kind: 'local' } : { kind: 'remote', leader: current }
  }

  /** Where a request belongs. Waits for a leader up to `waitForLeaderMs`, woken by its arrival. Never rejects. */
  async target (signal?: AbortSignal): Promise<Target> {
    const { waitForLeaderMs } = this.#policy
    const endsAtMs = this.nowMs() + waitForLeaderMs
    for (;;) {
      const target = this.targetNow()
      if (target !== null) return target
      const leftMs = endsAtMs - this.nowMs()
      const result = leftMs <= 0 ? 'timeout' : await this.#waiters.wait(leftMs, signal)
      if (result === 'changed') continue
      const { code, reason } = reasons[result]
      return { kind: 'none', code, reason: reason(waitForLeaderMs) }
    }
  }

  /** The answer when there is nowhere to send a request. */
  refusalOf ({ code, reason }: Extract<Target, { kind: 'none' }>): Refusal {
    switch (code) {
      case 'no-leader':
        return refusals.noLeader(this.waitForLeaderMs)
      case 'busy':
        return refusals.busy(reason)
      case 'aborted':
        return new StoppedError(reason)
      case 'closed':
        return refusals.closing()
    }
  }
}

/** An attempt to reach a leader that may be repeated. */
interface FailedTry<Leader> {
  readonly leader: Leader | null
  /** How many attempts have failed so far. */
  readonly count: number
  readonly deadline: Deadline
  readonly signal?: AbortSignal
}

/** How the search for another leader ended. */
type NextLeader<Leader> =
  | { readonly kind: 'found', readonly leader: Leader }
  | { readonly kind: 'refused', readonly refusal: Refusal }
  | { readonly kind: 'aborted' }

/** The search of one request for a leader to try again with: `waitForLeaderMs` in all, from its first failure. */
export class LeaderRetries {
  readonly #search: LeaderSearch
  #endsAtMs: number | null = null

  constructor (search: LeaderSearch) {
    this.#search = search
  }

  /** The next leader that has an address, this node included; as `Upstreams.next`. */
  async nextUpstream ({ upstream, count, deadline, signal }: FailedAttempt): Promise<Upstream | Refusal | null> {
    const failed = { leader: upstream.leader, count, deadline, signal }
    const next = await this.#find(() => this.#search.knownLeader(), failed)
    switch (next.kind) {
      case 'found': return { url: next.leader.url, leader: next.leader }
      case 'refused': return next.refusal
      case 'aborted': return null
    }
  }

  /** The next leader, or `self` when this node leads and may serve. */
  async nextOrSelf (failed: FailedTry<LeaderInfo | 'self'>): Promise<NextLeader<LeaderInfo | 'self'>> {
    return await this.#find(() => this.#search.current(), failed)
  }

  /**
   * Another leader as soon as one is known, the same one after a pause: it may be a leader that has not caught up yet,
   * or a connection that succeeds the next time.
   */
  async #find<Leader extends LeaderInfo | 'self'> (
    lookUp: () => Leader | null,
    { leader: tried, count, deadline, signal }: FailedTry<Leader>
  ): Promise<NextLeader<Leader>> {
    const search = this.#search
    this.#endsAtMs ??= search.nowMs() + search.waitForLeaderMs
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(count - 1, 8))
    const pauseEndsAtMs = search.nowMs() + pauseMs
    for (;;) {
      const leader = lookUp()
      const hasPaused = search.nowMs() >= pauseEndsAtMs
      // The first change of leader is followed at once; nodes that keep naming each other are not.
      if (leader !== null && (hasPaused || (count === 1 && !isSame(leader, tried)))) return { kind: 'found', leader }
      const leftMs = Math.min(this.#endsAtMs - search.nowMs(), deadline.remainingMs)
      if (leftMs <= 0) return { kind: 'refused', refusal: refusals.noLeader(deadline.elapsedMs) }
      const untilMs = leader === null ? leftMs : Math.min(leftMs, pauseEndsAtMs - search.nowMs())
      switch (await search.waitForChange(untilMs, signal)) {
        case 'changed':
        case 'timeout':
          break
        case 'aborted':
          return { kind: 'aborted' }
        case 'full':
          return { kind: 'refused', refusal: refusals.busy('too many requests are waiting for a leader') }
        case 'closed':
          return { kind: 'refused', refusal: refusals.closing() }
      }
    }
  }
}

function isSame (one: LeaderInfo | 'self', other: LeaderInfo | 'self' | null): boolean {
  if (one === 'self' || other === 'self' || other === null) return one === other
  return one.id === other.id && one.term === other.term && one.url === other.url
}
