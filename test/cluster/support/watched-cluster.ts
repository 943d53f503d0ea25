import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'

/** One node as a test sees it from outside. */
export interface WatchedNode {
  readonly id: string
  readonly url: string
  readonly child: {
    readonly running: boolean
    readonly command: { readonly logFile: string }
    readonly signal: (name: NodeJS.Signals) => void
  }
}

/** Real processes that form a cluster, wherever they run. */
export interface WatchedCluster {
  readonly nodes: readonly WatchedNode[]
  /** The status that a node reports, or null when it does not answer. */
  readonly status: (id: string) => Promise<NodeStatus | null>
  /** Waits until one node leads and a majority of all nodes follows it. */
  readonly waitForLeader: (timeoutMs?: number) => Promise<WatchedNode>
}
