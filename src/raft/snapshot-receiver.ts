import type { Installation, Message, NodeId, Term } from './core/index.ts'
import { MalformedMessageError } from './errors.ts'
import { toPoint } from './snapshot-meta.ts'
import type { SnapshotInfo, SnapshotStore } from './storage/snapshot-store.ts'
import type { SnapshotPiece, SnapshotReply } from './transport/snapshot-codec.ts'

/** What a {@link SnapshotReceiver} works with. */
export interface SnapshotReceiverOptions {
  readonly store: SnapshotStore
  /** Term and commit index of this node now. */
  readonly position: () => { readonly term: Term, readonly commitIndex: number }
  /** Why the core would refuse it, or null. */
  readonly violation: (installation: Installation) => string | null
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

  constructor (options: SnapshotReceiverOptions) {
    this.#options = options
  }

  async receive (from: NodeId, { term, info, offset, bytes }: SnapshotPiece): Promise<SnapshotReply> {
    const { store, position, install } = this.#options
    const installation = { from, term, snapshot: toPoint(info) }
    const violation = this.#options.violation(installation)
    if (violation !== null) throw new MalformedMessageError(violation)
    const here = position()
    // The core turns both away: it needs none of the data for that.
    const isPointless = term < here.term || info.index <= here.commitIndex
    const latest = store.latest()
    const isHere = latest?.index === info.index && latest.term === info.term
    if (isPointless || isHere) return { offset: info.bytes, messages: await install(installation, info) }
    const incoming = await store.receive(info)
    if (offset === incoming.offset && bytes.byteLength > 0) await incoming.write(offset, bytes)
    if (incoming.offset < info.bytes) return { offset: incoming.offset, messages: [] }
    await incoming.finish()
    return { offset: info.bytes, messages: await install(installation, info) }
  }
}
