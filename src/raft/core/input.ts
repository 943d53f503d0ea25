import type { ConfigurationChange } from './configuration.ts'
import type { Message } from './message.ts'
import type { Installation } from './snapshot.ts'
import type { Index, NodeId } from './types.ts'

/** A command to append: opaque bytes and the leader's wall clock in milliseconds since the epoch. */
export interface Proposal {
  readonly data: Uint8Array
}

/**
 * One thing that happened to the node. The core takes them one at a time and never waits.
 *
 * - `tick`: one tick of the driver's clock went by.
 * - `receive`: a message from a peer arrived.
 * - `propose`: append these commands; only a leader does. `wallMs` stamps them with log time.
 * - `read`: confirm leadership and say from which index on a read sees all committed writes. `context` is the caller's
 *   mark, unique on this node.
 * - `persisted`: the write with this id, and all earlier ones, survive a power cut.
 * - `unreachable`: messages to this peer were lost.
 * - `campaign`: start an election now, without waiting for the timeout; ignored unless a follower that has heard from
 *   no leader for the minimum election timeout, or nobody else can lead.
 * - `configure`: change who belongs. `expectedIndex` is the index of the configuration that the caller has seen, or
 * null.
 * - `transfer`: hand leadership over to this peer, or to the most caught-up one.
 * - `step-down`: stop leading in this term.
 * - `compact`: a durable snapshot of this node covers everything through `covered`; the log may be forgotten up to
 * there,
 *   but for the last entries, at most `keepEntries` with at most `keepBytes`.
 * - `install`: a snapshot that a leader sent is complete and durable on this node.
 * - `snapshot-sent`: the peer has all of a snapshot through `index`.
 * - `snapshot-failed`: the peer was not sent the snapshot that {@link Output.snapshotsWanted} asked for.
 */
export type Input =
  | { readonly kind: 'tick'; readonly wallMs: number }
  | { readonly kind: 'receive'; readonly message: Message; readonly wallMs: number }
  | { readonly kind: 'propose'; readonly proposals: readonly Proposal[]; readonly wallMs: number }
  | { readonly kind: 'read'; readonly contexts: readonly number[] }
  | { readonly kind: 'persisted'; readonly writeId: number; readonly wallMs: number }
  | { readonly kind: 'unreachable'; readonly peer: NodeId }
  | { readonly kind: 'campaign' }
  | {
    readonly kind: 'configure'
    readonly changes: readonly ConfigurationChange[]
    readonly expectedIndex: number | null
    readonly wallMs: number
  }
  | { readonly kind: 'transfer'; readonly to: NodeId | null }
  | { readonly kind: 'step-down' }
  | { readonly kind: 'compact'; readonly covered: Index; readonly keepEntries: number; readonly keepBytes: number }
  | ({ readonly kind: 'install' } & Installation)
  | { readonly kind: 'snapshot-sent'; readonly peer: NodeId; readonly index: Index }
  | { readonly kind: 'snapshot-failed'; readonly peer: NodeId }
