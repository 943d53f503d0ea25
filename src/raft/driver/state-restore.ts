import type { RestoreProgress, WaitOptions } from '../engine.ts'
import { RestoringError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'
import { Waiter } from '../runtime/waiter.ts'
import type { SnapshotInfo } from '../storage/snapshot-store.ts'

/** What a {@link StateRestore} works with. */
interface StateRestoreOptions {
  /** The snapshot that this start restores; null when there is none, and the state is there at once. */
  readonly snapshot: SnapshotInfo | null
  readonly nowMs: () => number
  /** The timers of this process when left out. */
  readonly timers?: Timers
  readonly logger: Logger
}

/** How often the progress is logged, in milliseconds. */
const logEveryMs = 5_000

type Phase =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'under-way', readonly sinceMs: number }
  | { readonly kind: 'over' }
  | { readonly kind: 'stopped', readonly reason: Error }

/**
 * The state of a node from its start on: until the snapshot on its disk is restored, there is none. Knows how far that
 * is, and who waits for its end. The node takes part in the cluster meanwhile: its log and its vote need no state.
 */
export class StateRestore {
  readonly #options: StateRestoreOptions
  #phase: Phase
  /** The snapshot that is being read: the first one, or a newer one that the leader has sent meanwhile. */
  #current: SnapshotInfo | null
  #bytes = 0
  #loggedMs = 0
  readonly #waiters = new Set<Waiter<void>>()

  constructor (options: StateRestoreOptions) {
    this.#options = options
    this.#current = options.snapshot
    this.#phase = { kind: options.snapshot === null ? 'over' : 'waiting' }
  }

  /** The snapshot to restore at the start; null when there is none. */
  get snapshot (): SnapshotInfo | null { return this.#options.snapshot }

  /** Whether the state is there. */
  get isOver (): boolean { return this.#phase.kind === 'over' }

  /** How far the restore is; null when it is over, and when the node has stopped. */
  get progress (): RestoreProgress | null {
    if (this.#current === null || this.#phase.kind === 'over' || this.#phase.kind === 'stopped') return null
    return {
      snapshotIndex: this.#current.index,
      bytes: this.#bytes,
      totalBytes: this.#current.bytes,
      sinceMs: this.#phase.kind === 'waiting' ? 0 : Math.round(this.#options.nowMs() - this.#phase.sinceMs)
    }
  }

  /** The restore begins. */
  begin (): void {
    const { snapshot, nowMs, logger } = this.#options
    if (snapshot === null || this.#phase.kind !== 'waiting') return
    this.#phase = { kind: 'under-way', sinceMs: nowMs() }
    this.#loggedMs = nowMs()
    logger.info({ snapshotIndex: snapshot.index, totalBytes: snapshot.bytes }, 'restoring the state from a snapshot')
  }

  /** The bytes of a snapshot on their way to the state machine: counted, and cut off when the node stops. */
  async * watch (
    snapshot: SnapshotInfo,
    source: AsyncIterable<Uint8Array>
  ): AsyncGenerator<Uint8Array, void, undefined> {
    this.#current = snapshot
    this.#bytes = 0
    for await (const bytes of source) {
      if (this.#phase.kind === 'stopped') throw this.#phase.reason
      this.#bytes += bytes.byteLength
      yield bytes
    }
  }

  /** Logs the progress now and then. */
  tick (): void {
    const { nowMs, logger } = this.#options
    if (this.#phase.kind !== 'under-way' || nowMs() - this.#loggedMs < logEveryMs) return
    this.#loggedMs = nowMs()
    logger.info({ ...this.progress }, 'still restoring the state')
  }

  /** A snapshot has been restored: this one, or a newer one that the leader sent. */
  ended (): void {
    if (this.#phase.kind !== 'under-way') return
    const tookMs = Math.round(this.#options.nowMs() - this.#phase.sinceMs)
    this.#phase = { kind: 'over' }
    this.#options.logger.info({ bytes: this.#bytes, tookMs }, 'the state is restored')
    for (const waiter of this.#waiters) waiter.resolve()
  }

  /** The node stops, or could not restore its state: all waits end with this reason. */
  stop (reason: Error): void {
    if (this.#phase.kind === 'over' || this.#phase.kind === 'stopped') return
    this.#phase = { kind: 'stopped', reason }
    for (const waiter of this.#waiters) waiter.reject(reason)
  }

  /** Resolves when the state is there. Rejects with `RAFT_RESTORING` after the timeout. */
  async wait (options: WaitOptions & { readonly timeoutMs: number }): Promise<void> {
    options.signal?.throwIfAborted()
    if (this.#phase.kind === 'over') return
    if (this.#phase.kind === 'stopped') throw this.#phase.reason
    const waiter = new Waiter<void>(
      options,
      () => new RestoringError(this.#detail()),
      () => { this.#waiters.delete(waiter) },
      this.#options.timers
    )
    this.#waiters.add(waiter)
    await waiter.promise
  }

  /** The error of a call that does not wait. */
  refusal (): Error {
    return new RestoringError(this.#detail())
  }

  #detail (): string {
    if (this.#phase.kind === 'waiting') return 'it begins with the start of the node'
    return `${percentOf(this.#bytes, this.#current?.bytes ?? 0)} % of the snapshot is read`
  }
}

/** How much of all bytes these are; all of none are 100. */
export function percentOf (bytes: number, totalBytes: number): number {
  return totalBytes === 0 ? 100 : Math.floor(100 * bytes / totalBytes)
}
