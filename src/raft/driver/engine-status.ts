import type { EngineStatus } from '../engine.ts'
import { toMembers } from '../membership/changes.ts'
import type { RaftNode } from './node.ts'

/** What a node knows of itself, put together for those who ask. */
export function statusOf (
  node: RaftNode,
  who: Pick<EngineStatus, 'nodeId' | 'clusterId' | 'incarnation' | 'leader' | 'lowSpace'>
): EngineStatus {
  const { role, term } = node.view
  const leaseMs = node.leaseRemainingMs
  return {
    ...who,
    role,
    term,
    commitIndex: node.commitIndex,
    appliedIndex: node.appliedIndex,
    lastIndex: node.lastIndex,
    snapshotIndex: node.snapshotIndex,
    leaseRemainingMs: leaseMs === Infinity ? null : leaseMs,
    members: toMembers(node.configuration),
    failure: node.failure
  }
}
