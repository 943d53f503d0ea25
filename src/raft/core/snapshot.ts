import type { HeldConfiguration } from './configuration-history.ts'
import type { LogBase, NodeId, Term } from './types.ts'

/**
 * Snapshots take the place of a log's beginning (paper section 7). The rules:
 *
 * - A log is forgotten only as far as a durable snapshot covers it, and never past what is committed, applied and on
 *   this node's disk. Members who are a little behind are spared a snapshot by a few entries that stay.
 * - A snapshot carries the configuration in force at its last entry (dissertation section 4.1 and 5.1.1).
 * - A peer that needs what the leader has forgotten is sent the latest snapshot, and no entries meanwhile.
 * - Who gets one that holds nothing new keeps what it has. When the log holds the snapshot's last entry it agrees up to
 *   there, and all of it stays: this node may have acknowledged what follows. Otherwise nothing in the log is known to
 *   agree, and the snapshot takes its place (paper figure 13, rules 6 to 8).
 * - The acknowledgement waits until all of that is on the disk.
 */

/** What a snapshot stands for: everything through its last entry, and the configuration in force there. */
export interface SnapshotPoint extends LogBase {
  readonly held: HeldConfiguration
}

/** A snapshot and the leader that sends it. */
export interface SnapshotOffer {
  readonly from: NodeId
  /** The leader's term when it sent the snapshot. */
  readonly term: Term
  readonly snapshot: SnapshotPoint
}

/**
 * A snapshot that a leader sent, complete and durable on this node. `handle` is what the driver knows it by: the core
 * never looks at it, and gives it back when the state is to be restored from it.
 */
export interface Installation<Handle> extends SnapshotOffer {
  readonly handle: Handle
}
