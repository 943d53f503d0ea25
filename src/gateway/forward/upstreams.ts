import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import type { Deadline } from './deadline.ts'

/** A node that an attempt goes to, and its leadership when it is addressed as the leader. */
export interface Upstream {
  readonly url: string
  readonly leader: LeaderInfo | null
}

/** How an attempt failed that did not end in an answer. */
export type AttemptFailure = 'not-sent' | 'not-executed' | 'lost'

/** An attempt that may be repeated. */
export interface FailedAttempt {
  readonly upstream: Upstream
  readonly failure: AttemptFailure
  /** How many attempts have failed so far. */
  readonly count: number
  readonly deadline: Deadline
  readonly signal: AbortSignal
}

/** Chooses the nodes that one request is sent to, one after the other. */
export interface Upstreams {
  readonly first: Upstream
  /** Told of every attempt that did not end in an answer, repeatable or not. */
  reportFailure: (upstream: Upstream, failure: AttemptFailure) => void
  /** The next node, or the refusal to answer; null when the client is gone. */
  next: (failed: FailedAttempt) => Promise<Upstream | Refusal | null>
  /**
   * Calls back when an attempt without an answer is better given up, because the node is gone; returns the function
   * that ends the watch, and is told whether the attempt was answered. Left out, an attempt waits as long as its
   * request may.
   */
  watch?: (upstream: Upstream, giveUp: () => void) => (isAnswered: boolean) => void
  /** The leader to name in a refusal. */
  knownLeader: () => LeaderInfo | null
}
