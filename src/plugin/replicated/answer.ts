import type { KeyedRequestAnswer } from './keyed-request.ts'
import type { OnceEnd } from './once-command.ts'
import type { TallyResult } from './tally-command.ts'

/** The write took effect; `revision` is the log index of the write. */
interface WrittenAnswer {
  readonly kind: 'written'
  readonly key: string
  readonly revision: number
}

/** The key is not at the revision the command named; `revision` is the one it is at, 0 when it does not exist. */
interface MismatchAnswer {
  readonly kind: 'mismatch'
  readonly key: string
  readonly revision: number
}

/** The key does not exist any more; `revision` is the log index of the delete, `existed` whether there was anything. */
interface DeletedAnswer {
  readonly kind: 'deleted'
  readonly key: string
  readonly revision: number
  readonly existed: boolean
}

/** The transaction took effect: the writes of `then` if it succeeded, else those of `else`. */
interface TransactedAnswer {
  readonly kind: 'transacted'
  readonly succeeded: boolean
  /** Log index of the transaction. */
  readonly revision: number
  /** At which revision each of the keys was that it compared, 0 for one that did not exist. */
  readonly revisions: readonly number[]
}

/** The keys that were still at their revisions are gone. */
export interface KeysExpiredAnswer {
  readonly kind: 'keys-expired'
  /** How many those were. */
  readonly keys: number
}

/** The fencing token of the command is neither that of the current leadership nor that of a lock held now. */
export interface FencedAnswer {
  readonly kind: 'fenced'
  readonly token: number
}

/** The message is in the log, at this index. */
export interface PublishedAnswer {
  readonly kind: 'published'
  readonly index: number
}

/** The lock is granted; `token` is the log index of the grant. */
interface GrantedAnswer {
  readonly kind: 'granted'
  readonly name: string
  readonly owner: string
  readonly token: number
  /** Null when the session owns it. */
  readonly ttlMs: number | null
}

/** The request waits for the lock, at this place of the queue from 1 on. */
interface QueuedAnswer {
  readonly kind: 'queued'
  readonly name: string
  readonly position: number
}

/** Another owner holds the lock; the token is 0 when it is about to be given to the first who waits. */
interface HeldAnswer {
  readonly kind: 'held'
  readonly name: string
  readonly owner: string
  readonly token: number
}

/** The time to live of the lock starts again. */
interface RenewedAnswer {
  readonly kind: 'renewed'
  readonly name: string
  readonly token: number
  readonly ttlMs: number
}

/** The lock is free. */
interface ReleasedAnswer {
  readonly kind: 'released'
  readonly name: string
}

/** The lock was not renewed in time and is free. */
interface ExpiredAnswer {
  readonly kind: 'expired'
  readonly name: string
}

/** The command names a grant or a run that is over; nothing changed. */
interface StaleAnswer {
  readonly kind: 'stale'
  readonly name: string
}

/** The run is at work; `token` is the log index of its start. */
interface TaskStartedAnswer {
  readonly kind: 'task-started'
  readonly name: string
  readonly token: number
}

/** Another run of the task is at work on `node`, or nobody has said that it ended; `token` is its start. */
interface TaskHeldAnswer {
  readonly kind: 'task-held'
  readonly name: string
  readonly node: string
  readonly token: number
}

/** The run has ended. */
interface TaskStoppedAnswer {
  readonly kind: 'task-stopped'
  readonly name: string
}

/** Where the workers of the task belong follows from the processes that can run it, with this one or without. */
interface TaskPlacedAnswer {
  readonly kind: 'task-placed'
  readonly name: string
}

/** The session is open; `session` is the log index of its opening. */
interface SessionOpenedAnswer {
  readonly kind: 'session-opened'
  readonly session: number
}

/** The beats are noted; those of sessions that are over change nothing. */
interface SessionsKeptAnswer {
  readonly kind: 'sessions-kept'
  /** Sessions of the command that are over. */
  readonly gone: readonly number[]
}

/** The session and all that it owned is over. */
interface SessionEndedAnswer {
  readonly kind: 'session-ended'
  readonly session: number
}

/** The session was over before, or had another beat meanwhile; nothing changed. */
export interface SessionGoneAnswer {
  readonly kind: 'session-gone'
  readonly session: number
}

