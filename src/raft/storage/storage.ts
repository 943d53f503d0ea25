import type { Entry, HardState, Index, LogBase } from '../core/types.ts'

export { wholeLog } from '../core/types.ts'
export type { LogBase } from '../core/types.ts'

/**
 * One group of changes that becomes durable together and in order.
 */
export interface StorageBatch {
  /** The new hard state, or null when it did not change. Written before the entries. */
  readonly hardState: HardState | null
  /**
   * Entries in index order without gaps. When the first index is not past the end of the log, everything from that
   * index on is replaced (paper section 5.3).
   */
  readonly entries: readonly Entry[]
}

/**
 * What a storage holds when it is opened.
 */
export interface RecoveredState {
  /** The entry that the log starts behind. A node needs a snapshot that reaches at least this index, unless it is 0. */
  readonly base: LogBase
  readonly hardState: HardState
  /** All entries from `base.index + 1` on, in order and without gaps. */
  readonly entries: readonly Entry[]
}

/**
 * Whose log this is; checked when a storage is opened, so that no node ever continues another one's log.
 */
export interface StorageIdentity {
  readonly clusterId: string
  readonly nodeId: string
}

/**
 * The durable log and hard state of one node.
 *
 * Contract: `append`, `release` and `reset` resolve only when they and all earlier calls would survive a power cut;
 * they take effect in the order of the calls. The first failure poisons the storage: that call and every later one
 * reject with the same reason, because after a failed sync nothing is known of what the disk holds.
 */
export interface Storage {
  /**
   * Given to this log when it was created, at random, and kept as long as there is something of it: tells a node that
   * has its log from one that was started anew under the same id. To be read once `open` has resolved.
   */
  readonly incarnation: string
  /** Reads everything back, repairing a torn tail. Called once, before anything else. */
  open: () => Promise<RecoveredState>
  /** Whether room for more is running out. Nothing has failed for it yet, and nothing is refused here. */
  readonly lowSpace: boolean
  append: (batch: StorageBatch) => Promise<void>
  /**
   * Lets the storage forget the entries through this index, which must be in the log. To be called only when a durable
   * snapshot covers them. Does nothing when they are forgotten already. The next `open` gives a base of this index.
   */
  release: (through: Index) => Promise<void>
  /**
   * Starts the log anew behind `base`, with this hard state and no entries: everything before is dropped, all or
   * nothing. For a snapshot that was installed and whose last entry this log does not hold; when the log does hold it,
   * `release` keeps the entries behind it, which this node may have acknowledged.
   */
  reset: (base: LogBase, hardState: HardState) => Promise<void>
  /** Waits for calls under way and releases the files. Idempotent. */
  close: () => Promise<void>
}
