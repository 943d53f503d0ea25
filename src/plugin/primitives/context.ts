import type { Clock, Engine, Logger } from '../../raft/index.ts'
import type { Timers } from '../../raft/internal.ts'
import type { ClusterStateMachine } from '../replicated/cluster-state-machine.ts'

/** What the primitives of one node share. */
export interface PrimitiveContext {
  readonly engine: Engine
  readonly machine: ClusterStateMachine
  readonly clock: Clock
  readonly logger: Logger
  /** How long a call waits for the cluster when it names no `timeoutMs` of its own. */
  readonly defaultTimeoutMs: number
  /** The timers of this process unless given; tests give their own. */
  readonly timers?: Timers
}
