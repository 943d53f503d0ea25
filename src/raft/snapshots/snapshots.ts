import type {
  Entry,
  Index,
  Installation,
  Message,
  NodeId,
  SnapshotPoint
} from '../core/index.ts'
import { asIndex } from '../core/index.ts'
import type { SnapshotFailure } from '../engine.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'
import type { SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotChunk, SnapshotReply } from '../transport/snapshot-codec.ts'
import { toMeta } from './meta.ts'
import type { SnapshotPolicy } from './policy.ts'
import type { SnapshotJudge } from './receiver.ts'
import { SnapshotReceiver } from './receiver.ts'
import type { SnapshotSenderHost } from './sender.ts'
import { SnapshotSender } from './sender.ts'
import { Snapshotter } from './taker.ts'

/** Options of {@link Snapshots}. */
interface SnapshotsOptions {
  readonly store: SnapshotStore
  readonly policy: SnapshotPolicy
  readonly nowMs: () => number
  readonly timers: Timers
  readonly logger: Logger
}

/** The node that {@link Snapshots} belong to. */
export interface SnapshotHost extends SnapshotJudge, SnapshotSenderHost {
  /** The snapshot point of a snapshot taken now; null when nothing was applied yet or the state is being restored. */
  readonly snapshotPoint: () => SnapshotPoint | null
  /** Captures the state; see `StateMachine.snapshot`. */
  readonly capture: () => AsyncIterable<Uint8Array>
  /** A snapshot of this node is durable. */
  readonly snapshotTaken: (info: SnapshotInfo) => void
  /** The log may be compacted; see `RaftCore.compact`. */
  readonly compact: (covered: Index, keepEntries: number, keepBytes: number) => void
  /**
   * Gives a snapshot to the core; resolves with the answers to the sender once the writes that they promise are
   * durable.
   */
  readonly install: (installation: Installation<SnapshotInfo>) => Promise<readonly Message[]>
}

/** How many new snapshots may be taken without compaction while an older one is being sent. */
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

  /** That the last snapshots of this node's state failed, or null. */
  get failure (): SnapshotFailure | null { return this.#taker.failure }

  /** These entries were applied. */
  applied (entries: readonly Entry[]): void {
    this.#taker.applied(entries)
  }

  /** A tick went by: takes a snapshot that is due, also one that failed some time ago. */
  tick (): void {
    this.#taker.takeWhenDue()
  }

  /** Sends the latest snapshot to a peer, unless it is being sent one. */
  send (peer: NodeId): void {
    this.#sender.start(peer, this.#host.position().term)
  }

  /** These are the members from now on; see {@link SnapshotSender.keep}. */
  membersChanged (members: readonly NodeId[]): void {
    this.#sender.keep(members)
  }

  /** The view has changed: the next leader sends its own snapshots. */
  stopSending (): void {
    this.#sender.stop()
  }

  /** Takes a snapshot now; see {@link Snapshotter.take}. */
  take (): Promise<SnapshotInfo> {
    return this.#taker.take()
  }

  /**
   * Receives a chunk of a snapshot from a leader; see {@link SnapshotReceiver.receive}. After the last chunk the
   * snapshot is given to the core.
   */
  async receive (from: NodeId, chunk: SnapshotChunk): Promise<SnapshotReply> {
    const { offset, installation } = await this.#receiver.receive(from, chunk)
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
    // The log may hold all entries of the snapshot, so it was not replaced: compacts it as far as the snapshot covers
    // it.
    this.#compactLog(asIndex(Math.min(installation.snapshot.index, this.latestIndex)))
    return answers
  }

  /**
   * Compacts the log. A peer that is being sent a snapshot needs the entries behind it next, so those stay for a while:
   * otherwise a peer whose transfers take longer than the next snapshot would never catch up.
   */
  #compactLog (through: Index): void {
    const { policy } = this.#options
    const oldest = this.#sender.oldestIndex
    const isHeldBack = oldest !== null && oldest < through && this.#heldBack < maxHeldBack
    this.#heldBack = isHeldBack ? this.#heldBack + 1 : 0
    this.#host.compact(isHeldBack ? asIndex(oldest) : through, policy.trailingEntries, policy.trailingBytes)
  }
}
