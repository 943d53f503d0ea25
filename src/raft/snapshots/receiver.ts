import type { Installation, NodeId, SnapshotOffer, Term, Violation } from '../core/index.ts'
import { MalformedMessageError } from '../errors.ts'
import { Turns } from '../runtime/scheduling.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotPiece } from '../transport/snapshot-codec.ts'
import { toPoint } from './meta.ts'

/** What decides whether a snapshot is taken. */
export interface SnapshotJudge {
  /** Term and commit index of this node now. */
  readonly position: () => { readonly term: Term, readonly commitIndex: number }
  /** The rule of the protocol that the snapshot breaks, or null; see `RaftCore.installViolation`. */
  readonly installViolation: (offer: SnapshotOffer) => Violation | null
}

/** What a chunk of a snapshot led to. */
interface ReceivedChunk {
  /** How many bytes of the snapshot's data are here: the sender goes on with those behind. */
  readonly offset: number
  /** What to give to the core, if only for it to turn it away; null while chunks are missing. */
  readonly installation: Installation<SnapshotInfo> | null
}

/**
 * Takes a snapshot that a leader sends chunk by chunk. It is to be given to the core only when all of it is durable and
 * its checksum is right; until then nothing of this node changes. Rejects with `RAFT_SNAPSHOT_CORRUPT` or
 * `RAFT_TOO_LARGE`, and with `RAFT_MALFORMED_MESSAGE` when the sender cannot be the leader, before any of the data is
 * taken.
 */
export class SnapshotReceiver {
  readonly #store: SnapshotStore
  readonly #judge: SnapshotJudge
  #incoming: IncomingSnapshot | null = null
  readonly #turns = new Turns()

  constructor (store: SnapshotStore, judge: SnapshotJudge) {
    this.#store = store
    this.#judge = judge
  }

  /** In turns: a sender that has given up may have left a chunk on its way when it, or the next leader, begins anew. */
  async receive (from: NodeId, piece: SnapshotPiece): Promise<ReceivedChunk> {
    const offer = { from, term: piece.term, snapshot: toPoint(piece.info) }
    return await this.#turns.take(() => this.#take(piece, offer))
  }

  /** Drops what has not arrived as a whole: nothing of it would outlive a restart. */
  stop (): Promise<void> {
    return this.#turns.take(async () => {
      await this.#incoming?.discard()
    })
  }

  async #take ({ info, offset, bytes }: SnapshotPiece, offer: SnapshotOffer): Promise<ReceivedChunk> {
    const complete = (handle: SnapshotInfo): ReceivedChunk =>
      ({ offset: info.bytes, installation: { ...offer, handle } })
    if (this.#isUnneeded(offer)) return complete(info)
    const latest = this.#store.latest()
    // What this node holds is what it can restore: the same state may be other bytes on another node.
    if (latest?.index === info.index && latest.term === info.term) return complete(latest)
    const incoming = await this.#store.receive(info)
    this.#incoming = incoming
    if (offset === incoming.offset && bytes.byteLength > 0) await incoming.write(offset, bytes)
    if (incoming.offset < info.bytes) return { offset: incoming.offset, installation: null }
    // Time has passed: what the core would turn away by now must not become the snapshot that a start begins with.
    if (await this.#becameUnneeded(incoming, offer)) return complete(info)
    return complete(await incoming.finish())
  }

  async #becameUnneeded (incoming: IncomingSnapshot, offer: SnapshotOffer): Promise<boolean> {
    try {
      if (!this.#isUnneeded(offer)) return false
    } catch (error) {
      await incoming.discard()
      throw error
    }
    await incoming.discard()
    return true
  }

  /** Whether the core turns it away without needing its data. Throws when it breaks a rule of the protocol. */
  #isUnneeded (offer: SnapshotOffer): boolean {
    const violation = this.#judge.installViolation(offer)
    if (violation !== null) throw new MalformedMessageError(violation.message)
    const { term, commitIndex } = this.#judge.position()
    return offer.term < term || offer.snapshot.index <= commitIndex
  }
}
