import type { Installation, Message, NodeId, Term } from './core/index.ts'
import { MalformedMessageError } from './errors.ts'
import { toPoint } from './snapshot-meta.ts'
import type { IncomingSnapshot, SnapshotInfo, SnapshotStore } from './storage/snapshot-store.ts'
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
  #incoming: IncomingSnapshot | null = null

  constructor (options: SnapshotReceiverOptions) {
    this.#options = options
  }

  async receive (from: NodeId, { term, info, offset, bytes }: SnapshotPiece): Promise<SnapshotReply> {
    const { store, install } = this.#options
    const installation = { from, term, snapshot: toPoint(info) }
    const installed = async (held: SnapshotInfo): Promise<SnapshotReply> => ({ offset: info.bytes, messages: await install(installation, held) })
    if (this.#isPointless(installation)) return await installed(info)
    const latest = store.latest()
    // What this node holds is what it can restore: the same state may be other bytes on another node.
    if (latest?.index === info.index && latest.term === info.term) return await installed(latest)
    const incoming = await store.receive(info)
    this.#incoming = incoming
    if (offset === incoming.offset && bytes.byteLength > 0) await incoming.write(offset, bytes)
    if (incoming.offset < info.bytes) return { offset: incoming.offset, messages: [] }
    // Time has passed: what the core would turn away by now must not become the snapshot that a start begins with.
    if (await this.#becamePointless(incoming, installation)) return await installed(info)
    return await installed(await incoming.finish())
  }

  /** Drops what has not arrived as a whole: nothing of it would outlive a restart. */
  async stop (): Promise<void> {
    await this.#incoming?.discard()
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
    if (violation !== null) throw new MalformedMessageError(violation)
    const { term, commitIndex } = this.#options.position()
    return installation.term < term || installation.snapshot.index <= commitIndex
  }
}
