import type { RefusedAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { KeyEnd } from './key-lives.ts'
import type { RequestDone, RequestReleased } from './keyed-request.ts'
import { isRequestOutcome } from './keyed-request.ts'
import { limits } from './limits.ts'
import type { LockName } from './lock-records.ts'
import type { MapComparison, MapWrite } from './map-transaction.ts'
import { areComparisons, areWrites, transactionFault } from './map-transaction.ts'
import type { OnceCommand } from './once-command.ts'
import type { PlaceCommand } from './place-command.ts'
import type { ScheduleCommand } from './schedule-command.ts'
import { scheduleShapes } from './schedule-command.ts'
import type { TallyCommand } from './tally-command.ts'
import type { TaskCommand } from './task-command.ts'
import {
  byteLength,
  isBeats,
  isDelta,
  isFillMs,
  isFingerprint,
  isFlag,
  isHorizon,
  isIdempotencyKey,
  isIndex,
  isKey,
  isKeyOrigin,
  isKeyTtl,
  isLockName,
  isMachineName,
  isMapName,
  isNodeName,
  isOnceText,
  isOnceVersion,
  isOwner,
  isPermits,
  isPool,
  isPresent,
  isRequestId,
  isSessionTtl,
  isTallyKind,
  isTaskName,
  isToken,
  isTopic,
  isTtl,
  isWorker,
  isWorkerCount,
  nestsWithin
} from './validate.ts'

/** The command applies once; see the idempotency table. */
export interface OnceCondition {
  /** The idempotency key. */
  readonly key: string
  /** Who chose the key: a client over HTTP, or the application's code. Such keys never meet. */
  readonly origin: 'http' | 'api'
  /** How long the key is remembered at least, in milliseconds of log time. */
  readonly horizonMs: number
  /** The command is refused when the remembered keys would take more than this, in bytes. */
  readonly maxBytes: number
}

/** Writes a key of a map. */
export interface MapSetCommand extends KeyEnd {
  readonly kind: 'map-set'
  readonly map: string
  readonly key: string
  /** Any JSON value. */
  readonly value: unknown
  /** Write only if the key is at this revision; 0 means that it must not exist. */
  readonly ifRevision?: number
  /** Write only if this fencing token is valid at this point of the log. */
  readonly fence?: number
  readonly once?: OnceCondition
}

/** Removes a key of a map. */
export interface MapDeleteCommand {
  readonly kind: 'map-delete'
  readonly map: string
  readonly key: string
  readonly ifRevision?: number
  readonly fence?: number
  readonly once?: OnceCondition
}

/** Makes the writes of `then` when all comparisons hold, and else those of `else`: all of them or none. */
export interface MapTransactCommand {
  readonly kind: 'map-transact'
  readonly compare: readonly MapComparison[]
  /** No key twice. */
  readonly then: readonly MapWrite[]
  readonly else: readonly MapWrite[]
  readonly fence?: number
  readonly once?: OnceCondition
}

/** Written by the leader when the time to live of keys is over. Each goes if it is still at the revision. */
export interface MapExpireCommand {
  readonly kind: 'map-expire'
  readonly keys: ReadonlyArray<readonly [map: string, key: string, revision: number]>
}

/**
 * Takes a lock if it is free. `requestId` names this attempt: the same one again renews and answers the same grant, and
 * once that grant is over it is stale. (Lock commands need no idempotency key: a remembered "granted" would be a lie
 * after the lock has expired.)
 */
export interface LockAcquireCommand extends LockName {
  readonly kind: 'lock-acquire'
  readonly owner: string
  readonly requestId: string
  /** Time to live; left out, the session owns the lock. */
  readonly ttlMs?: number
  /** The session that is to own the lock, or to wait for it. */
  readonly session?: number
  /** Wait in the queue when it is not free. Who asks for a time to live then has to confirm what it is offered. */
  readonly waits?: boolean
  /** Permits to take, 1 when left out; those that there are, of a semaphore. */
  readonly permits?: number
  readonly capacity?: number
}

/** Starts the time to live of a held lock again. */
export interface LockRenewCommand extends LockName {
  readonly kind: 'lock-renew'
  readonly token: number
  readonly ttlMs: number
}

/** Gives a held lock back. */
export interface LockReleaseCommand extends LockName {
  readonly kind: 'lock-release'
  readonly token: number
}

/** Undoes an acquire whose outcome its caller does not know: releases it, or keeps it from being granted later. */
export interface LockAbandonCommand extends LockName {
  readonly kind: 'lock-abandon'
  readonly requestId: string
}

/** Written by the leader when a lock was not renewed in time. */
export interface LockExpireCommand extends LockName {
  readonly kind: 'lock-expire'
  readonly token: number
  /** How often the lock had been renewed when its time ran out. */
  readonly renewal: number
}

/** Written by the leader while locks are due: each entry grants one of them. */
interface LockGrantCommand {
  readonly kind: 'lock-grant'
}

/** A command on a state machine of the application. */
export interface MachineCommand {
  readonly kind: 'machine'
  readonly machine: string
  /** Version of the machine on the node that proposes. */
  readonly version: number
  /** Any JSON value. */
  readonly command: unknown
  readonly fence?: number
  readonly once?: OnceCondition
}

/**
 * Begins a request of a client that carries an idempotency key: the handler may run when the answer is
 * `request-started`. Its fence is the leadership that the handler is to run under.
 */
export interface RequestBeginCommand {
  readonly kind: 'request-begin'
  /** The key of its client, hashed; what is remembered counts towards the room of all keys. */
  readonly once: OnceCondition
  /** What the request asks for, hashed. */
  readonly fingerprint: string
  /** Room that its answer may take, in bytes. */
  readonly answerBytes: number
  readonly fence: number
  /** This attempt is known to be over, or to have had its time: the command decides what becomes of the key. */
  readonly lost?: number
  /** Whether the handler may run again when nobody knows what the attempt did that was lost. */
  readonly mayRepeat: boolean
}

/** Ends an attempt: its answer is remembered, or the key is free again. */
export interface RequestFinishCommand {
  readonly kind: 'request-finish'
  readonly once: OnceCondition
  /** Log index of the command that began it. */
  readonly attempt: number
  readonly outcome: RequestDone | RequestReleased
}

/** A message for all nodes: each hands it on when it applies it. */
export interface BroadcastCommand {
  readonly kind: 'broadcast'
  readonly topic: string
  /** Id of the node that publishes it. */
  readonly from: string
  /** Any JSON value. */
  readonly message: unknown
}

/** A command on the keys of requests. */
export type RequestCommand = RequestBeginCommand | RequestFinishCommand

/** Opens a session that owns things. The same `requestId` again gets the same session. */
export interface SessionOpenCommand {
  readonly kind: 'session-open'
  /** Name of who keeps it, for people to read. */
  readonly owner: string
  readonly requestId: string
  readonly ttlMs: number
  /** The log that its process keeps: a log has one process at a time, so that earlier sessions with it are over. */
  readonly log?: string
}

/** Beats of any number of sessions: pairs of a session and the number of its beat, 0 for the one after the last. */
export interface SessionKeepCommand {
  readonly kind: 'session-keep'
  readonly beats: ReadonlyArray<readonly [session: number, beat: number]>
}

/** Ends a session, and with it all that it owns. */
export interface SessionEndCommand {
  readonly kind: 'session-end'
  readonly session: number
}

/** Written by the leader when a session had no beat in time. */
export interface SessionExpireCommand {
  readonly kind: 'session-expire'
  readonly session: number
  /** Number of its last beat when its time ran out. */
  readonly beat: number
}

/** A command on the sessions that own things. */
export type OwnerSessionCommand = SessionOpenCommand | SessionKeepCommand | SessionEndCommand | SessionExpireCommand

/** A command on the replicated maps. */
export type MapCommand = MapSetCommand | MapDeleteCommand | MapTransactCommand

/** A command on the lock table. */
export type LockCommand =
  | LockAcquireCommand
  | LockRenewCommand
  | LockReleaseCommand
  | LockAbandonCommand
  | LockExpireCommand
  | LockGrantCommand

/** All commands of the cluster's state machine. */
export type Command =
  | MapCommand
  | MapExpireCommand
  | LockCommand
  | TallyCommand
  | OwnerSessionCommand
  | MachineCommand
  | RequestCommand
  | TaskCommand
  | PlaceCommand
  | OnceCommand
  | BroadcastCommand
  | ScheduleCommand

interface Field {
  readonly accepts: (value: unknown) => boolean
  readonly optional?: true
}

function optional (accepts: Field['accepts']): Field {
  return { accepts, optional: true }
}
function required (accepts: Field['accepts']): Field {
  return { accepts }
}
const lock = { pool: optional(isPool), name: required(isLockName) }
const token = required(isToken)
const requestId = required(isRequestId)
const taskName = required(isTaskName)
const work = { name: taskName, version: required(isOnceVersion) }
const write = { fence: optional(isToken), once: optional(isOnce) }
const condition = { ifRevision: optional(isIndex), ...write }
const onceRequired = required(isOnce)

const onceFields: ReadonlyMap<string, Field> = new Map(Object.entries({
  key: required(isIdempotencyKey),
  origin: required(isKeyOrigin),
  horizonMs: required(isHorizon),
  maxBytes: required(isIndex)
} satisfies Record<keyof OnceCondition, Field>))

function areKeysOver (value: unknown): boolean {
  return Array.isArray(value) && value.length <= limits.maxKeysExpiredAtOnce && value.every((item: unknown) =>
    Array.isArray(item) && item.length === 3 && isMapName(item[0]) && isKey(item[1]) && isToken(item[2]))
}

function isOnce (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const members = Object.entries(value)
  return members.length === onceFields.size &&
    members.every(([member, content]) => onceFields.get(member)?.accepts(content) === true)
}

/** The members of each command, beside `kind`. A Map, so that a kind named `constructor` finds nothing. */
const shapes = new Map<string, ReadonlyMap<string, Field>>(
  Object.entries({
    'map-set': {
      map: required(isMapName),
      key: required(isKey),
      value: required(isPresent),
      ttlMs: optional(isKeyTtl),
      session: optional(isToken),
      ...condition
    },
    'map-delete': { map: required(isMapName), key: required(isKey), ...condition },
    'map-transact': {
      compare: required(areComparisons),
      then: required(areWrites),
      else: required(areWrites),
      ...write
    },
    'map-expire': { keys: required(areKeysOver) },
    'lock-acquire': {
      ...lock,
      owner: required(isOwner),
      requestId,
      ttlMs: optional(isTtl),
      session: optional(isToken),
      waits: optional(isFlag),
      permits: optional(isPermits),
      capacity: optional(isPermits)
    },
    'lock-renew': { ...lock, token, ttlMs: required(isTtl) },
    'lock-release': { ...lock, token },
    'lock-abandon': { ...lock, requestId },
    'lock-expire': { ...lock, token, renewal: required(isIndex) },
    'lock-grant': {},
    'tally-add': { tally: required(isTallyKind), name: required(isLockName), by: required(isDelta) },
    'tally-remove': { tally: required(isTallyKind), name: required(isLockName) },
    'bucket-take': {
      name: required(isLockName),
      takes: required(isPermits),
      capacity: required(isPermits),
      fillMs: required(isFillMs)
    },
    'session-open': { owner: required(isOwner), requestId, ttlMs: required(isSessionTtl), log: optional(isRequestId) },
    'session-keep': { beats: required(isBeats) },
    'session-end': { session: token },
    'session-expire': { session: token, beat: required(isIndex) },
    machine: { machine: required(isMachineName), version: required(isToken), command: required(isPresent), ...write },
    broadcast: { topic: required(isTopic), from: required(isOwner), message: required(isPresent) },
    'request-begin': {
      once: onceRequired,
      fingerprint: required(isFingerprint),
      answerBytes: required(isIndex),
      fence: token,
      lost: optional(isToken),
      mayRepeat: required(isFlag)
    },
    'request-finish': { once: onceRequired, attempt: token, outcome: required(isRequestOutcome) },
    'task-start': {
      name: taskName,
      worker: optional(isWorker),
      node: required(isNodeName),
      run: requestId,
      fence: optional(isToken),
      session: optional(isToken),
      over: optional(isToken)
    },
    'task-stop': { name: taskName, worker: optional(isWorker), run: requestId },
    'place-join': { name: taskName, node: required(isNodeName), session: token, workers: required(isWorkerCount) },
    'place-leave': { name: taskName, session: token },
    'once-begin': { ...work, node: required(isNodeName), run: requestId, session: token },
    'once-finish': { ...work, run: requestId, failed: required(isFlag), text: required(isOnceText) },
    'once-forget': work,
    ...scheduleShapes
  } satisfies Record<Command['kind'], Record<string, Field>>).map(([kind, fields]) => [
    kind,
    new Map(Object.entries(fields))
  ])
)

/** Encodes a command as JSON bytes. */
export function encodeCommand (command: Command): Uint8Array {
  return Buffer.from(JSON.stringify(command), 'utf8')
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Decodes and validates a command: exactly the members of its kind, each in its limits. Bytes that are no command give
 * a refusal and never a throw, because a throw in `apply` halts the node.
 */
export function decodeCommand (bytes: Uint8Array): Command | RefusedAnswer {
  if (bytes.length > limits.maxCommandBytes) {
    return refuse(
      'RAFT_TOO_LARGE',
      `The command has ${bytes.length} bytes; at most ${limits.maxCommandBytes} are allowed`
    )
  }
  let candidate: unknown
  try {
    candidate = JSON.parse(decoder.decode(bytes))
  } catch {
    return refuse('RAFT_MALFORMED_COMMAND', 'The command is not JSON')
  }
  return faultOf(candidate) ?? tooLarge(candidate as Command) ?? (candidate as Command)
}

function faultOf (candidate: unknown): RefusedAnswer | null {
  if (typeof candidate !== 'object' || candidate === null || Array.isArray(candidate)) {
    return refuse('RAFT_MALFORMED_COMMAND', 'The command is not an object')
  }
  // Only what is its own counts: a member named `__proto__` is one as well.
  const members = candidate as Readonly<Record<string, unknown>>
  const has = (member: string): boolean => Object.hasOwn(members, member)
  // Not made into a text first: that of a list that nests deeply overflows the stack.
  const kind = has('kind') ? members['kind'] : undefined
  const shape = typeof kind === 'string' ? shapes.get(kind) : undefined
  if (shape === undefined) return refuse('RAFT_MALFORMED_COMMAND', 'The command has no known kind')
  for (const [member, field] of shape) {
    if (!has(member) ? field.optional === true : field.accepts(members[member])) continue
    return refuse('RAFT_MALFORMED_COMMAND', `The member "${member}" of the command is missing or wrong`)
  }
  for (const member of Object.keys(members)) {
    if (member !== 'kind' && !shape.has(member)) {
      return refuse('RAFT_MALFORMED_COMMAND', 'The command has an unknown member')
    }
  }
  return null
}

function tooLarge (command: Command): RefusedAnswer | null {
  if (command.kind === 'machine' && !nestsWithin(command.command, limits.maxValueDepth)) {
    return refuse('RAFT_TOO_LARGE', `The command nests deeper than ${limits.maxValueDepth} levels`)
  }
  if (command.kind === 'broadcast' && !nestsWithin(command.message, limits.maxValueDepth)) {
    return refuse('RAFT_TOO_LARGE', `The message nests deeper than ${limits.maxValueDepth} levels`)
  }
  if (command.kind === 'map-transact') return transactionFault(command)
  if (command.kind === 'map-set' && command.ttlMs !== undefined && command.session !== undefined) {
    return refuse('RAFT_MALFORMED_COMMAND', 'A key has a time to live or belongs to a session, not both')
  }
  if (command.kind !== 'map-set' && command.kind !== 'map-delete') return null
  if (byteLength(command.key) > limits.maxKeyBytes) {
    return refuse('RAFT_TOO_LARGE', `The key is larger than ${limits.maxKeyBytes} bytes`)
  }
  if (command.kind === 'map-set' && !nestsWithin(command.value, limits.maxValueDepth)) {
    return refuse('RAFT_TOO_LARGE', `The value nests deeper than ${limits.maxValueDepth} levels`)
  }
  return null
}
