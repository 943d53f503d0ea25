import type { HeldConfiguration } from './configuration-history.ts'
import type { LogBase, NodeId, Term } from './types.ts'

/**
 * Snapshots replace the beginning of a log (paper section 7). The rules:
 *
 * - A log is compacted only as far as a durable snapshot covers it, and only entries that are committed, applied and on
 *   this node's disk. A few trailing entries stay, so that members that are a little behind need no snapshot.
 * - A snapshot carries the configuration in force at its last entry (dissertation section 4.1 and 5.1.1).
 * - A peer that needs entries which the leader has compacted is sent the latest snapshot, and no entries meanwhile.
 * - A node that receives a snapshot with nothing new keeps its log. If the log holds the snapshot's last entry, the two
 *   agree up to there and the whole log stays: this node may have acknowledged the entries behind it. Otherwise no
 *   entry of the log is known to agree, and the snapshot replaces the log (paper figure 13, rules 6 to 8).
 * - The acknowledgement waits until all of this is on the disk.
 */

/** The last entry that a snapshot covers, and the configuration in force there. */
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
 * A snapshot that a leader sent, complete and durable on this node. `handle` identifies it for the driver: the core
 * never looks at it, and returns it when the state has to be restored from the snapshot.
 */
export interface Installation<Handle> extends SnapshotOffer {
  readonly handle: Handle
}
