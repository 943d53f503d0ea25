/** Both clocks of this machine at one moment, in milliseconds. */
export interface Moment {
  /** Monotonic; only differences mean anything. */
  readonly monotonicMs: number
  /** Since the epoch; may jump. */
  readonly wallMs: number
}

/**
 * Log time on this node: the stamp of the last entry, and what this node's monotonic clock has counted since it
 * appended or received that entry. A wall clock counts for the first entry of a log alone, so that log time looks like
 * a time of day; whatever is set, suspended or elected later, log time runs no faster than a monotonic clock.
 */
export class LogTime {
  #lastMs: number
  /** When the last entry came, on the monotonic clock; null after a start, until the first input. */
  #sinceMs: number | null = null

  /** Log time goes on from the stamp of the last entry; 0 for a log that never had one. */
  constructor (lastMs: number) {
    this.#lastMs = lastMs
  }

  /** An input came at this moment: after a start, time is counted from the first one. */
  inputAt ({ monotonicMs }: Moment): void {
    this.#sinceMs ??= monotonicMs
  }

  /** The log ends with another entry, which came at this moment. */
  received (lastMs: number, { monotonicMs }: Moment): void {
    this.#lastMs = lastMs
    this.#sinceMs = monotonicMs
  }

  /** The stamp of an entry that this node appends at this moment as leader. */
  stamp ({ monotonicMs, wallMs }: Moment): number {
    if (this.#lastMs === 0) {
      this.#lastMs = Math.max(1, Math.floor(wallMs))
      this.#sinceMs = monotonicMs
    }
    // Counted on from what was received, not from the last stamp: rounding would lose a part of each millisecond.
    return Math.floor(this.#lastMs + Math.max(0, monotonicMs - (this.#sinceMs ?? monotonicMs)))
  }
}
