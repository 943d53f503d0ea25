import type { FastifyErrorConstructor } from '@fastify/error'
import createError from '@fastify/error'
import { defaults } from './defaults.ts'

/**
 * What to do about an error:
 * - `retry`: nothing was executed, or it makes no difference. Try again later;
 * - `look`: it may have been executed, in part or in full. Look, or repeat it with the same idempotency key;
 * - `correct`: it will fail again as it is. Change the call, the request or the options;
 * - `repair`: an operator has to act, on the configuration, the disk or the release of a node.
 */
export type ErrorAction = 'retry' | 'look' | 'correct' | 'repair'

/** One kind of error. Its meaning is the comment on its class, and stands in the README as well. */
export interface ErrorKind {
  /** Stable and meant for programs, for example `RAFT_NOT_LEADER`. */
  readonly code: string
  /** HTTP status of an answer with this error. */
  readonly statusCode: number
  readonly action: ErrorAction
  readonly ErrorClass: FastifyErrorConstructor<{ code: string, statusCode: number }>
}

const kinds: ErrorKind[] = []

/** Every kind of error of the cluster, in the order of this file. */
export const errorTable: readonly ErrorKind[] = kinds

/** Whether an error is one of the cluster: its code starts with `RAFT_`. */
export function isRaftError (error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('RAFT_')
}

/**
 * Makes the class of one kind of error. Fastify sends the `headers` of an error, also when it was thrown in a route of
 * the application: a 503 carries `retry-after`.
 */
function define<Code extends string, Status extends number> (
  code: Code,
  statusCode: Status,
  action: ErrorAction,
  message: string,
  Base?: ErrorConstructor
): FastifyErrorConstructor<{ code: Code, statusCode: Status }> {
  const ErrorClass = createError(code, message, statusCode, Base)
  if (statusCode === 503) {
    const headers = Object.freeze({ 'retry-after': defaults.retryAfterSeconds })
    Object.defineProperty(ErrorClass.prototype, 'headers', { value: headers })
  }
  kinds.push({ code, statusCode, action, ErrorClass })
  return ErrorClass
}

