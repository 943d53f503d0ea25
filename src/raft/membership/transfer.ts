import type { NodeId, TransferRefusal, TransferResult } from '../core/index.ts'
import { asNodeId } from '../core/index.ts'
import type { EngineEvents, EventSource, LeaderInfo, WaitOptions } from '../engine.ts'
import {
  ChangePendingError,
  MemberLaggingError,
  MemberRoleError,
  NotLeaderError,
  TimeoutError,
  UnknownMemberError
} from '../errors.ts'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import { Waiter } from '../runtime/waiter.ts'
import type { ClusterView } from './members.ts'
import { leaderOf } from './members.ts'

/** The node of {@link transferLeadership}. */
interface TransferringNode extends ClusterView {
  /** Starts to hand leadership over, to the most caught-up voter when `to` is null. */
  readonly transfer: (to: NodeId | null) => TransferResult
}

function explain (reason: TransferRefusal, to: string | null, leader: LeaderInfo | null): Error {
  switch (reason) {
    case 'not-leader': return notLeader(leader)
    case 'unknown-member': return new UnknownMemberError(to)
    case 'not-voter': return new MemberRoleError(`"${to}" is not a voter`)
    case 'lagging': return new MemberLaggingError(to === null ? 'Every other member' : `The member "${to}"`)
    case 'pending': return new ChangePendingError('A transfer of leadership')
  }
}

/** The error of a call that only the leader accepts; it names the leader. */
export function notLeader (leader: LeaderInfo | null): Error {
  return new NotLeaderError(leader?.url ?? 'no leader is known')
}

/** Hands leadership over and resolves with the next leader; see `RaftControl.transferLeadership`. */
export function transferLeadership (
  node: TransferringNode,
  events: EventSource<EngineEvents>,
  to: string | null,
  options: WaitOptions & { readonly timeoutMs: number },
  timers: Timers = systemTimers
): Promise<LeaderInfo> {
  const { term } = node.view
  const result = node.transfer(to === null ? null : asNodeId(to))
  if (result.kind === 'refused') return Promise.reject(explain(result.reason, to, leaderOf(node)))
  const check = (next: LeaderInfo | null) => {
    if (next !== null && next.term > term) waiter.resolve(next)
  }
  const waiter = new Waiter<LeaderInfo>(
    options,
    () => new TimeoutError(options.timeoutMs, `${result.to} to take over`),
    () => { events.off('leader', check) },
    timers
  )
  events.on('leader', check)
  return waiter.promise
}
