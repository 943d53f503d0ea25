import type { Entry } from '../core/index.ts'
import { isRaftError } from '../errors.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'

/** What an {@link Applier} works on. */
interface ApplierOptions {
  /** Index of the last entry that the state holds already. */
  readonly appliedIndex: number
  readonly apply: (entry: Entry) => void
  /** Replaces the whole state by that of a snapshot that this node holds. */
  readonly restore: (snapshot: SnapshotInfo) => Promise<void>
  /** These entries were applied one by one; none: a snapshot took their place. */
  readonly applied: (entries: readonly Entry[]) => void
  /** The state could not be restored, or an entry that waited for that not be applied. */
  readonly failed: (error: Error) => void
}

/**
 * Keeps the state up with the log: applies entries in their order, each once, and puts a snapshot in the place of all
 * of them when one was installed. Entries that come while a state is being restored wait for that.
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
  /** Whether the state is being replaced: it is that of no index then. */
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

  /** A snapshot covers everything given before, and more. */
  restore (snapshot: SnapshotInfo): void {
    this.#waiting = []
    this.#next = snapshot
    if (this.#isRestoring) return
    this.#isRestoring = true
    this.#restoreAll().catch((error: unknown) => {
      if (!this.#isStopped) this.#options.failed(error instanceof Error ? error : new Error(String(error)))
    })
  }

  /** Nothing is applied any more; a state that is being restored is left to itself. */
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
        // One that has come meanwhile takes its place; there may even be no file of this one any more.
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

/** With the code of an error of the cluster: the message is what a status shows. */
function messageOf (cause: unknown): string {
  if (isRaftError(cause)) return `${cause.message} (${cause.code})`
  return cause instanceof Error ? cause.message : String(cause)
}