/** This node does not lead, and the call is for the leader only. */
export const NotLeaderError = define('RAFT_NOT_LEADER', 503, 'retry', 'This node is not the leader: %s')
/** Nobody led within the time allowed; nothing was executed. */
export const NoLeaderError = define(
  'RAFT_NO_LEADER',
  503,
  'retry',
  'No leader was reachable within %s ms; nothing was executed'
)
/** The time of a forwarded request was over before the leader could begin; nothing was executed. */
export const DeadlinePassedError = define(
  'RAFT_DEADLINE_PASSED',
  503,
  'retry',
  'Its sender had given it up before it could be executed; nothing was executed'
)
/** A limit on work in progress, disk space or idempotency keys is reached; nothing was executed. */
export const BusyError = define('RAFT_BUSY', 503, 'retry', 'Not now: %s; nothing was executed')
/** The call may or may not have taken effect. */
export const OutcomeUnknownError = define(
  'RAFT_OUTCOME_UNKNOWN',
  504,
  'look',
  'The outcome is unknown after %s ms: it may have been executed'
)
/** The leadership under which work ran is over, or its lease has lapsed. */
export const LeadershipLostError = define(
  'RAFT_LEADERSHIP_LOST',
  503,
  'look',
  'The leadership with token %s is over, or its lease has lapsed'
)
/** The leadership under which work ran was handed over to another node. */
export const LeadershipTransferredError = define(
  'RAFT_LEADERSHIP_TRANSFERRED',
  503,
  'look',
  'The leadership with token %s was handed over'
)
/** The leader could not run or its clock was set, and no majority confirmed it afterwards: another node may lead. */
export const LeaseLostError = define(
  'RAFT_LEASE_LOST',
  503,
  'look',
  'The lease of the leadership with token %s lapsed while this node could not run or its clock was set, and no ' +
    'majority has confirmed it since'
)
/** No majority answered the leader: another node may lead. */
export const QuorumLostError = define(
  'RAFT_QUORUM_LOST',
  503,
  'look',
  'No majority answers the leadership with token %s'
)
/** The leader is no voter any more: it was removed or demoted. */
export const NotVoterError = define(
  'RAFT_NOT_VOTER',
  503,
  'look',
  'The leadership with token %s is over: this node was removed or demoted'
)
/** This node is about to leave its place to another one: the task is asked to stop, so that it can start there. */
export const HandoverError = define(
  'RAFT_HANDOVER',
  503,
  'retry',
  'The task "%s" stops here, so that another node can start it'
)
/** A fenced write came from a leadership or lock that is over. */
export const FencedError = define('RAFT_FENCED', 412, 'correct', 'The fencing token %s is no longer valid')
/** The lock is held by another owner. */
export const LockHeldError = define('RAFT_LOCK_HELD', 409, 'retry', 'The lock "%s" is held')
/** Nobody holds the lock. */
export const LockFreeError = define('RAFT_LOCK_FREE', 404, 'correct', 'The lock "%s" is not held')
/** The lock expired or was released while work ran under it. */
export const LockLostError = define('RAFT_LOCK_LOST', 412, 'look', 'The lock "%s" with token %s is no longer held')
/** The session of this process that owns its locks, keys and tasks is over, and with it all of them. */
export const SessionLostError = define(
  'RAFT_SESSION_LOST',
  412,
  'look',
  'The session %s is over, and with it all that it owned'
)
/** The key changed since the revision named. */
export const RevisionMismatchError = define('RAFT_REVISION_MISMATCH', 409, 'correct', 'The key "%s" is at revision %s')
/** The awaited event did not happen in time. */
export const TimeoutError = define('RAFT_TIMEOUT', 504, 'retry', 'Timed out after %s ms waiting for %s')
/** One or more options are wrong; the message lists every fault. */
export const InvalidOptionsError = define('RAFT_INVALID_OPTIONS', 500, 'correct', 'Invalid options: %s', TypeError)
/** The log is damaged in a way that is not a torn tail. */
export const WalCorruptError = define('RAFT_WAL_CORRUPT', 500, 'repair', '%s')
/** The log has a format version that this release does not know. */
export const WalVersionError = define('RAFT_WAL_VERSION', 500, 'repair', '%s')
/** The data directory belongs to another node or cluster. */
export const DataDirForeignError = define('RAFT_DATA_DIR_FOREIGN', 500, 'repair', '%s')
/** The data directory cannot be used. */
export const DataDirError = define('RAFT_DATA_DIR', 500, 'repair', '%s')
/** The disk failed; the node has stopped for good. */
export const StorageFailedError = define(
  'RAFT_STORAGE_FAILED',
  500,
  'repair',
  'The storage failed and the node has stopped: %s'
)
/** The node is not running: not started, closed, or stopped by a failure. */
export const StoppedError = define('RAFT_STOPPED', 503, 'retry', 'The node is not running: %s')
/** The node has just started and its state is not restored yet; nothing was executed. */
export const RestoringError = define(
  'RAFT_RESTORING',
  503,
  'retry',
  'This node still restores its state (%s); nothing was executed'
)
/** A peer sent something that is not a valid message. */
export const MalformedMessageError = define('RAFT_MALFORMED_MESSAGE', 400, 'repair', 'Malformed peer message: %s')
/** A key, value or body is larger than allowed. */
export const TooLargeError = define('RAFT_TOO_LARGE', 413, 'correct', '%s')
/** No member of the cluster has this id. */
export const UnknownMemberError = define('RAFT_UNKNOWN_MEMBER', 404, 'correct', 'The cluster has no member "%s"')
/** The member does not keep up with the log, or cannot be reached. */
export const MemberLaggingError = define('RAFT_MEMBER_LAGGING', 412, 'retry', '%s does not keep up with the log')
/** The cluster has a member with this id or address already. */
export const MemberExistsError = define('RAFT_MEMBER_EXISTS', 409, 'correct', 'The id or the address of "%s" is in use')
/** The change does not fit what the member is: only learners are promoted, only voters demoted. */
export const MemberRoleError = define('RAFT_MEMBER_ROLE', 409, 'correct', '%s')
/** The membership has changed since the version named. */
export const VersionMismatchError = define('RAFT_VERSION_MISMATCH', 409, 'correct', 'The membership is at version %s')
/** The change would leave too few voters within reach. */
export const QuorumAtRiskError = define('RAFT_QUORUM_AT_RISK', 409, 'retry', '%s')
/** A change of this kind is under way. */
export const ChangePendingError = define('RAFT_CHANGE_PENDING', 409, 'retry', '%s is under way')
/** The caller may not do this. */
export const UnauthorizedError = define('RAFT_UNAUTHORIZED', 403, 'correct', '%s')
/** The request has been forwarded before; it goes no further. */
export const LoopDetectedError = define(
  'RAFT_LOOP_DETECTED',
  508,
  'repair',
  'The request has already been forwarded once'
)
/** The request was meant for another node, cluster or term. */
export const MisdirectedError = define('RAFT_MISDIRECTED', 421, 'correct', 'Misdirected: %s')
/** A node came back under the id of a member without the log of that member: it counts for nothing. */
export const WrongIncarnationError = define('RAFT_WRONG_INCARNATION', 421, 'repair', 'Wrong incarnation: %s')
/** The other node belongs to another cluster of the same name, or does not know yet which one it belongs to. */
export const OtherClusterError = define('RAFT_OTHER_CLUSTER', 421, 'repair', 'Another cluster: %s')
/** The leader contradicts what this node holds as committed or has confirmed; the node has stopped for good. */
export const LogContradictedError = define(
  'RAFT_LOG_CONTRADICTED',
  500,
  'repair',
  'The leader %s of term %s contradicts the log of this node, which has stopped: %s. Keep its data directory, remove ' +
    'the member, and let it join again with another directory, which is new and empty'
)
/** The idempotency key was used before for a different command or request, or by another client. */
export const IdempotencyConflictError = define('RAFT_IDEMPOTENCY_CONFLICT', 422, 'correct', '%s')
/** A request with this idempotency key is under way; nothing more was executed. */
export const RequestPendingError = define(
  'RAFT_REQUEST_PENDING',
  409,
  'retry',
  'A request with this idempotency key is under way'
)
/** The handler of the request with this idempotency key ended without an answer; it runs no second time. */
export const RequestLostError = define(
  'RAFT_REQUEST_LOST',
  409,
  'look',
  'The request with this idempotency key may have been executed: its handler began, no answer of it is known, and it ' +
    'does not run again'
)
/** The request with this idempotency key was executed, and its answer was not kept. */
export const AnswerNotKeptError = define(
  'RAFT_ANSWER_NOT_KEPT',
  409,
  'look',
  'The request with this idempotency key was executed and answered with status %s; the answer was not kept: %s'
)
/** The state machine does not understand the command, most likely because another release wrote it. */
export const MalformedCommandError = define('RAFT_MALFORMED_COMMAND', 400, 'correct', 'Malformed command: %s')
/** A state machine of the application returned what JSON does not carry; the command changed nothing. */
export const NotJsonError = define('RAFT_NOT_JSON', 500, 'repair', 'Not JSON: %s')
/** A state machine of this name is registered already. */
export const MachineExistsError = define(
  'RAFT_MACHINE_EXISTS',
  500,
  'correct',
  'The state machine "%s" is registered already'
)
/** The node applies entries already: state machines are registered before the application is ready. */
export const MachineTooLateError = define(
  'RAFT_MACHINE_TOO_LATE',
  500,
  'correct',
  'The state machine "%s" comes too late: register it before app.ready() or app.listen()'
)
/** The log or a snapshot names a state machine that this node does not have. */
export const UnknownMachineError = define(
  'RAFT_UNKNOWN_MACHINE',
  500,
  'repair',
  'No state machine "%s" is registered on this node, and %s. Start it with a release that registers it'
)
/** The log or a snapshot was written by another version of a state machine, which this one does not understand. */
export const MachineVersionError = define('RAFT_MACHINE_VERSION', 500, 'repair', '%s')
/** A state machine of the application threw in `snapshot` or `restore`. */
export const MachineFailedError = define('RAFT_MACHINE_FAILED', 500, 'repair', '%s')
/** Two nodes that have applied the same entries have different states. */
export const StateDivergedError = define(
  'RAFT_STATE_DIVERGED',
  500,
  'repair',
  'The state of this node is not that of the leader after the entry at index %s: its hash is %s here and %s there'
)
/** The request has a missing, unknown or malformed member, header or parameter. */
export const InvalidRequestError = define('RAFT_INVALID_REQUEST', 400, 'correct', 'Invalid request: %s')
/** The read token is malformed, or of another cluster, or of an entry that the cluster does not have. */
export const WrongReadTokenError = define(
  'RAFT_WRONG_READ_TOKEN',
  400,
  'correct',
  'Wrong raft-read-token: %s. Drop it, and read again without one'
)
/** The map has no such key. */
export const KeyNotFoundError = define('RAFT_KEY_NOT_FOUND', 404, 'correct', 'The key "%s" does not exist')
/** Changes that a watch had still to show are forgotten on this node; read the keys anew, and watch from there. */
export const CompactedError = define(
  'RAFT_COMPACTED',
  410,
  'correct',
  'The changes up to revision %s are forgotten on this node: read the keys anew, and watch from there'
)
/** A snapshot is damaged, cut short, or differs from what was announced. */
export const SnapshotCorruptError = define('RAFT_SNAPSHOT_CORRUPT', 500, 'repair', '%s')
/** A snapshot has a format version that this release does not know. */
export const SnapshotVersionError = define('RAFT_SNAPSHOT_VERSION', 500, 'repair', '%s')
/** Entries are missing between the newest snapshot and the start of the log. */
export const SnapshotMissingError = define('RAFT_SNAPSHOT_MISSING', 500, 'repair', '%s')
/** Newer snapshots have replaced this one. */
export const SnapshotGoneError = define('RAFT_SNAPSHOT_GONE', 410, 'retry', '%s')
/** This node failed in a way that its log explains; the message says what a caller may know of it. */
export const InternalError = define('RAFT_INTERNAL', 500, 'repair', '%s')
/** The request cannot be forwarded: its target, host or a header field is malformed. */
export const BadRequestError = define('RAFT_BAD_REQUEST', 400, 'correct', 'Cannot be forwarded: %s')
/** A hook of the application has read the body of a request that was to be forwarded; nothing was sent. */
export const BodyConsumedError = define(
  'RAFT_BODY_CONSUMED',
  500,
  'correct',
  'An onRequest hook has read the body of a request that is to be forwarded; nothing was sent. Read it in a ' +
    'preParsing hook, which runs on the leader alone'
)
/** The path is reserved for the cluster, or is no route of the gateway. */
export const NotFoundError = define('RAFT_NOT_FOUND', 404, 'correct', '%s')
/** The gateway does not do this: TRACE and upgrades. */
export const NotImplementedError = define('RAFT_NOT_IMPLEMENTED', 501, 'correct', 'Not implemented: %s')
/** No node was ready for a read within the time allowed; nothing was executed. */
export const NoNodeError = define(
  'RAFT_NO_NODE',
  503,
  'retry',
  'No node was ready within %s ms; nothing was executed'
)
/** The node that a read was sent to gave no usable answer; a read changes nothing. */
export const BadGatewayError = define('RAFT_BAD_GATEWAY', 502, 'retry', '%s')
/** A peer called a route that this release does not have. */
export const NoSuchRouteError = define('RAFT_NO_SUCH_ROUTE', 404, 'repair', 'Peers have no such route')
/** A peer sent a body of another content type than peers do. */
export const UnsupportedTypeError = define('RAFT_UNSUPPORTED_TYPE', 415, 'repair', 'Peers send %s')
/** The caller did not prove who it is: a client without a known token, a peer without a seal that fits. */
export const UnauthenticatedError = define('RAFT_UNAUTHENTICATED', 401, 'correct', 'The caller is not proven: %s')
/** A peer has another secret than this node. */
export const OtherSecretError = define(
  'RAFT_OTHER_SECRET',
  401,
  'repair',
  '"%s" has another secret than "%s": give all nodes of a cluster the same secret'
)
/** A peer used a session that this node does not know, or not any more; it opens another. */
export const PeerSessionError = define('RAFT_PEER_SESSION', 401, 'retry', '"%s" does not know this session')
/** A request to a route of the cluster did not arrive in time; nothing was executed. */
export const RequestTimeoutError = define(
  'RAFT_REQUEST_TIMEOUT',
  408,
  'retry',
  'The request did not arrive in time; nothing was executed'
)
/** The certificate of a node was issued for somebody else than it claims, or is asked, to be. */
export const WrongCertificateError = define('RAFT_WRONG_CERTIFICATE', 401, 'repair', 'Wrong certificate: %s')
/** The cron expression of a schedule cannot be read, or is read in several ways; the message says what to write. */
export const CronInvalidError = define('RAFT_CRON_INVALID', 400, 'correct', 'The cron expression "%s" is refused: %s')
/** The cron expression of a schedule never comes due. */
export const CronNeverError = define('RAFT_CRON_NEVER', 400, 'correct', 'The cron expression "%s" never comes due')
/** The time zone of a schedule is no name of the IANA database. */
export const TimeZoneError = define('RAFT_TIME_ZONE', 400, 'correct', 'There is no time zone "%s"')
/** A schedule of this name is registered on this node already. */
export const ScheduleExistsError = define(
  'RAFT_SCHEDULE_EXISTS',
  409,
  'correct',
  'A schedule "%s" is registered on this node already'
)
/** The cluster has no schedule of this name. */
export const ScheduleUnknownError = define('RAFT_SCHEDULE_UNKNOWN', 404, 'correct', 'There is no schedule "%s"')
/** Nobody has begun this work in this version. */
export const OnceUnknownError = define(
  'RAFT_ONCE_UNKNOWN',
  404,
  'correct',
  'There is no work "%s" in version "%s" that is done once'
)
/** The definition of a schedule has changed since the call was worked out; nothing was executed. */
export const ScheduleChangedError = define(
  'RAFT_SCHEDULE_CHANGED',
  409,
  'retry',
  'The definition of the schedule "%s" has changed'
)
/** A run of the schedule is in progress, and its overlap rule lets no other begin; nothing was executed. */
export const ScheduleRunningError = define(
  'RAFT_SCHEDULE_RUNNING',
  409,
  'retry',
  'A run of the schedule "%s" is in progress'
)
/** The run of a schedule was cancelled: another one takes its place, or the schedule was stopped or removed. */
export const RunCancelledError = define(
  'RAFT_RUN_CANCELLED',
  409,
  'retry',
  'The run of the schedule "%s" was cancelled'
)
