import type { Entry } from '../core/index.ts'
import { isRaftError } from '../errors.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'

/** Options of an {@link Applier}. */
interface ApplierOptions {
  /** Index of the last entry that the state holds already. */
  readonly appliedIndex: number
  readonly apply: (entry: Entry) => void
  /** Replaces the whole state by that of a snapshot in this node's store. */
  readonly restore: (snapshot: SnapshotInfo) => Promise<void>
  /** These entries were applied one by one; an empty list: the state was restored from a snapshot. */
  readonly applied: (entries: readonly Entry[]) => void
  /** The state could not be restored, or an entry that waited for the restore could not be applied. */
  readonly failed: (error: Error) => void
}

/**
 * Applies committed entries to the state in order, each once, and restores the state from a snapshot when one was
 * installed. Entries that come during a restore wait for its end.
 */
export class Applier {
  readonly #options: ApplierOptions
  #appliedIndex: number
  #waiting: Entry[] = []
  #next: SnapshotInfo | null = null
  #isRestoring = false
  #isStopped = false

  constructor (options: ApplierOptions) {
    this.#options = options
    this.#appliedIndex = options.appliedIndex
  }

  get appliedIndex (): number { return this.#appliedIndex }
  /** Whether the state is being restored: meanwhile it is not the state at any index. */
  get isRestoring (): boolean { return this.#isRestoring }

  /** Applies entries that follow those given before. Throws what the state machine throws. */
  apply (entries: readonly Entry[]): void {
    if (this.#isRestoring) {
      for (const entry of entries) this.#waiting.push(entry)
      return
    }
    if (entries.length === 0) return
    for (const entry of entries) {
      try {
        this.#options.apply(entry)
      } catch (cause) {
        throw new Error(`The state machine failed to apply the entry at index ${entry.index}: ${messageOf(cause)}`, {
          cause
        })
      }
      this.#appliedIndex = entry.index
    }
    this.#options.applied(entries)
  }

  /** Restores a snapshot that covers all entries given before. */
  restore (snapshot: SnapshotInfo): void {
    this.#waiting = []
    this.#next = snapshot
    if (this.#isRestoring) return
    this.#isRestoring = true
    this.#restoreAll().catch((error: unknown) => {
      if (!this.#isStopped) this.#options.failed(error instanceof Error ? error : new Error(String(error)))
    })
  }

  /** Applies nothing more; a restore that is under way goes on unobserved. */
  stop (): void {
    this.#isStopped = true
    this.#waiting = []
    this.#next = null
  }

  async #restoreAll (): Promise<void> {
    for (let snapshot = this.#takeNext(); snapshot !== null; snapshot = this.#takeNext()) {
      try {
        await this.#options.restore(snapshot)
        this.#appliedIndex = snapshot.index
      } catch (cause) {
        // A newer snapshot replaces this one, whose file may be deleted by now: its failure does not matter.
        if (this.#next === null) {
          throw new Error(
            `The state machine failed to restore the snapshot through index ${snapshot.index}: ${messageOf(cause)}`,
            { cause }
          )
        }
      }
    }
    if (this.#isStopped) return
    this.#isRestoring = false
    this.#options.applied([])
    const waiting = this.#waiting
    this.#waiting = []
    this.apply(waiting)
  }

  #takeNext (): SnapshotInfo | null {
    const next = this.#next
    this.#next = null
    return next
  }
}

/** The message with the code of a cluster error: a status shows only the message. */
function messageOf (cause: unknown): string {
  if (isRaftError(cause)) return `${cause.message} (${cause.code})`
  return cause instanceof Error ? cause.message : String(cause)
}
