import type { LogPoint } from './storage.ts'

/** What a snapshot covers: all entries through the one with this index, term and log time. */
export interface SnapshotMeta extends LogPoint {
  /** The cluster's configuration as of that entry, as bytes of JSON; at most 1 MiB. */
  readonly configuration: Uint8Array
}

/** A complete snapshot. */
export interface SnapshotInfo extends SnapshotMeta {
  /** Bytes of the state machine's data. */
  readonly bytes: number
  /** CRC-32 of all of that data. */
  readonly checksum: number
}

/** A snapshot that arrives chunk by chunk. One call at a time: the next one only when the last has settled. */
export interface IncomingSnapshot {
  /** The snapshot as it was announced. */
  readonly info: SnapshotInfo
  /** How many bytes of its data have arrived; the next chunk starts there. */
  readonly offset: number
  /**
   * Takes the bytes at `offset` of the data; those that have arrived before are skipped. Resolves with the new offset.
   * Rejects with `RAFT_SNAPSHOT_CORRUPT` when bytes in between are missing or there are more than announced.
   */
  readonly write: (offset: number, bytes: Uint8Array) => Promise<number>
  /**
   * Checks the whole and makes it durable. Rejects with `RAFT_SNAPSHOT_CORRUPT` when bytes are missing, which may still
   * come, or when the checksum is not the one announced; then the snapshot is discarded.
   */
  readonly finish: () => Promise<SnapshotInfo>
  /** Drops what has arrived. Idempotent. */
  readonly discard: () => Promise<void>
}

/**
 * The durable snapshots of one node. A snapshot exists only when it is complete and durable; a few of the newest are
 * kept. A call that fails leaves no trace and may be made again: unlike the log, a snapshot is always a new file.
 */
export interface SnapshotStore {
  /** Finds the snapshots and removes those that a crash left unfinished. Called once, after the log was opened. */
  readonly open: () => Promise<void>
  /** The newest snapshot, by index and term. */
  readonly latest: () => SnapshotInfo | null
  /**
   * Writes a snapshot while its data arrives, without holding all of it. Rejects with `RAFT_TOO_LARGE` past the largest
   * size.
   */
  readonly save: (meta: SnapshotMeta, source: AsyncIterable<Uint8Array>) => Promise<SnapshotInfo>
  /**
   * The data of a snapshot from `offset` on. Each chunk is checked before any byte of it is yielded. Throws
   * `RAFT_SNAPSHOT_CORRUPT` at a damaged chunk, and `RAFT_SNAPSHOT_GONE` when newer snapshots have replaced this one.
   */
  readonly read: (info: SnapshotInfo, offset?: number) => AsyncIterable<Uint8Array>
  /**
   * Receives a snapshot that another node announced. When the same one is being received already, continues at its
   * `offset`; any other one that is being received is discarded. One call at a time, like those of the result.
   */
  readonly receive: (info: SnapshotInfo) => Promise<IncomingSnapshot>
}

/** Sorts by index and term, the newest first. */
export function newestFirst (one: LogPoint, other: LogPoint): number {
  return other.index - one.index || other.term - one.term
}

/** Whether two announcements are of the same bytes. */
export function isSameSnapshot (one: SnapshotInfo, other: SnapshotInfo): boolean {
  return (
    one.index === other.index &&
    one.term === other.term &&
    one.bytes === other.bytes &&
    one.checksum === other.checksum
  )
}
