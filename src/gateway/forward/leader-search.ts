import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { systemClock } from '../../raft/internal.ts'
import type { WaitResult } from './leader-wait.ts'
import { LeaderWaiters } from './leader-wait.ts'
import { refusals } from './refusals.ts'
import type { FailedAttempt, RelayTarget } from './relay.ts'
import type { ForwarderOptions, NoTargetCode, Target } from './types.ts'

/** Pause before the same leader is tried again: doubled from attempt to attempt. */
const firstPauseMs = 20
const longestPauseMs = 250

/** What of the options concerns finding the leader, as opposed to reaching it. */
export type LeaderPolicy = Pick<
  ForwarderOptions,
  'leaders' | 'waitForLeaderMs' | 'maxWaiting' | 'clock' | 'onAttemptFailed'
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
    this.#waiters = new LeaderWaiters(policy.leaders, policy.maxWaiting)
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
  async waitForChange (timeoutMs: number, signal: AbortSignal): Promise<WaitResult> {
    return await this.#waiters.wait(timeoutMs, signal)
  }

  /** The leader, this node included if it can be addressed. */
  knownLeader (): LeaderInfo | null {
    const current = this.#policy.leaders.current()
    return current === 'self' ? this.#policy.leaders.self?.() ?? null : current
  }

  reportFailure ({ leader }: RelayTarget, failure: FailedAttempt['failure']): void {
    if (leader !== null) this.#policy.onAttemptFailed?.(leader, failure)
  }

  /** As {@link Forwarder.target}. */
  async target (signal?: AbortSignal): Promise<Target> {
    const { leaders, waitForLeaderMs } = this.#policy
    const endsAtMs = this.nowMs() + waitForLeaderMs
    for (;;) {
      const current = leaders.current()
      if (current === 'self') return { kind: 'local' }
      if (current !== null) return { kind: 'remote', leader: current }
      const leftMs = endsAtMs - this.nowMs()
      const result = leftMs <= 0 ? 'timeout' : await this.#waiters.wait(leftMs, signal)
      if (result === 'changed') continue
      const { code, reason } = reasons[result]
      return { kind: 'none', code, reason: reason(waitForLeaderMs) }
    }
  }

  /**
   * The next target after a failed attempt: another leader as soon as one is known, the same one after a pause (it may
   * be a leader that has not caught up yet, or a connection that will be taken the next time).
   */
  async next (failed: FailedAttempt, endsAtMs: number): Promise<RelayTarget | Refusal | null> {
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failed.count - 1, 8))
    const pauseEndsAtMs = this.nowMs() + pauseMs
    for (;;) {
      const leader = this.knownLeader()
      const paused = this.nowMs() >= pauseEndsAtMs
      // The first change of leader is followed at once; nodes that keep naming each other are not.
      if (leader !== null && (paused || (failed.count === 1 && !isSame(leader, failed.target.leader)))) {
        return { url: leader.url, leader }
      }
      const leftMs = Math.min(endsAtMs - this.nowMs(), failed.deadline.remainingMs)
      if (leftMs <= 0) return refusals.noLeader(failed.deadline.elapsedMs)
      const untilMs = leader === null ? leftMs : Math.min(leftMs, pauseEndsAtMs - this.nowMs())
      const result = await this.#waiters.wait(untilMs, failed.signal)
      switch (result) {
        case 'changed':
        case 'timeout': break
        case 'aborted': return null
        case 'full': return refusals.busy('too many requests are waiting for a leader')
        case 'closed': return refusals.closing()
      }
    }
  }
}

function isSame (one: LeaderInfo, other: LeaderInfo | null): boolean {
  return other !== null && one.id === other.id && one.term === other.term && one.url === other.url
}
