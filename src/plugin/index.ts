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

/** The plugin: `await app.register(cluster, options)`. Rejects with a `RAFT_*` error before anything listens. */
export const cluster = createClusterPlugin(openEngine)
export default cluster

export { optionsSchema } from './options/options-schema.ts'
export type { ClusterOptions, ForwardOptions } from './options/options-schema.ts'
export type { Cluster } from './cluster/cluster.ts'
export type {
  ClusterEvents,
  ClusterListener,
  ClusterStatus,
  Completed,
  ExecuteResult,
  LeaderWork,
  LeadershipChange,
  Lost,
  MemberChangeOptions,
  MemberMoveOptions,
  NewMember,
  NotLeader,
  TransferOptions,
  Wait
} from './cluster/types.ts'
export type { ClusterRouteMarks } from './routes/fastify-types.ts'
export type { ErrorBody } from './routes/answers.ts'
export type { Grant } from './primitives/grant.ts'
export type { AcquireOptions, ClusterLock, LockGrant } from './primitives/lock.ts'
export type {
  ClusterMap,
  MapDeleteResult,
  MapEntriesOptions,
  MapEntry,
  MapListOptions,
  MapPage,
  MapReadOptions,
  MapWriteOptions
} from './primitives/map.ts'
export type { Applied, MachineContext, MachineDefinition } from './replicated/user-machine.ts'
export type { Machine, MachineProposeOptions, MachineReadOptions } from './primitives/machine.ts'
export type { Singleton, SingletonOptions, SingletonRun, SingletonState } from './primitives/singleton.ts'
export type { LeaderInfo, Member, MemberInfo, MemberRole, Membership, SnapshotTaken } from '../raft/index.ts'
