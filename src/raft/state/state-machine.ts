/**
 * Where in the log a command stands; the same on every node.
 */
export interface ApplyContext {
  /** Log index of the entry. Unique and rising: it serves as fencing token of what the entry grants. */
  readonly index: number
  readonly term: number
  /** Log time in milliseconds since the epoch: stamped by the leader, never falling along the log. */
  readonly timeMs: number
}

/**
 * The replicated state. Every node applies the same entries in the same order, so `apply` must be a function of the
 * state, the command and the context alone: no clock, no randomness, no I/O (paper section 2).
 */
export interface StateMachine {
  /**
   * Applies one command and returns its answer: a JSON value that the caller must not modify. It is kept until the
   * client no longer waits for it, also in snapshots.
   * A refusal (key not found, lock held) is an answer. A throw halts the node: a machine that cannot apply what others
   * applied would diverge.
   */
  apply: (command: Uint8Array, context: ApplyContext) => unknown
  /** A new leader's first entry was applied; `context.index` is the token of that leadership. */
  leadershipStarted: (context: ApplyContext) => void
  /**
   * Captures the state as of the last applied entry, within the call; its bytes are produced afterwards, while `apply`
   * goes on, and do not see that. Nodes with equal states give equal bytes.
   */
  snapshot: () => AsyncIterable<Uint8Array>
  /**
   * Replaces the whole state by one that {@link StateMachine.snapshot} gave, or rejects and changes nothing: with
   * `RAFT_SNAPSHOT_CORRUPT` for bytes that are no state, with `RAFT_SNAPSHOT_VERSION` for those of a later release.
   * Neither it nor `apply` is called again before it has ended.
   */
  restore: (source: AsyncIterable<Uint8Array>) => Promise<void>
}