/** The entry grants one of the locks that are due, if there is one. */
interface LockDueAnswer {
  readonly kind: 'lock-due'
}

/** The attempt is at work; `token` is the log index of its start. */
interface OnceBegunAnswer {
  readonly kind: 'once-begun'
  readonly name: string
  readonly token: number
  readonly attempt: number
  /** How the attempt before it ended; null for the first. */
  readonly previous: OnceEnd | null
}

/** Another attempt is at work. */
interface OnceRunningAnswer {
  readonly kind: 'once-running'
  readonly name: string
}

/** The work is done; `text` is what it returned, as JSON, and empty for undefined. */
interface OnceDoneAnswer {
  readonly kind: 'once-done'
  readonly name: string
  readonly text: string
}

/** The attempt has ended, or the work is forgotten. */
interface OnceEndedAnswer {
  readonly kind: 'once-ended'
  readonly name: string
}

/** Why a command was refused. */
type RefusalCode =
  'RAFT_MALFORMED_COMMAND' | 'RAFT_NOT_JSON' | 'RAFT_TOO_LARGE' | 'RAFT_BUSY' | 'RAFT_IDEMPOTENCY_CONFLICT'

/** The command was refused as a whole; nothing changed. */
export interface RefusedAnswer {
  readonly kind: 'refused'
  readonly code: RefusalCode
  readonly message: string
}

/** Answer of a state machine of the application. */
export interface AppliedAnswer {
  readonly kind: 'machine-answer'
  /** JSON text: each caller parses a copy of its own. Left out when the machine answered undefined. */
  readonly answerJson?: string
}

/** Answers to a command on a state machine of the application. */
export type MachineAnswer = AppliedAnswer | FencedAnswer | RefusedAnswer

/** Answers to a command on a map. */
export type MapAnswer =
  | WrittenAnswer
  | MismatchAnswer
  | DeletedAnswer
  | TransactedAnswer
  | SessionGoneAnswer
  | FencedAnswer
  | RefusedAnswer

/** Answers to a command on a lock. */
export type LockAnswer =
  | GrantedAnswer
  | HeldAnswer
  | QueuedAnswer
  | RenewedAnswer
  | ReleasedAnswer
  | ExpiredAnswer
  | StaleAnswer
  | SessionGoneAnswer
  | LockDueAnswer
  | RefusedAnswer

/** Answers to a command on the sessions that own things. */
export type OwnerSessionAnswer =
  SessionOpenedAnswer | SessionsKeptAnswer | SessionEndedAnswer | SessionGoneAnswer | RefusedAnswer

/** Answers to a command on numbers and buckets. */
export type TallyAnswer = TallyResult | RefusedAnswer

/** Answers to a command on the key of a request. */
export type RequestAnswer = KeyedRequestAnswer | FencedAnswer | RefusedAnswer

/** Answers to a command on a task or on its places. */
export type TaskAnswer =
  | TaskStartedAnswer
  | TaskHeldAnswer
  | TaskStoppedAnswer
  | TaskPlacedAnswer
  | StaleAnswer
  | FencedAnswer
  | RefusedAnswer

/**
 * Answers to a command on a schedule. `stale`: it was worked out from a state that is over, and changed nothing.
 * `busy`: a run is in progress, and the overlap rule lets no other begin.
 */
export type ScheduleAnswer =
  | { readonly kind: 'schedule-done' | 'schedule-stale' | 'schedule-unknown' | 'schedule-busy' }
  | RefusedAnswer

/** Answers to a command on work that is done once. */
export type OnceAnswer =
  OnceBegunAnswer | OnceRunningAnswer | OnceDoneAnswer | OnceEndedAnswer | StaleAnswer | RefusedAnswer

/** Answer of the cluster's state machine to a command. Part of the replicated function: the same on every node. */
export type Answer =
  | MapAnswer
  | KeysExpiredAnswer
  | LockAnswer
  | TallyAnswer
  | OwnerSessionAnswer
  | MachineAnswer
  | RequestAnswer
  | TaskAnswer
  | OnceAnswer
  | PublishedAnswer
  | ScheduleAnswer

/** A refusal of the whole command. */
export function refuse (code: RefusalCode, message: string): RefusedAnswer {
  return { kind: 'refused', code, message }
}
