import type { SnapshotPoint } from '../core/index.ts'
import { SnapshotMissingError } from '../errors.ts'
import { toPoint } from '../snapshots/meta.ts'
import type { SnapshotStore } from '../storage/snapshot-store.ts'
import type { RecoveredState, Storage } from '../storage/storage.ts'
import { wayOut } from '../storage/wal/damage.ts'
import { reconcile } from './recovered-log.ts'

/** What a node starts from: the latest snapshot, and the log behind it. */
export type OpenedLog = RecoveredState & { readonly snapshot: SnapshotPoint | null }

/**
 * Opens log and snapshots and brings them together. Rejects with what either of them says, and with
 * `RAFT_SNAPSHOT_MISSING`, before anything is written, when the log starts behind an entry that no snapshot reaches.
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
