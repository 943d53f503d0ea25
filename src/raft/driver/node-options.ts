import type {
  Configuration,
  CoreLimits,
  Entry,
  LeadershipView,
  NodeId,
  ReadResult,
  SnapshotPoint
} from '../core/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Timers } from '../runtime/timers.ts'
import type { SnapshotPolicy } from '../snapshots/policy.ts'
import type { ReserveUse } from '../state/state-machine.ts'
import type { SnapshotInfo, SnapshotStore } from '../storage/snapshot-store.ts'
import type { RecoveredState, Storage } from '../storage/storage.ts'
import type { Transport } from '../transport/transport.ts'
import type { LeadershipNews } from './leadership-watch.ts'
import type { TickTiming } from './timing.ts'

/** Events of a node for the layer above; called synchronously, and must not call back into the node. */
export interface NodeListener {
  /** Applies one committed entry. A throw halts the node. */
  readonly apply: (entry: Entry) => void
  /** Captures the whole state after the last applied entry; entries applied later do not change the bytes. */
  readonly snapshot: () => AsyncIterable<Uint8Array>
  /** Replaces the whole state; nothing is applied meanwhile. A rejection halts the node. */
  readonly restore: (source: AsyncIterable<Uint8Array>) => Promise<void>
  /** A snapshot of this node is durable. */
  readonly snapshotTaken: (info: SnapshotInfo) => void
  /** All entries through this index have been applied, one by one or by a snapshot. */
  readonly applied: (appliedIndex: number) => void
  readonly readDecided: (result: ReadResult) => void
  /** Another configuration is in force; it may not be committed yet. */
  readonly configurationChanged: (configuration: Configuration) => void
  readonly viewChanged: (view: LeadershipView) => void
  /** This node's leadership started or ended, or is suspended meanwhile. */
  readonly leadershipNews: (news: LeadershipNews) => void
  readonly ticked: () => void
  readonly failed: (error: Error) => void
}

/** The parts that a node gets when it starts. */
export interface NodeHost {
  readonly transport: Transport
  readonly listener: NodeListener
}

export interface RaftNodeOptions {
  readonly nodeId: NodeId
  /** The members until the log has a configuration. */
  readonly configuration: Configuration
  readonly timing: TickTiming
  readonly seed: number
  readonly storage: Storage
  readonly snapshots: SnapshotStore
  readonly snapshotPolicy: SnapshotPolicy
  /** The recovered log, made to fit the latest snapshot. */
  readonly recovered: RecoveredState & { readonly snapshot: SnapshotPoint | null }
  readonly clock: Clock
  /** The timers and the event loop of this process unless given. */
  readonly timers?: Timers
  readonly logger: Logger
  readonly limits?: CoreLimits
  /** Why a command may be written although space is low; none may when left out. */
  readonly reserveUse?: (command: Uint8Array) => ReserveUse | null
}
