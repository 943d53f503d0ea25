import type { NodeStatus } from '../../../src/cli/local/local-cluster.ts'

/** One node as its clients see it. */
export interface AskedNode {
  readonly id: string
  readonly url: string
}

/** A cluster as its clients see it. */
export interface AskedCluster {
  readonly nodes: readonly AskedNode[]
  /** The status that a node reports, or null when it does not answer. */
  readonly status: (id: string) => Promise<NodeStatus | null>
  /** Waits until one node leads and a majority of all nodes follows it. */
  readonly waitForLeader: (timeoutMs?: number) => Promise<AskedNode>
}

/** One node as a test sees it from outside. */
export interface WatchedNode extends AskedNode {
  readonly child: {
    readonly running: boolean
    readonly command: { readonly logFile: string }
    readonly signal: (name: NodeJS.Signals) => void
  }
}

/** Real processes that form a cluster, wherever they run. */
export interface WatchedCluster extends AskedCluster {
  readonly nodes: readonly WatchedNode[]
  readonly waitForLeader: (timeoutMs?: number) => Promise<WatchedNode>
}
