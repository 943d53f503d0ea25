import type { Timing } from './driver/timing.ts'
import type { Member } from './engine.ts'
import type { Clock } from './runtime/clock.ts'
import type { Logger } from './runtime/logger.ts'
import type { SnapshotPolicy } from './snapshots/policy.ts'
import type { StateMachine } from './state/state-machine.ts'
import type { SnapshotStore } from './storage/snapshot-store.ts'
import type { Storage } from './storage/storage.ts'

/** What a Raft engine is made of. */
export interface RaftEngineOptions {
  readonly nodeId: string
  readonly clusterId: string
  /**
   * All members, this node included; empty for a node that waits to be added. Only the seed of the first start: from
   * then on the log says who belongs.
   */
  readonly members: readonly Member[]
  readonly storage: Storage
  /** Where the snapshots are; as durable as the storage, which forgets what they cover. */
  readonly snapshots: SnapshotStore
  /** When they are taken; parts that are left out keep their defaults. */
  readonly snapshotPolicy?: Partial<SnapshotPolicy>
  readonly stateMachine: StateMachine
  readonly timing: Timing
  readonly logger: Logger
  readonly clock?: Clock
  /**
   * Hashes the state after every so many entries and compares it between the nodes: one that differs from the leader
   * logs `RAFT_STATE_DIVERGED` with the index and stops. The same on all nodes. Left out: states are not compared.
   */
  readonly hashStateEveryEntries?: number
  /**
   * How long the cluster remembers which commands of this node it has applied when this node sends none, in
   * milliseconds of log time: between 10 seconds and a day, an hour when left out.
   */
  readonly sessionTtlMs?: number
  /** Path prefix of the peer routes; `/_cluster/raft` when left out. */
  readonly basePath?: string
  /** Which remote addresses may speak as peers; all when left out. */
  readonly acceptRemoteAddress?: (address: string | undefined) => boolean
}
