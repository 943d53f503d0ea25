import { randomBytes } from 'node:crypto'
import type { Entry, HardState, Index, LogBase } from '../core/index.ts'

/**
 * The place of one entry: its index, its term and its log time in milliseconds. All are 0 for the place before the
 * first entry.
 */
export type LogPoint = LogBase

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
  readonly base: LogPoint
  readonly hardState: HardState
  /** All entries from `base.index + 1` on, in order and without gaps. */
  readonly entries: readonly Entry[]
}

/**
 * The node that a log belongs to; checked when a storage is opened, so that no node continues the log of another one.
 */
export interface StorageIdentity {
  readonly clusterId: string
  readonly nodeId: string
}

/**
 * The durable log and hard state of one node.
 *
 * Contract: `append`, `compact` and `reset` resolve only when they and all earlier calls would survive a power cut;
 * they take effect in the order of the calls. The first failure poisons the storage: that call and every later one
 * reject with the same reason, because after a failed sync the content of the disk is unknown.
 */
export interface Storage {
  /**
   * A random number of 8 bytes, in hexadecimal, given to this log when it was created and kept for its life. It tells a
   * node that has its log from one that was started with an empty log under the same id. Known once `open` has
   * resolved.
   */
  readonly incarnation: string
  /** Reads everything back, repairing a torn tail. Called once, before anything else. */
  open: () => Promise<RecoveredState>
  /** Whether the free space is running out. No write has failed for that yet, and the storage refuses none. */
  readonly lowSpace: boolean
  /** Whether half of what was free when space became low is gone as well: only what frees space is written then. */
  readonly criticalSpace: boolean
  append: (batch: StorageBatch) => Promise<void>
  /**
   * Drops the entries through this index, which must be in the log (paper section 7). To be called only when a durable
   * snapshot covers them. Does nothing when they were dropped before. The next `open` returns a base of this index.
   */
  compact: (through: Index) => Promise<void>
  /**
   * Starts the log anew behind `base`, with this hard state and no entries: everything before is dropped, all or
   * nothing. For an installed snapshot whose last entry this log does not hold. When the log does hold it, `compact`
   * keeps the entries behind it, which this node may have acknowledged.
   */
  reset: (base: LogPoint, hardState: HardState) => Promise<void>
  /** Waits for calls under way and closes the files. Idempotent. */
  close: () => Promise<void>
}

/** Bytes of an incarnation; it is written in twice as many hexadecimal digits. */
export const incarnationBytes = 8

/** The incarnation of a log that is being created: random, so that no two logs of a node share one. */
export function newIncarnation (): string {
  return randomBytes(incarnationBytes).toString('hex')
}
