/**
 * Turns several copies of one Fastify app into a cluster.
 *
 * ```ts
 * import Fastify from 'fastify'
 * import cluster from 'fastify-raft'
 *
 * const app = Fastify()
 * await app.register(cluster, {
 *   id: 'n1',
 *   members: [
 *     { id: 'n1', url: 'http://127.0.0.1:4001' },
 *     { id: 'n2', url: 'http://127.0.0.1:4002' },
 *     { id: 'n3', url: 'http://127.0.0.1:4003' }
 *   ],
 *   dataDir: './data/n1'
 * })
 * app.post('/orders', { forward: true }, createOrder)
 * ```
 * @module
 */
import { openEngine } from './engine-factory.ts'
import { createClusterPlugin } from './plugin.ts'

/**
 * The plugin: `await app.register(cluster, options)`, once per application, at its root, awaited, and before the routes
 * that carry `forward` or `leaderOnly`. Decorates the application with `cluster` and `clusterRoutes`.
 *
 * Registration rejects with `RAFT_INVALID_OPTIONS` (all faults at once, before anything is written), with an error of
 * the data directory (`RAFT_DATA_DIR`, `RAFT_WAL_CORRUPT` and so on), or with the reason why the running cluster does
 * not accept this node (for example `RAFT_UNKNOWN_MEMBER`).
 */
export const cluster = createClusterPlugin(openEngine)
export default cluster

export { optionsSchema } from './options/options-schema.ts'
export { serverTls } from './options/server-tls.ts'
export type { ServerTlsOptions } from './options/server-tls.ts'
export type { Access, Authorize, TokenRole } from './options/access.ts'
export type { ClusterOptions, ForwardOptions, RouteForwardOptions, TlsOptions } from './options/options-schema.ts'
export type { Cluster, OnceMethod } from './cluster/cluster.ts'
export type {
  AuditCaller,
  AuditRecord,
  ClusterEvents,
  ClusterListener,
  ClusterStatus,
  IdempotencyStatus,
  LeadershipChange,
  LeaderWork,
  LeaderWorkCompleted,
  LeaderWorkLost,
  LeaderWorkNotLeader,
  LeaderWorkResult,
  MemberChangeOptions,
  MemberUrlOptions,
  NewMember,
  RefusedCalls,
  TransferOptions,
  WaitLimit
} from './cluster/types.ts'
export type { ClusterRouteMarks } from './routes/fastify-types.ts'
export type { RouteIdempotencyOptions } from './routes/idempotent-mark.ts'
export type { ErrorBody as ClusterErrorBody } from './routes/answers.ts'
export type { BroadcastOptions, BroadcastPublished, ClusterBroadcast } from './primitives/broadcast.ts'
export type { BroadcastInfo, BroadcastListener } from './primitives/broadcast-channel.ts'
export type { BroadcastReach } from './primitives/broadcast-courier.ts'
export { admitsToken, assertToken, fencingField } from './primitives/fencing.ts'
export type { LeadershipGrant } from './primitives/grant.ts'
export type { ClusterLock, LockUsingOptions } from './primitives/lock.ts'
export type {
  ClusterBarrier,
  ClusterCounter,
  ClusterLatch,
  ClusterRateLimiter,
  RateLimiterOptions,
  RateLimitResult
} from './primitives/tallies.ts'
export type { ClusterReadWriteLock, SemaphoreOptions } from './primitives/lock-kinds.ts'
export type { LockAcquireOptions } from './primitives/lock-request.ts'
export type { LockGrant } from './primitives/lock-grant.ts'
export type {
  ClusterMap,
  MapDeleteResult,
  MapEntriesOptions,
  MapEntry,
  MapListOptions,
  MapPage,
  MapReadOptions,
  MapSetOptions,
  MapWriteOptions
} from './primitives/map.ts'
export type { KeyEndOptions } from './primitives/key-end.ts'
export type { MapChange, MapEvent, MapWatch, MapWatchOptions } from './primitives/map-watch.ts'
export type {
  TransactionComparison,
  TransactionOptions,
  TransactionResult,
  TransactionWrite
} from './primitives/transaction.ts'
export type { OnceGrant, OnceRun } from './primitives/once.ts'
export type { OnceEnd } from './replicated/once-command.ts'
export type { ClusterMachine, MachineProposeOptions, MachineReadOptions } from './primitives/machine.ts'
export type { MachineApplied, MachineContext, MachineDefinition } from './replicated/user-machine.ts'
export type {
  ClusterSchedule,
  ClusterSchedules,
  ScheduleBackfill,
  ScheduleRunRecord,
  ScheduleRunStatus,
  ScheduleStatus
} from './primitives/schedule.ts'
export type { ScheduleOptions } from './primitives/schedule-options.ts'
export type { ScheduledRun, ScheduleWork } from './primitives/schedule-run.ts'
export type {
  ClusterSingleton,
  ClusterWorkers,
  SingletonMethod,
  SingletonOptions,
  SingletonRun,
  SingletonState,
  SpreadOptions,
  TaskStatus,
  WorkerGrant,
  WorkerRun,
  WorkersOptions
} from './primitives/singleton-types.ts'
export type {
  LeaderInfo,
  Member,
  MemberInfo,
  MemberRole,
  Membership,
  RestoreProgress,
  SnapshotFailure,
  SnapshotTaken,
  WaitOptions
} from '../raft/index.ts'
