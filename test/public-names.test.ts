import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The names that one entry of the package promises to its users. */
interface Face {
  /** As in `exports` of package.json. */
  readonly entry: string
  /** Its file below `src`. */
  readonly source: string
  readonly values: readonly string[]
  readonly types: readonly string[]
}

const errors = [
  'AnswerNotKeptError', 'BadGatewayError', 'BadRequestError', 'BodyConsumedError', 'BusyError', 'ChangePendingError', 'CompactedError',
  'CronInvalidError', 'CronNeverError',
  'DataDirError', 'DataDirForeignError', 'DeadlinePassedError',
  'FencedError', 'IdempotencyConflictError', 'InternalError', 'InvalidOptionsError', 'InvalidRequestError',
  'HandoverError', 'KeyNotFoundError', 'LeadershipLostError', 'LeadershipTransferredError', 'LeaseLostError', 'LockFreeError', 'LockHeldError',
  'LockLostError', 'LogContradictedError',
  'LoopDetectedError', 'MachineExistsError', 'MachineFailedError', 'MachineTooLateError', 'MachineVersionError', 'MalformedCommandError',
  'MalformedMessageError', 'MemberExistsError', 'MemberLaggingError', 'MemberRoleError', 'MisdirectedError',
  'NoLeaderError', 'NoNodeError', 'NoSuchRouteError', 'NotFoundError', 'NotImplementedError', 'NotJsonError', 'NotLeaderError',
  'NotVoterError', 'OtherClusterError', 'OtherSecretError', 'OutcomeUnknownError', 'PeerSessionError',
  'QuorumAtRiskError', 'QuorumLostError', 'RequestLostError', 'RequestPendingError', 'RequestTimeoutError', 'RestoringError',
  'RevisionMismatchError', 'SessionLostError', 'SnapshotCorruptError', 'SnapshotGoneError',
  'OnceUnknownError', 'RunCancelledError', 'ScheduleChangedError', 'ScheduleExistsError', 'ScheduleRunningError', 'ScheduleUnknownError',
  'SnapshotMissingError', 'SnapshotVersionError', 'StateDivergedError', 'StoppedError', 'StorageFailedError',
  'TimeZoneError', 'TimeoutError', 'TooLargeError', 'UnauthenticatedError', 'UnauthorizedError', 'UnknownMachineError', 'UnknownMemberError',
  'UnsupportedTypeError', 'VersionMismatchError', 'WalCorruptError', 'WalVersionError', 'WrongCertificateError',
  'WrongIncarnationError', 'WrongReadTokenError',
  'errorTable', 'isRaftError'
]

/**
 * Whatever these entries export is promised to users, so it is listed here by hand: an export that is not listed is an
 * accident, and belongs into `internal.ts` if other parts of the package need it.
 */
