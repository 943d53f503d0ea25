import type { Installation, NodeId, SnapshotOffer, Term, Violation } from '../core/index.ts'
import { violationError } from '../runtime/refusal.ts'
import { Turns } from '../runtime/scheduling.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { SnapshotChunk } from '../transport/snapshot-codec.ts'
import { toPoint } from './meta.ts'

/** Decides whether a snapshot is accepted. */
export interface SnapshotJudge {
  /** Term and commit index of this node now. */
  readonly position: () => { readonly term: Term, readonly commitIndex: number }
  /** The rule of the protocol that the snapshot breaks, or null; see `RaftCore.installViolation`. */
  readonly installViolation: (offer: SnapshotOffer) => Violation | null
}

/** The outcome of a received chunk. */
interface ReceivedChunk {
  /** How many bytes of the snapshot's data have arrived: the sender goes on from there. */
  readonly offset: number
  /** The snapshot to offer to the core, which may refuse it; null while chunks are missing. */
  readonly installation: Installation<SnapshotInfo> | null
}

/**
 * Receives a snapshot that a leader sends chunk by chunk. The core gets it only when the whole snapshot is durable and
 * its checksum is right; until then the node's state and log do not change. Rejects with `RAFT_SNAPSHOT_CORRUPT` or
 * `RAFT_TOO_LARGE`, and before it accepts any data with `RAFT_MALFORMED_MESSAGE` when the sender cannot be the leader,
 * and with `RAFT_OTHER_CLUSTER` when the snapshot is of another cluster.
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

  /** One chunk at a time: a late chunk of an earlier transfer may arrive while this or the next leader starts over. */
  async receive (from: NodeId, chunk: SnapshotChunk): Promise<ReceivedChunk> {
    const offer = { from, term: chunk.term, snapshot: toPoint(chunk.info) }
    return await this.#turns.take(() => this.#take(chunk, offer))
  }

  /** Discards an incomplete snapshot, which a restart would drop as well. */
  stop (): Promise<void> {
    return this.#turns.take(async () => {
      await this.#incoming?.discard()
    })
  }

  async #take ({ info, offset, bytes }: SnapshotChunk, offer: SnapshotOffer): Promise<ReceivedChunk> {
    const complete = (handle: SnapshotInfo): ReceivedChunk =>
      ({ offset: info.bytes, installation: { ...offer, handle } })
    if (this.#isUnneeded(offer)) return complete(info)
    const latest = this.#store.latest()
    // Restores from this node's own file: the same state may be other bytes on another node.
    if (latest?.index === info.index && latest.term === info.term) return complete(latest)
    const incoming = await this.#store.receive(info)
    this.#incoming = incoming
    if (offset === incoming.offset && bytes.byteLength > 0) await incoming.write(offset, bytes)
    if (incoming.offset < info.bytes) return { offset: incoming.offset, installation: null }
    // Time has passed: a snapshot that the core would refuse by now must not become this node's latest snapshot.
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

  /** Whether the core refuses the snapshot without its data. Throws when the offer breaks a rule of the protocol. */
  #isUnneeded (offer: SnapshotOffer): boolean {
    const violation = this.#judge.installViolation(offer)
    if (violation !== null) throw violationError(violation)
    const { term, commitIndex } = this.#judge.position()
    return offer.term < term || offer.snapshot.index <= commitIndex
  }
}
