/** When snapshots are taken, and which entries stay in the log behind them. */
export interface SnapshotPolicy {
  /** A snapshot is due after this many entries, or this many bytes of commands, since the last one. */
  readonly entries: number
  readonly bytes: number
  /** Trailing entries, which stay for members that are a little behind: at most so many, with at most so many bytes. */
  readonly trailingEntries: number
  readonly trailingBytes: number
  /** Pause before a snapshot that failed is tried again. */
  readonly retryAfterMs: number
  /** How fast a snapshot is sent to one member. */
  readonly bytesPerSecond: number
}

/** Keeps the log of a busy node within a few dozen megabytes. */
export const defaultSnapshotPolicy: SnapshotPolicy = {
  entries: 20_000,
  bytes: 67_108_864,
  trailingEntries: 10_000,
  trailingBytes: 16_777_216,
  retryAfterMs: 10_000,
  bytesPerSecond: 33_554_432
}
