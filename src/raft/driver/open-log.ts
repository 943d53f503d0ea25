import type { SnapshotPoint } from '../core/index.ts'
import { SnapshotMissingError } from '../errors.ts'
import { toPoint } from '../snapshots/meta.ts'
import type { SnapshotStore } from '../storage/snapshot-store.ts'
import type { RecoveredState, Storage } from '../storage/storage.ts'
import { wayOut } from '../storage/wal/damage.ts'
import { reconcile } from './recovered-log.ts'

/** The recovered state of a node: the latest snapshot, and the log behind it. */
export type OpenedLog = RecoveredState & { readonly snapshot: SnapshotPoint | null }

/**
 * Opens the log and the snapshots, and makes them fit. Rejects with the errors of both stores. Rejects with
 * `RAFT_SNAPSHOT_MISSING`, before it writes anything, when no snapshot covers the entries before the log's first one.
 */
export async function openLog (storage: Storage, snapshots: SnapshotStore): Promise<OpenedLog> {
  const recovered = await storage.open()
  await snapshots.open()
  const latest = snapshots.latest()
  const snapshot = latest === null ? null : toPoint(latest)
  const found = reconcile({ ...recovered, snapshot })
  switch (found.kind) {
    case 'agree':
      return { ...recovered, snapshot }
    case 'reset':
      await storage.reset(found.base, found.hardState)
      return { base: found.base, hardState: found.hardState, entries: [], snapshot }
    case 'missing': {
      const reach =
        snapshot === null ? 'there is no snapshot' : `the latest snapshot reaches index ${snapshot.index} only`
      throw new SnapshotMissingError(`The log starts behind index ${recovered.base.index}, and ${reach}. ${wayOut}`)
    }
  }
}
