/**
 * The place of a command in the log; the same on every node.
 */
export interface ApplyContext {
  /**
   * Log index of the entry. Unique and rising: it is the fencing token of a lock or leadership that the entry grants.
   */
  readonly index: number
  readonly term: number
  /**
   * Log time in milliseconds: counted by the monotonic clocks of the leaders and never falling along the log. What ends
   * after a time is counted in it. No time of day: it stands still while nobody leads.
   */
  readonly timeMs: number
  /** The leader's time of day in milliseconds since the epoch; it may jump forward, and never falls along the log. */
  readonly timeOfDayMs: number
}

/**
 * Why a command is written although space is low: it `frees` space, or it `keeps` something from being lost, such as a
 * lock that is renewed, and adds nothing to the state.
 */
export type ReserveUse = 'frees' | 'keeps'

/**
 * The replicated state. Every node applies the same entries in the same order, so `apply` must be a function of the
 * state, the command and the context alone: no clock, no randomness, no I/O (paper section 2).
 */
export interface StateMachine {
  /**
   * Applies one command and returns its answer: a JSON value that the caller must not modify. It is kept until the
   * client no longer waits for it, also in snapshots. A refusal (key not found, lock held) is an answer. A throw halts
   * the node: a state machine that skips a command which others applied would diverge.
   */
  apply: (command: Uint8Array, context: ApplyContext) => unknown
  /**
   * Why a command may be written from the reserve that is left when space is low; null when it has to wait for space,
   * as each one has to that may let the state grow. Asked of commands of any content, so it must not throw. Left out:
   * all of them wait.
   */
  readonly reserveUse?: (command: Uint8Array) => ReserveUse | null
  /** A new leader's first entry was applied; `context.index` is the token of that leadership. */
  leadershipStarted: (context: ApplyContext) => void
  /**
   * Captures the state after the last applied entry, within the call. The bytes are produced afterwards, while `apply`
   * goes on, and do not show later entries. Nodes with equal states give equal bytes.
   */
  snapshot: () => AsyncIterable<Uint8Array>
  /**
   * Replaces the whole state by one that {@link StateMachine.snapshot} gave, or rejects and changes nothing: with
   * `RAFT_SNAPSHOT_CORRUPT` for malformed bytes, with `RAFT_SNAPSHOT_VERSION` for a state of a later release. Neither
   * `restore` nor `apply` is called again before it has ended.
   */
  restore: (source: AsyncIterable<Uint8Array>) => Promise<void>
}
