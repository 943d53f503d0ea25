import type { Index, Message, NodeId, Term } from '../core/index.ts'
import { SnapshotGoneError, StoppedError } from '../errors.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'
import { pause } from '../runtime/timers.ts'
import type { SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotChunk, SnapshotReply } from '../transport/snapshot-codec.ts'

/** Options of a {@link SnapshotSender}. */
interface SnapshotSenderOptions {
  readonly store: SnapshotStore
  /** Highest rate to each peer. */
  readonly bytesPerSecond: number
  /** Pause before the core is told of a failure, and so before the next attempt. */
  readonly retryAfterMs: number
  readonly nowMs: () => number
  readonly timers: Timers
  readonly logger: Logger
}

/** Sends the chunks of a {@link SnapshotSender}, and gets its outcomes. */
export interface SnapshotSenderHost {
  /** Sends one chunk, and resolves with the peer's reply. */
  readonly sendChunk: (to: NodeId, chunk: SnapshotChunk, signal: AbortSignal) => Promise<SnapshotReply>
  /**
   * The peer has the snapshot through this index, or not (null): the peer refused it, or the transfer failed. `answers`
   * are the messages of the peer's core.
   */
  readonly transferEnded: (peer: NodeId, index: Index | null, answers: readonly Message[]) => void
}

interface Sending {
  readonly abort: AbortController
  info: SnapshotInfo | null
}

/**
 * How often a transfer may start over, because a newer snapshot replaced the one being sent or the receiver lost its
 * part.
 */
const maxStarts = 10
const nothing = new Uint8Array(0)

/**
 * Sends snapshots to peers: one at a time to each, a chunk at a time, no faster than allowed. An interrupted transfer
 * goes on where it stopped if the peer still has the beginning.
 */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions
  readonly #host: SnapshotSenderHost
  readonly #sending = new Map<NodeId, Sending>()

  constructor (options: SnapshotSenderOptions, host: SnapshotSenderHost) {
    this.#options = options
    this.#host = host
  }

  /** Index of the oldest snapshot being sent, or null: its receiver will need the entries behind it next. */
  get oldestIndex (): number | null {
    const indexes = [...this.#sending.values()].flatMap(({ info }) => (info === null ? [] : [info.index as number]))
    return indexes.length === 0 ? null : Math.min(...indexes)
  }

  /** Starts to send the latest snapshot, unless this peer is being sent one. */
  start (peer: NodeId, term: Term): void {
    if (this.#sending.has(peer)) return
    const sending: Sending = { abort: new AbortController(), info: null }
    this.#sending.set(peer, sending)
    this.#run(peer, term, sending).catch((error: unknown) => {
      // After an abort no failure is reported: the transfer was meant to end.
      if (!sending.abort.signal.aborted) {
        this.#options.logger.error({ err: error, peer }, 'a snapshot transfer ended unexpectedly')
      }
    })
  }

  /** These are the peers from now on: transfers to others end. A node that is added under such an id gets its own. */
  keep (peers: readonly NodeId[]): void {
    for (const [peer, { abort }] of this.#sending) {
      if (peers.includes(peer)) continue
      abort.abort(new StoppedError('the peer is no member any more'))
      this.#sending.delete(peer)
    }
  }

  /** Aborts all transfers: this node does not lead any more, or leads in another term. */
  stop (): void {
    for (const { abort } of this.#sending.values()) abort.abort(new StoppedError('it no longer sends snapshots'))
    this.#sending.clear()
  }

  async #run (peer: NodeId, term: Term, sending: Sending): Promise<void> {
    const { logger, retryAfterMs, nowMs, timers } = this.#options
    const { signal } = sending.abort
    const startMs = nowMs()
    let answers: readonly Message[] = []
    let index: Index | null = null
    try {
      const { reply, info } = await this.#sendLatest(peer, term, sending)
      answers = reply.messages
      const isTaken = answers.some((message) => message.kind === 'append-response')
      if (isTaken) index = info.index
      logger.info(
        { peer, index: info.index, bytes: info.bytes, isTaken, tookMs: Math.round(nowMs() - startMs) },
        'sent a snapshot'
      )
    } catch (error) {
      if (signal.aborted) return
      logger.warn({ err: error, peer, retryAfterMs }, 'sending a snapshot failed; a new attempt follows')
      await pause(timers, retryAfterMs, signal)
    }
    if (signal.aborted) return
    this.#sending.delete(peer)
    this.#host.transferEnded(peer, index, answers)
  }

  async #sendLatest (
    peer: NodeId,
    term: Term,
    sending: Sending
  ): Promise<{ readonly reply: SnapshotReply; readonly info: SnapshotInfo }> {
    for (let starts = 1; ; starts++) {
      const info = this.#options.store.latest()
      if (info === null) throw new SnapshotGoneError('There is no snapshot to send')
      sending.info = info
      try {
        return { info, reply: await this.#stream(peer, term, info, sending.abort.signal) }
      } catch (error) {
        if (!(error instanceof SnapshotGoneError) || starts >= maxStarts) throw error
      }
    }
  }

  async #stream (peer: NodeId, term: Term, info: SnapshotInfo, signal: AbortSignal): Promise<SnapshotReply> {
    const { store, timers } = this.#options
    const sendChunk = (offset: number, bytes: Uint8Array): Promise<SnapshotReply> =>
      this.#host.sendChunk(peer, { term, info, offset, bytes }, signal)
    let reply = await sendChunk(0, nothing)
    for (let starts = 1; reply.messages.length === 0; starts++) {
      if (starts > maxStarts) throw new Error(`the peer asked ${maxStarts} times to start over`)
      for await (const bytes of store.read(info, reply.offset)) {
        const offset = reply.offset
        const earliestMs = this.#options.nowMs() + (bytes.byteLength / this.#options.bytesPerSecond) * 1_000
        reply = await sendChunk(offset, bytes)
        if (reply.messages.length > 0 || reply.offset !== offset + bytes.byteLength) break
        const aheadMs = earliestMs - this.#options.nowMs()
        if (aheadMs > 0) await pause(timers, aheadMs, signal)
      }
    }
    return reply
  }
}
