import type { EventEmitter } from 'node:events'
import type { ProposalQueue } from '../../../src/raft/client/proposal-queue.ts'
import type { ReadBarriers } from '../../../src/raft/client/read-barriers.ts'
import type { LeadershipLease } from '../../../src/raft/driver/lease.ts'
import type { Engine, EngineEvents, Leadership, WaitOptions } from '../../../src/raft/engine.ts'
import type { SimNode } from '../world.ts'

/** What one start of a simulated node offers to the primitives. */
export interface EngineParts {
  readonly sim: SimNode
  readonly events: EventEmitter<EngineEvents>
  readonly proposals: ProposalQueue
  readonly reads: ReadBarriers
  readonly announced: { readonly leadership: Leadership | null }
  readonly lease: LeadershipLease
  readonly appliedIndex: () => number
  /** Hears of every command before it is proposed. */
  readonly proposing: (command: Uint8Array) => void
}

/** The engine of a simulated node, as the primitives of the plugin know it: nothing is restored while they run. */
export function createNodeEngine (parts: EngineParts): Engine {
  const { sim, events, proposals, reads, announced, lease } = parts
  const { id } = sim.node
  const known = (leader: string) => ({ id: leader, url: `http://${leader}`, term: sim.node.core.view.term })
  const currentLeadership = (): Leadership | null => lease.remainingMs() > 0 ? announced.leadership : null
  const leader = () => {
    const { leader } = sim.node.core.view
    return leader === null ? null : known(leader)
  }
  return {
    events,
    start: () => {},
    stop: () => Promise.resolve(),
    handOver: () => Promise.resolve(),
    waitForState: (options?: WaitOptions) => new Promise((resolve) => {
      options?.signal?.throwIfAborted()
      resolve()
    }),
    propose: (command, options = {}) => {
      parts.proposing(command)
      return proposals.submit(command, options)
    },
    readBarrier: (options = {}) => reads.wait(options),
    currentLeadership,
    openLeadership: () => announced.leadership,
    leader,
    members: () => sim.node.core.configuration.voters.map(known),
    clusterUuid: () => 'simulated',
    appliedIndex: parts.appliedIndex,
    lastContactMs: () => 0,
    status: () => ({
      nodeId: id,
      clusterId: 'simulated',
      clusterUuid: 'simulated',
      term: sim.node.core.view.term,
      leader: leader(),
      leaseRemainingMs: currentLeadership() === null ? 0 : lease.remainingMs(),
      failure: null
    })
  }
}
