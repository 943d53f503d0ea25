import type { LeaderInfo } from '../../raft/index.ts'
import type { TrackedNode } from './leader-tracker.ts'

/** The state of a gateway. */
export interface GatewayStatus {
  /** Requests waiting for a leader or a ready node. */
  readonly waiting: number
  /** Requests being forwarded. */
  readonly inFlight: number
  readonly leader: LeaderInfo | null
  readonly nodes: readonly TrackedNode[]
  /** Whether it closes, and takes requests for a moment yet. */
  readonly isDraining: boolean
  /** Whether `readyz` answers 200: a node of its cluster can be reached, and it is not draining. */
  readonly isReady: boolean
}
