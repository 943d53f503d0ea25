import type {
  Entry,
  Index,
  Installation,
  Message,
  NodeId,
  SnapshotPoint,
  Term,
  Violation
} from '../core/index.ts'
import { asIndex } from '../core/index.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'
import type { SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotPiece, SnapshotReply } from '../transport/snapshot-codec.ts'
import { toMeta } from './meta.ts'
import type { SnapshotPolicy } from './policy.ts'
import { SnapshotReceiver } from './receiver.ts'
import { SnapshotSender } from './sender.ts'
import { Snapshotter } from './taker.ts'

/** What {@link Snapshots} needs of its node. */
export interface SnapshotsOptions {
  readonly store: SnapshotStore
  readonly policy: SnapshotPolicy
  readonly nowMs: () => number
  readonly timers: Timers
  readonly logger: Logger
  /** What a snapshot taken now stands for, or null when the state is that of no index. */
  readonly point: () => SnapshotPoint | null
  /** Captures the state; see `StateMachine.snapshot`. */
  readonly capture: () => AsyncIterable<Uint8Array>
  readonly taken: (info: SnapshotInfo) => void
  readonly position: () => { readonly term: Term, readonly commitIndex: number }
  readonly compact: (covered: Index, keepEntries: number, keepBytes: number) => void
  readonly sent: (peer: NodeId, index: Index) => void
  readonly sendFailed: (peer: NodeId) => void
  readonly violation: (installation: Installation) => Violation | null
  readonly install: (installation: Installation) => Promise<readonly Message[]>
  readonly send: (to: NodeId, piece: SnapshotPiece, signal: AbortSignal) => Promise<SnapshotReply>
  readonly answersReceived: (messages: readonly Message[]) => void
}

/** Snapshots taken while an older one is still being sent, before the log is forgotten all the same. */
const maxHeldBack = 3
const sendRetryAfterMs = 1_000

/**
 * A node's snapshots (paper section 7): takes them, has the log forgotten behind them, sends them to peers and takes
 * those that a leader sends.
 */
export class Snapshots {
  readonly #options: SnapshotsOptions
  readonly #taker: Snapshotter
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  #heldBack = 0
  #arrived: SnapshotInfo | null = null

  constructor (options: SnapshotsOptions) {
    this.#options = options
    const { store, policy, nowMs, timers, logger } = options
    this.#taker = new Snapshotter({
      policy,
      store,
      nowMs,
      logger,
      capture: () => {
        const point = options.point()
        return point === null ? null : { meta: toMeta(point), source: options.capture() }
      },
      taken: (info) => {
        this.#forgetLog(info.index)
        options.taken(info)
      }
    })
    this.#sender = new SnapshotSender({
      store,
      bytesPerSecond: policy.bytesPerSecond,
      retryAfterMs: sendRetryAfterMs,
      nowMs,
      timers,
      logger,
      send: options.send,
      ended: (peer, index, answers) => {
        options.answersReceived(answers)
        if (index === null) options.sendFailed(peer)
        else options.sent(peer, index)
      }
    })
    this.#receiver = new SnapshotReceiver({
      store,
      position: options.position,
      violation: options.violation,
      install: (installation, info) => this.#install(installation, info)
    })
  }

  /** Index of the latest snapshot; 0 when there is none. */
  get latestIndex (): number { return this.#options.store.latest()?.index ?? 0 }

  /** The last snapshot that was given to the core. */
  get arrived (): SnapshotInfo {
    if (this.#arrived === null) throw new Error('no snapshot has arrived')
    return this.#arrived
  }

  /** These entries were applied. */
  applied (entries: readonly Entry[]): void {
    this.#taker.applied(entries)
  }

  /** A tick went by: what failed some time ago is tried again. */
  tick (): void {
    this.#taker.takeWhenDue()
  }

  /** Sends the latest snapshot to a peer, unless it is being sent one. */
  send (peer: NodeId): void {
    this.#sender.start(peer, this.#options.position().term)
  }

  /** The view has changed: the next leader has snapshots of its own. */
  stopSending (): void {
    this.#sender.stop()
  }

  /** Takes a snapshot now; see {@link Snapshotter.take}. */
  take (): Promise<SnapshotInfo> {
    return this.#taker.take()
  }

  /** Takes a part of a snapshot from a leader; see {@link SnapshotReceiver.receive}. */
  receive (from: NodeId, piece: SnapshotPiece): Promise<SnapshotReply> {
    return this.#receiver.receive(from, piece)
  }

  async stop (): Promise<void> {
    this.#sender.stop()
    await this.#receiver.stop()
    await this.#taker.stop()
  }

  async #install (installation: Installation, info: SnapshotInfo): Promise<readonly Message[]> {
    this.#arrived = info
    const answers = await this.#options.install(installation)
    this.#taker.restored()
    // The log may hold all that the snapshot does, and was not replaced: it covers that now.
    this.#forgetLog(asIndex(Math.min(installation.snapshot.index, this.latestIndex)))
    return answers
  }

  /**
   * A peer that is being sent a snapshot will ask for the log behind that next: it stays for a while, lest a peer whose
   * transfers take longer than the next snapshot never gets to the end of them.
   */
  #forgetLog (through: Index): void {
    const { policy, compact } = this.#options
    const oldest = this.#sender.oldestIndex
    const isHeldBack = oldest !== null && oldest < through && this.#heldBack < maxHeldBack
    this.#heldBack = isHeldBack ? this.#heldBack + 1 : 0
    compact(isHeldBack ? asIndex(oldest) : through, policy.trailingEntries, policy.trailingBytes)
  }
}
