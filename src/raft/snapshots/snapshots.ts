import type {
  Entry,
  Index,
  Installation,
  Message,
  NodeId,
  SnapshotPoint
} from '../core/index.ts'
import { asIndex } from '../core/index.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'
import type { SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotPiece, SnapshotReply } from '../transport/snapshot-codec.ts'
import { toMeta } from './meta.ts'
import type { SnapshotPolicy } from './policy.ts'
import type { SnapshotJudge } from './receiver.ts'
import { SnapshotReceiver } from './receiver.ts'
import type { SnapshotSenderHost } from './sender.ts'
import { SnapshotSender } from './sender.ts'
import { Snapshotter } from './taker.ts'

/** What {@link Snapshots} works with. */
interface SnapshotsOptions {
  readonly store: SnapshotStore
  readonly policy: SnapshotPolicy
  readonly nowMs: () => number
  readonly timers: Timers
  readonly logger: Logger
}

/** The node whose snapshots these are. */
export interface SnapshotHost extends SnapshotJudge, SnapshotSenderHost {
  /** What a snapshot taken now stands for, or null when the state is that of no index. */
  readonly snapshotPoint: () => SnapshotPoint | null
  /** Captures the state; see `StateMachine.snapshot`. */
  readonly capture: () => AsyncIterable<Uint8Array>
  /** A snapshot of this node is durable. */
  readonly snapshotTaken: (info: SnapshotInfo) => void
  /** The log may be compacted; see `RaftCore.compact`. */
  readonly compact: (covered: Index, keepEntries: number, keepBytes: number) => void
  /** Gives a snapshot to the core; resolves with its answers to the sender when the disk has what they promise. */
  readonly install: (installation: Installation<SnapshotInfo>) => Promise<readonly Message[]>
}

/** Snapshots taken while an older one is still being sent, before the log is compacted all the same. */
const maxHeldBack = 3
const sendRetryAfterMs = 1_000

/**
 * A node's snapshots (paper section 7): takes them, compacts the log behind them, sends them to peers and receives
 * those that a leader sends.
 */
export class Snapshots {
  readonly #options: SnapshotsOptions
  readonly #host: SnapshotHost
  readonly #taker: Snapshotter
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  #heldBack = 0

  constructor (options: SnapshotsOptions, host: SnapshotHost) {
    this.#options = options
    this.#host = host
    const { store, policy, nowMs, timers, logger } = options
    this.#taker = new Snapshotter({
      policy,
      store,
      nowMs,
      logger,
      capture: () => {
        const point = host.snapshotPoint()
        return point === null ? null : { meta: toMeta(point), source: host.capture() }
      },
      taken: (info) => {
        this.#compactLog(info.index)
        host.snapshotTaken(info)
      }
    })
    const { bytesPerSecond } = policy
    this.#sender = new SnapshotSender(
      { store, bytesPerSecond, retryAfterMs: sendRetryAfterMs, nowMs, timers, logger },
      host
    )
    this.#receiver = new SnapshotReceiver(store, host)
  }

  /** Index of the latest snapshot; 0 when there is none. */
  get latestIndex (): number { return this.#options.store.latest()?.index ?? 0 }

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
    this.#sender.start(peer, this.#host.position().term)
  }

  /** The view has changed: the next leader has snapshots of its own. */
  stopSending (): void {
    this.#sender.stop()
  }

  /** Takes a snapshot now; see {@link Snapshotter.take}. */
  take (): Promise<SnapshotInfo> {
    return this.#taker.take()
  }

  /**
   * Takes a chunk of a snapshot from a leader; see {@link SnapshotReceiver.receive}. When it was the last one, the
   * snapshot is given to the core.
   */
  async receive (from: NodeId, piece: SnapshotPiece): Promise<SnapshotReply> {
    const { offset, installation } = await this.#receiver.receive(from, piece)
    return { offset, messages: installation === null ? [] : await this.#install(installation) }
  }

  async stop (): Promise<void> {
    this.#sender.stop()
    await this.#receiver.stop()
    await this.#taker.stop()
  }

  async #install (installation: Installation<SnapshotInfo>): Promise<readonly Message[]> {
    const answers = await this.#host.install(installation)
    this.#taker.restored()
    // The log may hold all that the snapshot does, and was not replaced: it covers that now.
    this.#compactLog(asIndex(Math.min(installation.snapshot.index, this.latestIndex)))
    return answers
  }

  /**
   * A peer that is being sent a snapshot will ask for the log behind that next: it stays for a while, lest a peer whose
   * transfers take longer than the next snapshot never gets to the end of them.
   */
  #compactLog (through: Index): void {
    const { policy } = this.#options
    const oldest = this.#sender.oldestIndex
    const isHeldBack = oldest !== null && oldest < through && this.#heldBack < maxHeldBack
    this.#heldBack = isHeldBack ? this.#heldBack + 1 : 0
    this.#host.compact(isHeldBack ? asIndex(oldest) : through, policy.trailingEntries, policy.trailingBytes)
  }
}
