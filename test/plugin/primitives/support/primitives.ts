import type { PrimitiveContext } from '../../../../src/plugin/primitives/context.ts'
import { ClusterStateMachine } from '../../../../src/plugin/replicated/cluster-state-machine.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { MemoryLogger } from '../../../support/memory-logger.ts'
import type { SharedLogNode } from '../../../support/shared-log-cluster.ts'
import { SharedLogCluster } from '../../../support/shared-log-cluster.ts'

/** A node with clocks and log of its own. */
export interface TestNode extends PrimitiveContext {
  readonly engine: SharedLogNode<ClusterStateMachine>
  readonly clock: ManualClock
  readonly logger: MemoryLogger
}

/** A cluster of nodes; the first one leads. */
export interface TestCluster {
  readonly cluster: SharedLogCluster<ClusterStateMachine>
  readonly nodes: readonly TestNode[]
  readonly node: (at: number) => TestNode
  /** Moves the clocks of all nodes, in small steps so that timers on different nodes interleave. */
  readonly advance: (byMs: number) => Promise<void>
}

export function startTestCluster (size = 1): TestCluster {
  const cluster = new SharedLogCluster(size, () => new ClusterStateMachine())
  const nodes = cluster.nodes.map((engine): TestNode => {
    const clock = new ManualClock()
    return {
      engine,
      machine: engine.machine,
      clock,
      logger: new MemoryLogger(),
      defaultTimeoutMs: 2_000,
      timers: clock
    }
  })
  cluster.lead(0)
  const node = (at: number): TestNode => {
    const found = nodes[at]
    if (found === undefined) throw new Error(`no node ${at}`)
    return found
  }
  const advance = async (byMs: number): Promise<void> => {
    for (let leftMs = byMs; leftMs > 0; leftMs -= 50) {
      for (const { clock } of nodes) await clock.advance(Math.min(50, leftMs))
    }
  }
  return { cluster, nodes, node, advance }
}

/** Resolves when the signal has aborted. */
export function untilAborted (signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => { resolve() })
  })
}
