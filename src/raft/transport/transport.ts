import type { ClusterMark, Message, NodeId } from '../core/index.ts'
import type { Member } from '../engine.ts'
import type { ClockReadings } from '../runtime/clock-readings.ts'
import type { Address, ForwardAnswer } from './codec.ts'
import type { SnapshotChunk, SnapshotReply } from './snapshot-codec.ts'

/** What a transport reports to its node. */
export interface TransportEvents {
  /** Answers of a peer to messages of this node. */
  readonly answersReceived: (from: NodeId, messages: readonly Message[]) => void
  /** Appends to this peer were lost. */
  readonly peerUnreachable: (peer: NodeId) => void
  /** A connection to this peer was refused where {@link Transport.tryConnection} had asked for one. */
  readonly connectionRefused: (peer: NodeId) => void
}

/**
 * Carries messages to peers: unreliable, unordered between lanes, never blocking, bounded in memory.
 */
export interface Transport {
  /** Who the peers are from now on, and where. Connections to others end. */
  readonly setPeers: (peers: readonly Member[]) => void
  readonly send: (messages: readonly Message[]) => void
  /**
   * Hands commands to another node for its log. A rejection means that they may or may not have arrived; a
   * `NotSentError` means that they did not.
   */
  readonly forward: (to: NodeId, commands: readonly Uint8Array[]) => Promise<ForwardAnswer>
  /**
   * Sends a part of a snapshot, on a connection of its own. A rejection means that it may or may not have arrived, or
   * was refused; with the signal's reason when that aborts first.
   */
  readonly sendSnapshot: (to: NodeId, chunk: SnapshotChunk, signal: AbortSignal) => Promise<SnapshotReply>
  /**
   * This peer proposes or reads through this node: what it waits for ends with the commit index, which is not held back
   * from it for a while.
   */
  readonly commitAwaitedBy: (peer: NodeId) => void
  /** Opens a connection to this peer, sends nothing, and closes it. Reports when it is refused; no news otherwise. */
  readonly tryConnection: (peer: NodeId) => void
  readonly close: () => Promise<void>
}

/** Where this node and its peers say that they are reached, beside what the configuration says. */
export interface PeerUrls {
  /** Where this node is reached as far as it knows itself; empty when it does not. */
  readonly own: string
  /** Where else a member may be reached than its configuration says. None for a member whose log is not recorded. */
  readonly candidates: (id: NodeId) => readonly string[]
  /**
   * What another node says of the URLs of members, its own included. `address` has been checked. Returns where the
   * sender says that it is reached itself, or null when that counts for nothing.
   */
  readonly heard: (address: Address, members: readonly Member[]) => string | null
  /** This member has answered at this URL. */
  readonly confirmed: (id: NodeId, url: string) => void
}

/** What a node offers to the routes that its peers call. */
export interface PeerEndpoint {
  /** Otherwise requests are refused with `RAFT_STOPPED`. */
  readonly isRunning: boolean
  /**
   * Whether this node has, may have had or waits for other members. Otherwise no node has reason to call it, and the
   * routes do not exist.
   */
  readonly expectsPeers: boolean
  /**
   * Takes messages and resolves with the answers for the sender, when those that are promises about this disk may be
   * part of them. The sender may be a node that this one has not heard of yet.
   */
  readonly receive: (messages: readonly Message[]) => Promise<readonly Message[]>
  /** Takes a part of a snapshot; rejects with its code when it cannot be one, with nothing changed. */
  readonly receiveSnapshot: (from: NodeId, chunk: SnapshotChunk) => Promise<SnapshotReply>
  /** Appends commands that a peer forwarded, if this node leads. */
  readonly acceptForwarded: (from: NodeId, commands: readonly Uint8Array[]) => ForwardAnswer
}

/** Tells the transport which log each peer keeps: a node without the log of its member is another node. */
export interface PeerIdentities {
  /** Incarnation of this node's log. */
  readonly own: string
  /** Incarnation that a member must have; empty when any does. */
  readonly of: (id: NodeId) => string
  /** Throws `RAFT_WRONG_INCARNATION` when an answer does not come from the member that was asked. */
  readonly checkAnswer: (address: Address) => void
  /**
   * Throws `RAFT_WRONG_INCARNATION` when a request is for another log of this node, or from an unexpected one, and
   * `RAFT_UNAUTHORIZED` when its sender is no member.
   */
  readonly checkRequest: (address: Address, content: readonly Message[] | 'snapshot') => void
}

/** Tells the transport which cluster this node belongs to, among all of its name. */
export interface ClusterIdentity {
  /** What this node says about its cluster; undefined while its log names none. */
  readonly mark: () => ClusterMark | undefined
  /** Throws `RAFT_OTHER_CLUSTER` when an answer comes from a node of another cluster. */
  readonly checkAnswer: (address: Address) => void
  /**
   * Throws `RAFT_OTHER_CLUSTER` when a request comes from a node of another cluster, or when one of its messages may
   * come only from a node that names this one. `messages` is empty for other requests.
   */
  readonly checkRequest: (address: Address, messages: readonly Message[]) => void
}

/**
 * Random bytes that nodes tell their peers with the messages that they send them, for proofs of what they send each
 * other beside those. The transport carries them and knows no more.
 */
export interface NonceExchange {
  /** What this node tells at the moment. */
  readonly ownBytes: Uint8Array
  /** Takes what a member has sent along; empty when it sent none. The bytes are to be copied. */
  readonly learn: (from: string, bytes: Uint8Array) => void
  /** Gets what the monotonic clocks of members showed when they sent messages, in milliseconds. Default: nobody. */
  readonly clocks?: Pick<ClockReadings, 'note'>
}
