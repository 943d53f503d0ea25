import type { Entry } from '../core/index.ts'
import { totalBytes } from '../core/index.ts'
import type { SnapshotFailure } from '../engine.ts'
import { isRaftError, StoppedError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { SnapshotInfo, SnapshotMeta, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotPolicy } from './policy.ts'

/** The state at one moment. */
interface Captured {
  readonly meta: SnapshotMeta
  /** The bytes of the state at that moment; entries applied later do not change them. */
  readonly source: AsyncIterable<Uint8Array>
}

/** Options of a {@link Snapshotter}. */
interface SnapshotterOptions {
  readonly policy: SnapshotPolicy
  readonly store: SnapshotStore
  readonly nowMs: () => number
  readonly logger: Logger
  /** Captures the state; null while it is being restored. */
  readonly capture: () => Captured | null
  /** A snapshot is durable. */
  readonly taken: (info: SnapshotInfo) => void
}

/** The pause before the next try doubles with each failure, up to so many times the first one. */
const maxPauseFactor = 64

/**
 * Takes snapshots in the background, one at a time, when enough was applied since the last one. After a failure the log
 * is not compacted, and the next attempt comes after a pause.
 */
export class Snapshotter {
  readonly #options: SnapshotterOptions
  #entries = 0
  #bytes = 0
  #underWay: Promise<SnapshotInfo> | null = null
  #notBeforeMs = -Infinity
  /** The failures since the last snapshot that did not fail. */
  #failed: { readonly message: string, readonly count: number, readonly firstMs: number } | null = null
  readonly #stopping = new AbortController()

  constructor (options: SnapshotterOptions) {
    this.#options = options
  }

  get #isStopped (): boolean { return this.#stopping.signal.aborted }

  /** That the last tries failed, or null. */
  get failure (): SnapshotFailure | null {
    if (this.#failed === null) return null
    const { message, count, firstMs } = this.#failed
    return { message, count, sinceMs: Math.round(this.#options.nowMs() - firstMs) }
  }

  /** These entries were applied. */
  applied (entries: readonly Entry[]): void {
    this.#entries += entries.length
    this.#bytes += totalBytes(entries)
    this.takeWhenDue()
  }

  /** The state was restored from a snapshot that a leader sent. */
  restored (): void {
    this.#entries = 0
    this.#bytes = 0
    this.#failed = null
    this.#notBeforeMs = -Infinity
  }

  /** Starts a snapshot if enough was applied and the pause after a failure is over. Never throws. */
  takeWhenDue (): void {
    const { policy, nowMs } = this.#options
    if (this.#isStopped || this.#underWay !== null) return
    if (this.#entries < policy.entries && this.#bytes < policy.bytes) return
    if (nowMs() < this.#notBeforeMs) return
    // No caller waits for this snapshot: its failure is logged, and it is tried again.
    this.#start()?.catch(() => {})
  }

  /**
   * Takes a snapshot now. Waits first for one that is under way, and takes another if entries were applied since that
   * began. Resolves with the newest snapshot, which may be an earlier one if nothing was applied since. Rejects with
   * the error of the store or of the state machine, and with `RAFT_STOPPED` when the node stops first or has no state
   * that can be captured.
   */
  async take (): Promise<SnapshotInfo> {
    if (this.#underWay !== null) await this.#underWay
    const latest = this.#options.store.latest()
    if (this.#entries === 0 && latest !== null) return latest
    const started = this.#underWay ?? this.#start()
    if (started === null) throw new StoppedError('its state cannot be captured now')
    return await started
  }

  /** Ends a snapshot that is under way, whether or not its source still gives bytes; no file of it stays. */
  async stop (): Promise<void> {
    this.#stopping.abort(new StoppedError('it was stopped'))
    await this.#underWay?.catch(() => {})
  }

  #start (): Promise<SnapshotInfo> | null {
    if (this.#isStopped) return null
    let captured: Captured | null
    try {
      captured = this.#options.capture()
    } catch (error) {
      // Code of the application may have thrown: the state is what it was, and the node goes on.
      this.#noteFailure(error)
      return Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
    if (captured === null) return null
    const counted = { entries: this.#entries, bytes: this.#bytes }
    this.#entries = 0
    this.#bytes = 0
    this.#underWay = this.#save(captured).catch((error: unknown) => {
      this.#entries += counted.entries
      this.#bytes += counted.bytes
      throw error
    }).finally(() => { this.#underWay = null })
    return this.#underWay
  }

  async #save ({ meta, source }: Captured): Promise<SnapshotInfo> {
    const { store, logger, nowMs, taken } = this.#options
    const startMs = nowMs()
    try {
      const info = await store.save(meta, untilAborted(source, this.#stopping.signal))
      logger.info({ index: info.index, bytes: info.bytes, tookMs: Math.round(nowMs() - startMs) }, 'took a snapshot')
      this.#failed = null
      if (!this.#isStopped) taken(info)
      return info
    } catch (error) {
      if (!this.#isStopped) this.#noteFailure(error, meta.index)
      throw error
    }
  }

  #noteFailure (error: unknown, index?: number): void {
    const { logger, nowMs, policy } = this.#options
    const count = (this.#failed?.count ?? 0) + 1
    const retryAfterMs = policy.retryAfterMs * Math.min(2 ** (count - 1), maxPauseFactor)
    this.#failed = { message: messageOf(error), count, firstMs: this.#failed?.firstMs ?? nowMs() }
    this.#notBeforeMs = nowMs() + retryAfterMs
    logger.error(
      { err: error, index, count, retryAfterMs },
      'taking a snapshot failed; the log is not compacted, and a new attempt follows'
    )
  }
}

/**
 * The bytes of the source, until the signal aborts: then it throws the signal's reason at once. The source may wait for
 * something in the application that never comes, so nothing waits for the source after that.
 */
async function * untilAborted (source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  // Not a race of promises: one that stays open for long keeps the bytes of every race.
  let reject: (reason: unknown) => void = () => {}
  const abort = (): void => { reject(signal.reason) }
  signal.addEventListener('abort', abort)
  try {
    for (;;) {
      signal.throwIfAborted()
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, _reject) => {
        reject = _reject
        iterator.next().then(resolve, _reject)
      })
      if (next.done === true) return
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', abort)
    iterator.return?.().catch(() => {})
  }
}

/** With the code, of the cluster or of the system: the message is what a status shows. */
function messageOf (error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return isRaftError(error) ? `${error.message} (${error.code})` : error.message
}
