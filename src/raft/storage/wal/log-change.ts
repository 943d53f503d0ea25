import type { HardState } from '../../core/types.ts'
import type { LogBase, StorageBatch } from '../storage.ts'

/** What is done to a log, one after the other. */
export type LogChange =
  | { readonly kind: 'append', readonly batch: StorageBatch }
  /** Entries through `base` are forgotten. */
  | { readonly kind: 'release', readonly base: LogBase }
  /** The log starts anew. Always a group of its own. */
  | { readonly kind: 'reset', readonly base: LogBase, readonly hardState: HardState }

const entryOverheadBytes = 64

/** Roughly the bytes that a change adds to a group. */
export function weighChange (change: LogChange): number {
  if (change.kind !== 'append') return entryOverheadBytes
  let bytes = 0
  for (const entry of change.batch.entries) bytes += entry.data.byteLength + entryOverheadBytes
  return bytes
}
