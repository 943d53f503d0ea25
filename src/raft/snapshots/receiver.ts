import type { Installation, Message, NodeId, Term, Violation } from '../core/index.ts'
import { MalformedMessageError } from '../errors.ts'
import { Turns } from '../runtime/scheduling.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotPiece, SnapshotReply } from '../transport/snapshot-codec.ts'
import { toPoint } from './meta.ts'

/** What a {@link SnapshotReceiver} works with. */
export interface SnapshotReceiverOptions {
  readonly store: SnapshotStore
  /** Term and commit index of this node now. */
  readonly position: () => { readonly term: Term, readonly commitIndex: number }
  /** Why the core would refuse it, or null. */
  readonly violation: (installation: Installation) => Violation | null
  /** Gives a snapshot to the core, and its answers to the sender when the disk has kept what they promise. */
  readonly install: (installation: Installation, info: SnapshotInfo) => Promise<readonly Message[]>
}

/**
 * Takes a snapshot that a leader sends part by part. It is given to the core only when all of it is durable and its
 * checksum is right; until then nothing of this node changes. Rejects with `RAFT_SNAPSHOT_CORRUPT` or `RAFT_TOO_LARGE`,
 * and with `RAFT_MALFORMED_MESSAGE` when the sender cannot be the leader, before any of the data is taken.
 */
export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions
  #incoming: IncomingSnapshot | null = null
  readonly #turns = new Turns()

  constructor (options: SnapshotReceiverOptions) {
    this.#options = options
  }

  async receive (from: NodeId, piece: SnapshotPiece): Promise<SnapshotReply> {
    const installation = { from, term: piece.term, snapshot: toPoint(piece.info) }
    const { offset, held } = await this.#turns.take(() => this.#take(piece, installation))
    return { offset, messages: held === null ? [] : await this.#options.install(installation, held) }
  }

  /** Drops what has not arrived as a whole: nothing of it would outlive a restart. */
  stop (): Promise<void> {
    return this.#turns.take(async () => {
      await this.#incoming?.discard()
    })
  }

  /**
   * Takes a part. `held` is what is to be given to the core, if only for it to turn it away; null while parts are
   * missing. In turns: a sender that has given up may have left a part on its way when it, or the next leader, begins
   * anew.
   */
  async #take (
    { info, offset, bytes }: SnapshotPiece,
    installation: Installation
  ): Promise<{ readonly offset: number; readonly held: SnapshotInfo | null }> {
    const { store } = this.#options
    const whole = (held: SnapshotInfo) => ({ offset: info.bytes, held })
    if (this.#isPointless(installation)) return whole(info)
    const latest = store.latest()
    // What this node holds is what it can restore: the same state may be other bytes on another node.
    if (latest?.index === info.index && latest.term === info.term) return whole(latest)
    const incoming = await store.receive(info)
    this.#incoming = incoming
    if (offset === incoming.offset && bytes.byteLength > 0) await incoming.write(offset, bytes)
    if (incoming.offset < info.bytes) return { offset: incoming.offset, held: null }
    // Time has passed: what the core would turn away by now must not become the snapshot that a start begins with.
    if (await this.#becamePointless(incoming, installation)) return whole(info)
    return whole(await incoming.finish())
  }

  async #becamePointless (incoming: IncomingSnapshot, installation: Installation): Promise<boolean> {
    try {
      if (!this.#isPointless(installation)) return false
    } catch (error) {
      await incoming.discard()
      throw error
    }
    await incoming.discard()
    return true
  }

  /** Whether the core turns it away, for which it needs none of the data. Throws when it contradicts the protocol. */
  #isPointless (installation: Installation): boolean {
    const violation = this.#options.violation(installation)
    if (violation !== null) throw new MalformedMessageError(violation.message)
    const { term, commitIndex } = this.#options.position()
    return installation.term < term || installation.snapshot.index <= commitIndex
  }
}
