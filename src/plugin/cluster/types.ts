import type {
  ChangeOptions,
  LeaderInfo,
  Member,
  MemberInfo,
  Membership,
  RestoreProgress,
  SnapshotFailure,
  SnapshotTaken,
  WaitOptions
} from '../../raft/index.ts'
import type { LeadershipGrant } from '../primitives/grant.ts'
import type { KeyedRequestStats } from '../primitives/keyed-requests.ts'
import type { TaskStatus } from '../primitives/singleton-types.ts'

/**
 * How long to wait: milliseconds, or `{ timeoutMs, signal }`. `requestTimeoutMs` of the plugin when left out,
 * `Infinity` for no limit.
 */
export type WaitLimit = number | WaitOptions

/** How long a transfer of leadership may take: twice the longest election timeout when left out. */
export type TransferOptions = WaitOptions

/** A member to be added. */
export interface NewMember extends Member {
  /** The log that it keeps, as its own `status` says. Left out: the log that first answers at its URL. */
  readonly incarnation?: string | undefined
}

/** The condition of a change of membership, and how long it may take. */
export type MemberChangeOptions = ChangeOptions

/** The conditions of a change of a member's URL, or of its removal. */
export interface MemberUrlOptions extends MemberChangeOptions {
  /** Refuses the change unless the cluster knows the member by this log: `RAFT_WRONG_INCARNATION`. */
  readonly ifIncarnation?: string | undefined
}

/**
 * This node's role, as the event `leadershipChanged` and the iterator `leadership()` tell it. A lapse of the lease in
 * which no other node was elected is no change: ask `isLeader` before an outside effect.
 */
export interface LeadershipChange {
  /** Whether a leadership of this node has started and not ended. */
  readonly isLeader: boolean
  /** Fencing token of the leadership as a decimal string; null when this node does not lead. */
  readonly token: string | null
  /** Raft term in which the role began or ended. */
  readonly term: number
}

/** Who asked for something. */
export interface AuditCaller {
  /**
   * What it is known by: `member` and `gateway` have proven it, `token` has shown one, `authorized` was let in by the
   * function `authorize`. `loopback` is a client on this machine, `anybody` one that nothing is known of, and
   * `application` the code of the application, over `app.cluster`.
   */
  readonly kind: 'member' | 'gateway' | 'token' | 'authorized' | 'loopback' | 'anybody' | 'application'
  /** Id of the member, name of the gateway or token, what `authorize` said; null for the others. */
  readonly name: string | null
}

/** A change that somebody asked this node for, or calls that it refused. Never holds a token, or a value of the map. */
export interface AuditRecord {
  /** Who asked; of refused calls the last one. */
  readonly caller: AuditCaller
  /** Addresses of the connections that it came over, one unless `count` is above 1; none for the application. */
  readonly addresses: readonly string[]
  /** Method and route, such as `PUT /_cluster/v1/kv/*`, or the method of the application's call. */
  readonly action: string
  /** The member or key it is about, cut to 200 characters; null where there is none. */
  readonly target: string | null
  /** What else was asked, by name. */
  readonly parameters: Readonly<Record<string, string | number>>
  /** `failed`: it was let in, and the answer is an error. `refused`: it was not let in, and nothing was looked at. */
  readonly result: 'done' | 'failed' | 'refused'
  /** Status of the answer; null for the application. */
  readonly statusCode: number | null
  /** Code of the error; null when there is none. */
  readonly code: string | null
  /** Calls that the record stands for: above 1 for refused ones only, which are told once a minute. */
  readonly count: number
  /** From the start of the call to its answer; 0 for refused ones. */
  readonly durationMs: number
}

/** How many calls of its routes a node has refused since its start. */
export interface RefusedCalls {
  /** The caller did not prove who it is: 401, or 400 for credentials in two fields. */
  readonly unauthenticated: number
  /** The caller may not do this: 403. */
  readonly unauthorized: number
}

/** The idempotency keys that a node knows of, and what it did with requests that carry one since its start. */
export interface IdempotencyStatus extends KeyedRequestStats {
  /** Keys that are remembered in the whole cluster, as this node has applied it. */
  readonly keys: number
  /** What they count towards `idempotency.maxBytes`. */
  readonly bytes: number
}

/** The events of `Cluster`, by name, with what their listeners are given. */
export interface ClusterEvents {
  /** This node's leadership started or ended. */
  leadershipChanged: [change: LeadershipChange]
  /** This node knows of another leader, or of none (null). */
  leaderChanged: [leader: LeaderInfo | null]
  /** Another membership is in force on this node. It may not be settled yet. */
  membershipChanged: [membership: Membership]
  /** A snapshot of this node's state is durable. */
  snapshotTaken: [snapshot: SnapshotTaken]
  /** Somebody asked this node for a change, or calls were refused. */
  audit: [record: AuditRecord]
}

