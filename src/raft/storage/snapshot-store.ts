import type { LogBase } from './storage.ts'

/** What a snapshot stands for: everything through the entry with this index, term and log time. */
export interface SnapshotMeta extends LogBase {
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

/** A snapshot that arrives piece by piece. It is given one call at a time: the next when the one before has ended. */
export interface IncomingSnapshot {
  /** What it was announced to be. */
  readonly info: SnapshotInfo
  /** How many bytes of its data are here; the next piece starts there. */
  readonly offset: number
  /**
   * Takes the bytes that stand at `offset` of the data; what is here already is skipped. Resolves with the new offset.
   * Rejects with `RAFT_SNAPSHOT_CORRUPT` when bytes in between are missing or there are more than announced.
   */
  readonly write: (offset: number, bytes: Uint8Array) => Promise<number>
  /**
   * Checks the whole and makes it durable. Rejects with `RAFT_SNAPSHOT_CORRUPT` when bytes are missing, which may still
   * come, or when the checksum is not the one announced, and then discards it.
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
  /** Looks at what is there and removes what a crash left unfinished. Called once, after the log was opened. */
  readonly open: () => Promise<void>
  /** The newest snapshot, by index and term. */
  readonly latest: () => SnapshotInfo | null
  /**
   * Writes a snapshot as its data comes, never holding all of it. Rejects with `RAFT_TOO_LARGE` past the largest size.
   */
  readonly save: (meta: SnapshotMeta, source: AsyncIterable<Uint8Array>) => Promise<SnapshotInfo>
  /**
   * The data of a snapshot from `offset` on, checked piece by piece. Throws `RAFT_SNAPSHOT_CORRUPT` at a damaged piece,
   * before any byte of it is given out, and `RAFT_SNAPSHOT_GONE` when newer ones have replaced it.
   */
  readonly read: (info: SnapshotInfo, offset?: number) => AsyncIterable<Uint8Array>
  /**
   * Receives a snapshot that another node announced. When the same one is being received already, goes on with it at
   * its `offset`; any other that is being received is discarded. One call at a time, as for what it resolves with.
   */
  readonly receive: (info: SnapshotInfo) => Promise<IncomingSnapshot>
}

/** Newest first. */
export function newestFirst (one: LogBase, other: LogBase): number {
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
