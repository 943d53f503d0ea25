import type {
  ChangeOptions,
  LeaderInfo,
  Member,
  MemberInfo,
  Membership,
  SnapshotTaken,
  WaitOptions
} from '../../raft/index.ts'
import type { Grant } from '../primitives/grant.ts'

/**
 * A time in milliseconds, or that and a signal. `requestTimeoutMs` of the plugin when left out, `Infinity` for no
 * limit.
 */
export type Wait = number | WaitOptions

/** How long a transfer of leadership may take: twice the longest election timeout when left out. */
export type TransferOptions = WaitOptions

/** A member to be added. */
export interface NewMember extends Member {
  /** Which log it keeps, as its own `status` says; left out: whichever answers first at its URL. */
  readonly incarnation?: string | undefined
}

/**
 * The condition of a change of membership, and how long it may take: `requestTimeoutMs` of the plugin when left out.
 */
export type MemberChangeOptions = ChangeOptions

/** The conditions of a change of a member's URL. */
export interface MemberMoveOptions extends MemberChangeOptions {
  /** Refuses the change unless the cluster knows the member by this log: `RAFT_WRONG_INCARNATION`. */
  readonly ifIncarnation?: string | undefined
}

/** This node's role, as the event `leadershipChanged` tells it. */
export interface LeadershipChange {
  readonly isLeader: boolean
  /** Fencing token of the leadership as a decimal string; null when this node does not lead. */
  readonly token: string | null
  readonly term: number
}

/** The events of {@link Cluster}. */
export interface ClusterEvents {
  /** This node's leadership started or ended. */
  leadershipChanged: [change: LeadershipChange]
  /** Another leader is known, or none. */
  leaderChanged: [leader: LeaderInfo | null]
  /** Another membership is in force on this node; it may not be settled yet. */
  membershipChanged: [membership: Membership]
  /** A snapshot of this node's state is durable. */
  snapshotTaken: [snapshot: SnapshotTaken]
}

/** The listener of an event of {@link Cluster}. */
export type ClusterListener<Name extends keyof ClusterEvents> = (...args: ClusterEvents[Name]) => void

/** The work ran, and this node led under one grant from its start to its end. */
export interface Completed<T> {
  readonly status: 'completed'
  readonly value: T
  /** Fencing token of the leadership it ran under. */
  readonly token: string
}

/** The work did not run: this node does not lead. */
export interface NotLeader {
  readonly status: 'not-leader'
  readonly leader: LeaderInfo | null
}

/**
 * The leadership ended before the work did. It may have run in part or in whole, and another leader may have run it as
 * well: only effects that carry the token are safe.
 */
export interface Lost {
  readonly status: 'lost'
  /** Fencing token of the leadership that is over. */
  readonly token: string
  readonly leader: LeaderInfo | null
}

/** What became of {@link Cluster.executeIfLeader}. */
export type ExecuteResult<T> = Completed<T> | NotLeader | Lost

/** Work for the leader only. Stop when `signal` aborts; call `grant.check()` right before every outside effect. */
export type LeaderWork<T> = (signal: AbortSignal, grant: Grant) => T | Promise<T>

/** What a node knows of itself and of its cluster; plain JSON. */
export interface ClusterStatus {
  readonly nodeId: string
  /** Which log this node keeps: random, given to it when the log was created. The cluster knows each member by it. */
  readonly incarnation: string
  readonly clusterId: string
  readonly role: 'follower' | 'pre-candidate' | 'candidate' | 'leader'
  /** Whether this node leads and its lease holds. A `role` of leader alone does not say so. */
  readonly isLeader: boolean
  readonly term: number
  readonly leader: LeaderInfo | null
  readonly commitIndex: number
  readonly appliedIndex: number
  readonly lastIndex: number
  /** Everything through this index is in a snapshot on this node; 0 when it has none. */
  readonly snapshotIndex: number
  /** Rest of the leadership lease in milliseconds; 0 when this node does not lead, null when it cannot lapse. */
  readonly leaseRemainingMs: number | null
  readonly members: readonly MemberInfo[]
  /** Version of the membership: index of the log entry that says so, 0 before one does. */
  readonly membershipVersion: number
  /**
   * Whether the file system of this node's `dataDir` has less free space than `minFreeBytes`. While it leads it refuses
   * writes for that; as a follower it goes on to write what it is sent, until a write fails. Make room on it.
   */
  readonly lowSpace: boolean
  /** Why the node stopped for good, or null. */
  readonly failure: string | null
  /** Version of fastify-raft. */
  readonly version: string
}