/** A listener of an event of `Cluster`. */
export type ClusterListener<Name extends keyof ClusterEvents> = (...args: ClusterEvents[Name]) => void

/** The work ran, and this node led under one grant from its start to its end. */
export interface LeaderWorkCompleted<T> {
  readonly status: 'completed'
  /** What the work returned. */
  readonly value: T
  /** Fencing token of the leadership that the work ran under. */
  readonly token: string
}

/** The work did not run, because this node does not lead. */
export interface LeaderWorkNotLeader {
  readonly status: 'not-leader'
  /** The leader that this node knows of. */
  readonly leader: LeaderInfo | null
}

/**
 * The leadership ended before the work did. The work may have run in part or in whole, and another leader may have run
 * it as well: only effects that carry the token are safe.
 */
export interface LeaderWorkLost {
  readonly status: 'lost'
  /** Fencing token of the leadership that is over. */
  readonly token: string
  /** The leader that this node knows of. */
  readonly leader: LeaderInfo | null
}

/** Outcome of `Cluster.executeIfLeader`. */
export type LeaderWorkResult<T> = LeaderWorkCompleted<T> | LeaderWorkNotLeader | LeaderWorkLost

/** Work for the leader only. Stop when `signal` aborts; call `grant.check()` right before every outside effect. */
export type LeaderWork<T> = (signal: AbortSignal, grant: LeadershipGrant) => T | Promise<T>

/** What a node knows of itself and of its cluster, as plain JSON. */
export interface ClusterStatus {
  /** Identity of this node. */
  readonly nodeId: string
  /**
   * Identity of the log that this node keeps: 16 random hexadecimal digits, drawn when the log was created. The cluster
   * knows each member by it.
   */
  readonly incarnation: string
  /** Name of the cluster. */
  readonly clusterId: string
  /**
   * UUID of the cluster: drawn at random when it was founded, the same on all its nodes. It tells two clusters of one
   * name apart. Null until this node knows it.
   */
  readonly clusterUuid: string | null
  /** Raft role (paper section 5.1, and pre-candidate of dissertation section 9.6). */
  readonly role: 'follower' | 'pre-candidate' | 'candidate' | 'leader'
  /** Whether this node leads and its lease holds. A `role` of leader alone does not say so. */
  readonly isLeader: boolean
  /** Current Raft term of this node. */
  readonly term: number
  /** The leader that this node knows of. */
  readonly leader: LeaderInfo | null
  /** Index of the last log entry that this node knows to be committed. */
  readonly commitIndex: number
  /** Index of the last log entry that this node has applied. */
  readonly appliedIndex: number
  /** Index of the last entry in the log of this node. */
  readonly lastIndex: number
  /** The newest snapshot on this node covers all entries up to this index; 0 when there is no snapshot. */
  readonly snapshotIndex: number
  /**
   * Null, or that no snapshot of this node's state could be taken lately. The node goes on and tries again, at longer
   * and longer intervals; its log grows meanwhile. The usual cause is a full disk, or a state machine whose `snapshot`
   * throws.
   */
  readonly snapshotFailure: SnapshotFailure | null
  /**
   * Null, or how far this node is with restoring the state that its disk holds. It takes part in the cluster meanwhile,
   * without leading, and is not ready. Calls that need the state wait for it.
   */
  readonly restoring: RestoreProgress | null
  /** Rest of the leadership lease in milliseconds; 0 when this node does not lead, null when it cannot lapse. */
  readonly leaseRemainingMs: number | null
  /** The members as far as this node knows. */
  readonly members: readonly MemberInfo[]
  /** Version of the membership: index of the log entry that holds it, 0 before there is one. */
  readonly membershipVersion: number
  /**
   * Whether the file system of this node's `dataDir` has less free space than `minFreeBytes`. A leader then refuses
   * what may let the state grow; a follower goes on until a write fails. Make room on it.
   */
  readonly lowSpace: boolean
  /** Calls of the routes under `v1` that this node has refused since its start. */
  readonly refusedCalls: RefusedCalls
  /** Requests with internal fields (`raft-*`) that nothing proves to be of a node or a gateway, since its start. */
  readonly forgedFields: number
  /** Idempotency keys, and requests of idempotent routes. */
  readonly idempotency: IdempotencyStatus
  /** Singletons and workers that this node has registered. */
  readonly tasks: readonly TaskStatus[]
  /** Why the node stopped for good; null while it runs. */
  readonly failure: string | null
  /** Version of fastify-raft. */
  readonly version: string
}