const faces: readonly Face[] = [
  {
    entry: '.',
    source: 'plugin/index.ts',
    values: ['admitsToken', 'assertToken', 'cluster', 'default', 'fencingField', 'optionsSchema', 'serverTls'],
    types: [
      'Access', 'AuditCaller', 'AuditRecord', 'Authorize', 'BroadcastInfo', 'BroadcastListener', 'BroadcastOptions',
      'BroadcastPublished', 'BroadcastReach', 'Cluster', 'ClusterBroadcast',
      'ClusterErrorBody', 'ClusterEvents', 'ClusterListener', 'ClusterLock', 'ClusterMachine',
      'ClusterBarrier', 'ClusterCounter', 'ClusterLatch', 'ClusterRateLimiter', 'RateLimiterOptions', 'RateLimitResult',
      'ClusterMap', 'ClusterOptions', 'ClusterReadWriteLock', 'ClusterRouteMarks', 'ClusterSingleton', 'ClusterStatus', 'ClusterWorkers', 'ForwardOptions',
      'ClusterSchedule', 'ClusterSchedules', 'ScheduleBackfill', 'ScheduleOptions', 'ScheduleRunRecord', 'ScheduleRunStatus', 'ScheduleStatus',
      'ScheduleWork', 'ScheduledRun',
      'IdempotencyStatus',
      'KeyEndOptions', 'LeaderInfo', 'LeaderWork', 'LeaderWorkCompleted', 'LeaderWorkLost', 'LeaderWorkNotLeader', 'LeaderWorkResult',
      'LeadershipChange', 'LeadershipGrant', 'LockAcquireOptions', 'LockGrant', 'LockUsingOptions', 'MachineApplied', 'MachineContext',
      'MachineDefinition', 'MachineProposeOptions', 'MachineReadOptions', 'MapChange', 'MapDeleteResult', 'MapEntriesOptions',
      'MapEntry', 'MapEvent', 'MapListOptions', 'MapPage', 'MapReadOptions', 'MapSetOptions', 'MapWatch', 'MapWatchOptions', 'MapWriteOptions', 'Member', 'MemberChangeOptions',
      'MemberInfo', 'MemberRole', 'MemberUrlOptions', 'Membership', 'NewMember', 'OnceEnd', 'OnceGrant', 'OnceMethod', 'OnceRun', 'RefusedCalls', 'RouteForwardOptions', 'RouteIdempotencyOptions', 'SingletonMethod', 'SingletonOptions', 'SingletonRun',
      'SpreadOptions', 'TaskStatus', 'WorkerGrant', 'WorkerRun', 'WorkersOptions',
      'RestoreProgress', 'SemaphoreOptions', 'ServerTlsOptions', 'SingletonState', 'SnapshotFailure', 'SnapshotTaken', 'TlsOptions', 'TokenRole', 'TransactionComparison', 'TransactionOptions', 'TransactionResult', 'TransactionWrite', 'TransferOptions', 'WaitLimit',
      'WaitOptions'
    ]
  },
  {
    entry: './gateway',
    source: 'gateway/index.ts',
    values: ['createGateway'],
    types: [
      'Gateway', 'GatewayAddress', 'GatewayListening', 'GatewayOptions', 'GatewayStatus', 'LeaderInfo',
      'ServerCertificateOptions', 'TlsOptions', 'TrackedNode'
    ]
  },
  {
    entry: './node-cron',
    source: 'plugin/node-cron.ts',
    values: ['createRunCoordinator'],
    types: ['RunCoordinator', 'RunCoordinatorOptions']
  },
  {
    entry: './testing',
    source: 'testing/index.ts',
    values: ['createTestCluster'],
    types: ['CopySetup', 'TestCluster', 'TestClusterOptions', 'VirtualWait']
  },
  { entry: './errors', source: 'raft/errors.ts', values: errors, types: ['ErrorAction', 'ErrorKind'] },
  {
    entry: './raft',
    source: 'raft/index.ts',
    values: [
      ...errors,
      'FileSnapshotStore', 'FileStorage', 'MemorySnapshotStore', 'MemoryStorage',
      'inspectLog', 'inspectSnapshot', 'makeSecret', 'openRaftEngine', 'readSecrets', 'readTlsMaterial',
      'restoreSnapshot', 'saveSnapshot'
    ],
    types: [
      'ApplyContext', 'ChangeOptions', 'Clock', 'Engine', 'EngineEvents', 'EngineStatus', 'ErrorAction', 'ErrorKind',
      'EventSource',
      'FileSnapshotStoreOptions', 'FileStorageOptions', 'IncomingSnapshot', 'InspectedSegment', 'InspectedSnapshot',
      'LeaderInfo', 'Leadership', 'LeadershipEnd', 'LogInspection', 'LogPoint', 'Logger', 'Member', 'MemberInfo', 'MemberRole',
      'Membership', 'MembershipChange', 'NonceExchange', 'NoteListener', 'PeerNotes', 'RaftControl', 'RaftEngine', 'RaftEngineOptions', 'RaftEvents',
      'RaftStatus',
      'RecoveredState', 'ReserveUse', 'RestoreOptions', 'RestoreProgress', 'SnapshotFailure', 'SnapshotInfo', 'SnapshotMeta', 'SnapshotPolicy',
      'Secret', 'Secrets', 'SecretsReading', 'SnapshotStore', 'SnapshotTaken', 'StateMachine', 'Storage', 'StorageBatch', 'StorageIdentity', 'Timing',
      'ExpectedName', 'NameForm', 'OwnCertificate', 'TlsFault', 'TlsMaterial', 'TlsPart', 'TlsReading', 'TlsSource',
      'TlsTexts', 'WaitOptions'
    ]
  }
]

interface Exported {
  readonly name: string
  readonly isValue: boolean
  readonly hasComment: boolean
}

const program = createProgram()

describe('the public names', () => {
  it.each(faces)('of $entry are those listed, values and types', ({ source, values, types }) => {
    const exported = exportsOf(source)
    const namesOf = (isValue: boolean): string[] =>
      exported.filter((found) => found.isValue === isValue).map(({ name }) => name).sort()
    expect(namesOf(true)).toEqual([...values].sort())
    expect(namesOf(false)).toEqual([...types].sort())
  })

  it.each(faces)('of $entry all have a doc comment where they are declared', ({ source }) => {
    expect(exportsOf(source).filter(({ hasComment }) => !hasComment).map(({ name }) => name)).toEqual([])
  })

  it('are exported by index files and errors.ts alone: package.json reaches no other file', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, string | { readonly types: string, readonly default: string }>
    }
    const reached = Object.values(exports).flatMap((target) =>
      (typeof target === 'string' ? [target] : Object.values(target)))
    const isPublic = /^\.\/(package\.json|dist\/src\/((raft|gateway|plugin|testing)\/index|raft\/errors|plugin\/node-cron)\.(js|d\.ts))$/
    expect(reached.filter((target) => !isPublic.test(target))).toEqual([])
    expect(reached.length).toBeGreaterThan(4)
  })

  it('belong to entries of package.json', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, { readonly types: string }>
    }
    for (const { entry, source } of faces) expect(exports[entry]?.types).toBe(`./dist/src/${source.replace(/ts$/, 'd.ts')}`)
  })
})

function createProgram (): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object }
  }
  const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, noEmit: true }, root)
  return ts.createProgram(faces.map(({ source }) => join(root, 'src', source)), options)
}

function exportsOf (source: string): Exported[] {
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(join(root, 'src', source))
  const module = file === undefined ? undefined : checker.getSymbolAtLocation(file)
  if (module === undefined) throw new Error(`${source} is not a module`)
  return checker.getExportsOfModule(module).map((symbol) => {
    const declared = (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
    return {
      name: symbol.name,
      isValue: (declared.flags & ts.SymbolFlags.Value) !== 0,
      hasComment: declared.getDocumentationComment(checker).length > 0
    }
  })
}
