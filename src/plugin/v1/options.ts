import type { Logger } from '../../raft/index.ts'
import type { Audit } from '../cluster/audit.ts'
import type { CatchUp } from '../cluster/catch-up.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { MemberControl } from '../cluster/member-control.ts'
import type { ClusterMap } from '../primitives/map.ts'
import type { RemoteLocks } from '../primitives/remote-locks.ts'
import type { RemoteSessions } from '../primitives/remote-sessions.ts'
import type { RemoteTasks } from '../primitives/remote-tasks.ts'
import type { ScheduleControl } from '../primitives/schedule.ts'
import type { TransactionOptions, TransactionResult } from '../primitives/transaction.ts'
import type { MapHistory } from '../replicated/map-history.ts'
import type { ForwardContext } from '../routes/route-guards.ts'
import type { ChangeStreams } from './change-streams.ts'
import type { ClientRequests } from './client-requests.ts'
import type { Judge } from './judge.ts'
import type { Watch } from './watch.ts'

/** What the version 1 routes work with. */
export interface V1Options {
  readonly cluster: Cluster
  /** Changes of membership and leadership, which the audit of the routes tells of. */
  readonly changes: MemberControl
  /** The map behind the routes of `kv`, with idempotency keys that clients chose. */
  readonly kv: ClusterMap<unknown>
  readonly locks: RemoteLocks
  readonly sessions: RemoteSessions
  /** Tasks of the cluster, and work that is done once. */
  readonly tasks: RemoteTasks
  /** Transactions on that map, likewise. */
  readonly transact: (options: TransactionOptions) => Promise<TransactionResult>
  /** What the maps were before, for those who follow keys. */
  readonly history: MapHistory
  /** Clients that follow keys. */
  readonly streams: ChangeStreams
  /** All schedules of the cluster, by name. */
  readonly schedules: ScheduleControl
  readonly catchUp: CatchUp
  /** Tells gateways of each change. */
  readonly watch: Watch
  /** What clients have under way, on these routes wherever they are served. */
  readonly clients: ClientRequests
  /** Whether this node is to join a cluster and is not a voter of it yet. */
  readonly isJoining: () => boolean
  /** Whether this node takes no more work: it drains or closes. */
  readonly isDraining: () => boolean
  readonly guards: ForwardContext
  /** Path of these routes, the same on all members. */
  readonly path: string
  /** Decides who is let in. */
  readonly judge: Judge
  readonly audit: Audit
  /** Whether callers show tokens, for the OpenAPI document. */
  readonly showsTokens: boolean
  /** Show these routes in the OpenAPI document of the application. */
  readonly openApi: boolean
  readonly logger: Logger
}
