import type { Entry, HardState } from '../core/types.ts'

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
  readonly hardState: HardState
  /** All entries from index 1, in order and without gaps. */
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
 * Contract: `append` resolves only when the batch and all earlier ones would survive a power cut; batches become
 * durable in the order of the calls. The first failure poisons the storage: that call and every later one reject with
 * the same reason, because after a failed sync nothing is known of what the disk holds.
 */
export interface Storage {
  /** Reads everything back, repairing a torn tail. Called once, before any append. */
  open: () => Promise<RecoveredState>
  append: (batch: StorageBatch) => Promise<void>
  /** Waits for appends under way and releases the files. Idempotent. */
  close: () => Promise<void>
}
