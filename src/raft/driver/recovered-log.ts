import type { Entry, HardState, LogBase, SnapshotPoint } from '../core/index.ts'
import { asTerm } from '../core/index.ts'

/** A log and the snapshot that goes with it, as they come from the disk. */
interface LogAndSnapshot {
  readonly base: LogBase
  readonly hardState: HardState
  readonly entries: readonly Entry[]
  readonly snapshot: SnapshotPoint | null
}

/** What to do with a log and a snapshot at the start. */
type Reconciled =
  /** They go together. */
  | { readonly kind: 'agree' }
  /** The log does not hold the snapshot's last entry: it has to start anew behind it, with this hard state. */
  | { readonly kind: 'reset', readonly base: LogBase, readonly hardState: HardState }
  /** The log starts behind an entry that no snapshot reaches: something is gone. */
  | { readonly kind: 'missing' }

function termAt ({ base, entries }: LogAndSnapshot, index: number): number | undefined {
  return index === base.index ? base.term : entries[index - base.index - 1]?.term
}

/**
 * Brings the log and the latest snapshot together at the start of a node. A crash can come between the moment a
 * snapshot that was sent to this node is durable and the moment the log starts anew behind it; the second step is then
 * made up for. The log keeps what follows the snapshot's last entry if it holds that one (paper figure 13, rules 6 and
 * 7).
 */
export function reconcile (found: LogAndSnapshot): Reconciled {
  const { base, hardState, snapshot } = found
  if (snapshot === null) return { kind: base.index === 0 ? 'agree' : 'missing' }
  if (snapshot.index < base.index) return { kind: 'missing' }
  if (termAt(found, snapshot.index) === snapshot.term) return { kind: 'agree' }
  // The snapshot may have come from a leader of a term that this disk has not heard of. Nobody got a vote in it.
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
