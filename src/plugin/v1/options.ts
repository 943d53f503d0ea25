import type { CatchUp } from '../catch-up.ts'
import type { Cluster } from '../cluster.ts'

/** What the version 1 routes work with. */
export interface V1Options {
  readonly cluster: Cluster
  readonly catchUp: CatchUp
  /** Serve clients beyond this machine although nothing authenticates them. */
  readonly insecure: boolean
}
