import createError from '@fastify/error'

/**
 * Adds a `retry-after` of one second, about the length of an election, to every error of a class: Fastify sends the
 * `headers` of an error, also when it was thrown in a route of the application.
 */
function retryLater <ErrorClass extends { readonly prototype: object }> (errorClass: ErrorClass): ErrorClass {
  Object.defineProperty(errorClass.prototype, 'headers', { value: Object.freeze({ 'retry-after': '1' }) })
  return errorClass
}

/** This node does not lead, and the call is for the leader only. */
export const NotLeaderError = retryLater(createError('RAFT_NOT_LEADER', 'This node is not the leader: %s', 503))
/** Nobody led within the time allowed; nothing was executed. */
export const NoLeaderError = retryLater(
  createError('RAFT_NO_LEADER', 'No leader was reachable within %s ms; nothing was executed', 503)
)
/** A limit on work in progress or on disk space is reached; nothing was executed. Try again later. */
export const BusyError = retryLater(createError('RAFT_BUSY', 'Not now: %s; nothing was executed', 503))
/** The call may or may not have taken effect. Retry with the same idempotency key. */
export const OutcomeUnknownError = createError(
  'RAFT_OUTCOME_UNKNOWN',
  'The outcome is unknown after %s ms: it may have been executed',
  504
)
/** The leadership under which work ran is over. */
export const LeadershipLostError = retryLater(
  createError('RAFT_LEADERSHIP_LOST', 'The leadership with token %s is over', 503)
)
/** A fenced write came from a leadership or lock that is over. */
export const FencedError = createError('RAFT_FENCED', 'The fencing token %s is no longer valid', 412)
/** The lock is held by another owner. */
export const LockHeldError = createError('RAFT_LOCK_HELD', 'The lock "%s" is held', 409)
/** The lock is no longer ours: it expired or was released. */
export const LockLostError = createError('RAFT_LOCK_LOST', 'The lock "%s" with token %s is no longer held', 412)
/** The key changed since the revision named. */
export const RevisionMismatchError = createError('RAFT_REVISION_MISMATCH', 'The key "%s" is at revision %s', 409)
/** The wait ended before the thing waited for happened. */
export const TimeoutError = createError('RAFT_TIMEOUT', 'Timed out after %s ms waiting for %s', 504)
/** One or more options are wrong; the message lists every fault. */
export const InvalidOptionsError = createError('RAFT_INVALID_OPTIONS', 'Invalid options: %s', 500, TypeError)
/** The log is damaged in a way that is not a torn tail. */
export const WalCorruptError = createError('RAFT_WAL_CORRUPT', '%s', 500)
/** The log has a format version that this release does not know. */
export const WalVersionError = createError('RAFT_WAL_VERSION', '%s', 500)
/** The data directory belongs to another node or cluster. */
export const DataDirForeignError = createError('RAFT_DATA_DIR_FOREIGN', '%s', 500)
/** The data directory cannot be used. */
export const DataDirError = createError('RAFT_DATA_DIR', '%s', 500)
/** The disk failed; the node has stopped for good. */
export const StorageFailedError = createError(
  'RAFT_STORAGE_FAILED',
  'The storage failed and the node has stopped: %s',
  500
)
/** The node is not running: not started, closed, or stopped by a failure. */
export const StoppedError = retryLater(createError('RAFT_STOPPED', 'The node is not running: %s', 503))
/** A peer sent something that is not a valid message. */
export const MalformedMessageError = createError('RAFT_MALFORMED_MESSAGE', 'Malformed peer message: %s', 400)
/** A key, value or body is larger than allowed. */
export const TooLargeError = createError('RAFT_TOO_LARGE', '%s', 413)
/** No member of the cluster has this id. */
export const UnknownMemberError = createError('RAFT_UNKNOWN_MEMBER', 'The cluster has no member "%s"', 404)
/** The member does not keep up with the log, or cannot be reached. */
export const MemberLaggingError = createError('RAFT_MEMBER_LAGGING', '%s does not keep up with the log', 412)
/** The cluster has a member with this id or address already. */
export const MemberExistsError = createError('RAFT_MEMBER_EXISTS', 'The id or the address of "%s" is in use', 409)
/** The change does not fit what the member is: only learners are promoted, only voters demoted. */
export const MemberRoleError = createError('RAFT_MEMBER_ROLE', '%s', 409)
/** The membership has changed since the version named. */
export const VersionMismatchError = createError('RAFT_VERSION_MISMATCH', 'The membership is at version %s', 409)
/** The change would leave too few voters within reach. */
export const QuorumAtRiskError = createError('RAFT_QUORUM_AT_RISK', '%s', 409)
/** A change of this kind is under way. */
export const ChangePendingError = createError('RAFT_CHANGE_PENDING', '%s is under way', 409)
/** The caller may not do this. */
export const UnauthorizedError = createError('RAFT_UNAUTHORIZED', '%s', 403)
/** The request has been forwarded before; it goes no further. */
export const LoopDetectedError = createError('RAFT_LOOP_DETECTED', 'The request has already been forwarded once', 508)
/** The request was meant for another node, cluster or term. */
export const MisdirectedError = createError('RAFT_MISDIRECTED', 'Misdirected: %s', 421)
/** A node came back under the id of a member without the log that the member had: it counts for nothing. */
export const WrongIncarnationError = createError('RAFT_WRONG_INCARNATION', 'Wrong incarnation: %s', 421)
/** The leader contradicts what this node holds as committed or has confirmed; the node has stopped for good. */
export const LogContradictedError = createError(
  'RAFT_LOG_CONTRADICTED',
  'The leader %s of term %s contradicts the log of this node, which has stopped: %s. Remove the member and let it ' +
    'join again with an empty data directory',
  500
)
/** The idempotency key was used before for a different command. */
export const IdempotencyConflictError = createError('RAFT_IDEMPOTENCY_CONFLICT', '%s', 422)
/** The state machine does not understand the command, most likely because another release wrote it. */
export const MalformedCommandError = createError('RAFT_MALFORMED_COMMAND', 'Malformed command: %s', 400)
/** A state machine of this name is registered already. */
export const MachineExistsError = createError(
  'RAFT_MACHINE_EXISTS',
  'The state machine "%s" is registered already',
  500
)
/** The node applies entries already: state machines are registered before the application is ready. */
export const MachineTooLateError = createError(
  'RAFT_MACHINE_TOO_LATE',
  'The state machine "%s" comes too late: register it before app.ready() or app.listen()',
  500
)
/** The log or a snapshot has something for a state machine that this node does not have. */
export const UnknownMachineError = createError(
  'RAFT_UNKNOWN_MACHINE',
  'No state machine "%s" is registered on this node, and %s. Start it with a release that registers it',
  500
)
/** The log or a snapshot was written by another version of a state machine, which this one does not understand. */
export const MachineVersionError = createError('RAFT_MACHINE_VERSION', '%s', 500)
/** Two nodes that have applied the same entries have different states. */
export const StateDivergedError = createError(
  'RAFT_STATE_DIVERGED',
  'The state of this node is not that of the leader after the entry at index %s: its hash is %s here and %s there',
  500
)
/** The request is not what the route takes: a missing, unknown or malformed member, header or parameter. */
export const InvalidRequestError = createError('RAFT_INVALID_REQUEST', 'Invalid request: %s', 400)
/** The map has no such key. */
export const KeyNotFoundError = createError('RAFT_KEY_NOT_FOUND', 'The key "%s" does not exist', 404)
/** A snapshot is damaged, cut short, or not what it was announced to be. */
export const SnapshotCorruptError = createError('RAFT_SNAPSHOT_CORRUPT', '%s', 500)
/** A snapshot has a format version that this release does not know. */
export const SnapshotVersionError = createError('RAFT_SNAPSHOT_VERSION', '%s', 500)
/** The log starts behind an entry that no snapshot reaches. */
export const SnapshotMissingError = createError('RAFT_SNAPSHOT_MISSING', '%s', 500)
/** The snapshot has been replaced by newer ones meanwhile. */
export const SnapshotGoneError = createError('RAFT_SNAPSHOT_GONE', '%s', 410)
