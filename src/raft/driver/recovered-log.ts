import type { Entry, HardState, LogBase, SnapshotPoint } from '../core/index.ts'
import { asTerm } from '../core/index.ts'

/** A log and the latest snapshot, as read from the disk. */
interface LogAndSnapshot {
  readonly base: LogBase
  readonly hardState: HardState
  readonly entries: readonly Entry[]
  readonly snapshot: SnapshotPoint | null
}

/** How a recovered log and a snapshot fit at the start. */
type Reconciled =
  /** They fit as they are. */
  | { readonly kind: 'agree' }
  /** The log does not hold the snapshot's last entry: it must start anew behind that, with this hard state. */
  | { readonly kind: 'reset', readonly base: LogBase, readonly hardState: HardState }
  /** No snapshot covers the entries before the log's first one: data is lost. */
  | { readonly kind: 'missing' }

function termAt ({ base, entries }: LogAndSnapshot, index: number): number | undefined {
  return index === base.index ? base.term : entries[index - base.index - 1]?.term
}

/**
 * Decides at the start of a node how the log and the latest snapshot fit. A crash can come after a snapshot that a
 * leader sent is durable and before the log has started anew behind it; the start then makes up for the second step.
 * The log keeps the entries behind the snapshot if it holds the snapshot's last entry (paper figure 13, rules 6 and 7).
 */
export function reconcile (found: LogAndSnapshot): Reconciled {
  const { base, hardState, snapshot } = found
  if (snapshot === null) return { kind: base.index === 0 ? 'agree' : 'missing' }
  if (snapshot.index < base.index) return { kind: 'missing' }
  if (termAt(found, snapshot.index) === snapshot.term) return { kind: 'agree' }
  // The snapshot may have come from a leader of a term that this disk does not know. This node gave no vote in it.
  const isNewTerm = snapshot.term > hardState.term
  return {
    kind: 'reset',
    base: { index: snapshot.index, term: snapshot.term, timeMs: snapshot.timeMs },
    hardState: {
      term: asTerm(Math.max(snapshot.term, hardState.term)),
      vote: isNewTerm ? null : hardState.vote,
      commit: snapshot.index
    }
  }
}
