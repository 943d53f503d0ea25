import type { RestoreProgress, SnapshotFailure } from '../../raft/index.ts'
import { percentOf } from '../../raft/internal.ts'
import type { CatchUp } from '../cluster/catch-up.ts'
import type { Cluster } from '../cluster/cluster.ts'

/** One thing that health depends on. */
interface Check {
  readonly ok: boolean
  /** Needs a look, and does not make the node unready. */
  readonly warning?: true
  /** The caller leaves it out of the judgement. */
  readonly excluded?: true
  readonly detail: string
}

/** Whether a node is well, and what that was judged by. */
export interface Health {
  readonly ok: boolean
  readonly checks: Readonly<Record<string, Check>>
}

/** What `readyz` checks, and so what a caller may leave out of its judgement. */
export const readinessChecks = ['node', 'member', 'leader', 'state', 'caughtUp', 'closing', 'snapshot'] as const

function healthOf (checks: Record<string, Check>): Health {
  return { ok: Object.values(checks).every((check) => check.ok || check.excluded === true), checks }
}

/** The same health, judged without the checks of these names. */
export function without (health: Health, names: readonly string[]): Health {
  return healthOf(Object.fromEntries(Object.entries(health.checks).map(([name, check]) =>
    [name, names.includes(name) ? { ...check, excluded: true } : check])))
}

/** Alive: the node has not stopped for good. Only a restart helps when it has. */
export function liveness (cluster: Cluster): Health {
  const { failure } = cluster.status
  return healthOf({ node: failure === null ? { ok: true, detail: 'running' } : { ok: false, detail: failure } })
}

/**
 * Ready: running, a member (a voter, if it was told to join), a leader is known, the state is restored, and caught up
 * with the leader, and neither draining nor closing. Followers are as ready as leaders.
 */
export function readiness (cluster: Cluster, catchUp: CatchUp, isJoining: boolean, isDraining: boolean): Health {
  const { appliedIndex, commitIndex, restoring, snapshotFailure } = cluster.status
  const leader = cluster.leader
  return healthOf({
    ...liveness(cluster).checks,
    member: memberCheck(cluster, isJoining),
    leader:
      leader === null
        ? { ok: false, detail: 'no leader is known' }
        : { ok: true, detail: `${leader.id} in term ${leader.term}` },
    state: stateCheck(restoring),
    caughtUp: {
      ok: catchUp.caughtUp,
      detail: `${appliedIndex} of ${commitIndex} known entries applied, ${lagOf(catchUp)}`
    },
    ...(isDraining ? { closing: { ok: false, detail: 'it ends the requests that it has, and takes no more' } } : {}),
    ...(snapshotFailure === null ? {} : { snapshot: snapshotWarning(snapshotFailure) })
  })
}

function lagOf ({ behindMs }: CatchUp): string {
  return behindMs === Infinity
    ? 'and no answer of the leader yet'
    : `at most ${(behindMs / 1_000).toFixed(1)} s behind the leader`
}

function stateCheck (restoring: RestoreProgress | null): Check {
  if (restoring === null) return { ok: true, detail: 'restored' }
  const { bytes, totalBytes, sinceMs } = restoring
  const percent = percentOf(bytes, totalBytes)
  return { ok: false, detail: `restoring, ${percent} % of ${totalBytes} bytes in ${Math.round(sinceMs / 1_000)} s` }
}

function snapshotWarning ({ message, count, sinceMs }: SnapshotFailure): Check {
  const detail = `${count} snapshots in a row failed, the first ${Math.round(sinceMs / 1_000)} s ago: ${message}`
  return { ok: true, warning: true, detail }
}

function memberCheck (cluster: Cluster, isJoining: boolean): Check {
  const member = cluster.membership.members.find(({ id }) => id === cluster.nodeId)
  if (member === undefined) return { ok: false, detail: isJoining ? 'joining: not a member yet' : 'not a member' }
  return isJoining
    ? { ok: false, detail: `joining: ${member.role}` }
    : { ok: member.role !== 'leaving', detail: member.role }
}
