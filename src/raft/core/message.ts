import type { Entry, Index, NodeId, Term } from './types.ts'

/** Which cluster the log of a node belongs to, as the latest configuration in it names it. */
export interface ClusterMark {
  readonly uuid: string
  /** Whether the sender knows that to be committed. Otherwise a later leader of its cluster may name another one. */
  readonly isCommitted: boolean
}

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  /** The sender's cluster; left out as long as its log names none. */
  readonly cluster?: ClusterMark
  /** The sender's term; for a pre-vote and a grant of it, the term that the candidate would start. */
  readonly term: Term
}

/** Would you vote for me? Asked before the term is raised (dissertation section 9.6). */
export interface PreVoteRequest extends Envelope {
  readonly kind: 'pre-vote-request'
  readonly lastIndex: Index
  readonly lastTerm: Term
}

/** Whether the candidate would get the vote; see {@link PreVoteRequest}. */
export interface PreVoteResponse extends Envelope {
  readonly kind: 'pre-vote-response'
  readonly granted: boolean
}

/** RequestVote (paper figure 2). */
export interface VoteRequest extends Envelope {
  readonly kind: 'vote-request'
  readonly lastIndex: Index
  readonly lastTerm: Term
  /** The leader asked for this election: voters need not keep quiet for its sake (dissertation section 4.2.3). */
  readonly isTransfer: boolean
}

/** Answer to RequestVote; a grant is sent only when the vote is durable. */
export interface VoteResponse extends Envelope {
  readonly kind: 'vote-response'
  readonly granted: boolean
}

/** AppendEntries (paper figure 2). */
export interface AppendRequest extends Envelope {
  readonly kind: 'append-request'
  readonly prevIndex: Index
  readonly prevTerm: Term
  readonly entries: readonly Entry[]
  readonly commit: Index
}

/** Answer to AppendEntries, and to a snapshot that was installed; accepted entries are durable. */
export interface AppendResponse extends Envelope {
  readonly kind: 'append-response'
  /** `prevIndex` of the request answered: tells a stale refusal from a current one. */
  readonly prevIndex: Index
  readonly result:
    | { readonly kind: 'accepted', readonly matchIndex: Index }
    /**
     * The logs differ at or before `prevIndex`. The hint is the follower's last entry that may still agree, index and
     * term (paper section 5.3, last paragraphs).
     */
    | { readonly kind: 'rejected', readonly hintIndex: Index, readonly hintTerm: Term }
}

/** Sent every heartbeat interval and for each read round, apart from the log's traffic. */
export interface HeartbeatRequest extends Envelope {
  readonly kind: 'heartbeat-request'
  /** min(match index of the receiver, commit index): never past what the receiver is known to hold. */
  readonly commit: Index
  /** Number of the round within the term; the answer repeats it (dissertation section 6.4). */
  readonly round: number
}

/** Confirms that this node follows the sender, and will grant no vote for the shortest election timeout. */
export interface HeartbeatResponse extends Envelope {
  readonly kind: 'heartbeat-response'
  /** The round answered; 0 when the request was of an earlier term and only this envelope's term matters. */
  readonly round: number
}

/** A follower asks the leader for a read index (dissertation section 6.4). */
export interface ReadRequest extends Envelope {
  readonly kind: 'read-request'
  readonly context: number
}

/** The read index: the read sees all committed writes once everything through it is applied. */
export interface ReadResponse extends Envelope {
  readonly kind: 'read-response'
  readonly context: number
  readonly index: Index
}

/** The leader hands over: start an election at once (dissertation section 3.10). */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeout-now'
}

/** Everything that nodes say to each other about consensus. */
export type Message =
  | PreVoteRequest | PreVoteResponse
  | VoteRequest | VoteResponse
  | AppendRequest | AppendResponse
  | HeartbeatRequest | HeartbeatResponse
  | ReadRequest | ReadResponse
  | TimeoutNow
