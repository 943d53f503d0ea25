import { setMaxListeners } from 'node:events'
import type { Engine, Leadership, LeadershipEnd } from '../../raft/index.ts'
import {
  LeadershipLostError,
  LeadershipTransferredError,
  LeaseLostError,
  NotVoterError,
  QuorumLostError,
  StoppedError
} from '../../raft/index.ts'
import { formatToken } from './conditions.ts'

/** What work is given that may run on one node at a time. */
export interface TaskGrant {
  /** Fencing token, as a decimal string. Tokens only rise. */
  readonly token: string
  /** Aborts when the work must end. */
  readonly signal: AbortSignal
  /** Throws unless the work may still act, by the clocks. Call it right before every outside effect. */
  readonly check: () => void
}

/** A leadership of this node, as given to work that runs under it. */
export interface LeadershipGrant extends TaskGrant {
  /** Fencing token: the log index of the leadership's first entry, as a decimal string. Tokens only rise. */
  readonly token: string
  /** Raft term of the leadership. */
  readonly term: number
  /**
   * Aborts as soon as this node, while it runs, has to count with another leader. The code of its reason says why:
   *
   * - `RAFT_LEADERSHIP_TRANSFERRED`: handed over to another node;
   * - `RAFT_LEADERSHIP_LOST`: a later term was heard of, or the node was asked to step down;
   * - `RAFT_QUORUM_LOST`: no majority answers;
   * - `RAFT_LEASE_LOST`: the node could not run or its clock was set, and no majority confirmed it afterwards;
   * - `RAFT_NOT_VOTER`: the node was removed or demoted;
   * - `RAFT_HANDOVER`: the work is a task, and this node is about to hand over;
   * - `RAFT_STOPPED`: the node closes or has failed.
   *
   * A lapse of the lease in which no other node was elected aborts nothing; `check` throws while it lasts.
   */
  readonly signal: AbortSignal
  /**
   * Throws `RAFT_LEADERSHIP_LOST` unless this leadership holds now, and the signal's reason once that has aborted.
   * Compares clocks, so that it is right even after a blocked event loop, when the signal may not have fired yet. Call
   * it right before every outside effect.
   */
  readonly check: () => void
}

/** A grant together with the way to end it, which only its creator holds. */
export interface GrantOwner {
  readonly grant: LeadershipGrant
  /** Stops watching; with a reason, the grant's signal aborts with it. Call it when the work is done. */
  readonly end: (reason?: Error) => void
}

interface OpenGrant {
  readonly token: number
  readonly lose: (end: LeadershipEnd | undefined) => void
}

// One listener per engine however many grants are open: a leader serves many requests at once.
const openGrants = new WeakMap<Engine, Set<OpenGrant>>()

/** Gives out a leadership of this node. A leadership that is over already gives a grant whose signal has aborted. */
export function createGrant (engine: Engine, leadership: Leadership): GrantOwner {
  const { token, term } = leadership
  const open = openGrantsOf(engine)
  const controller = new AbortController()
  const { signal } = controller
  // One signal serves everything that runs under the grant.
  setMaxListeners(0, signal)
  const end = (reason?: Error): void => {
    open.delete(watched)
    if (reason !== undefined) controller.abort(reason)
  }
  const watched: OpenGrant = { token, lose: (why) => { end(errorOf(token, why)) } }
  open.add(watched)
  if (engine.openLeadership()?.token !== token) end(errorOf(token, undefined))
  const check = (): void => {
    if (signal.aborted) throw signal.reason
    if (engine.currentLeadership()?.token !== token) throw errorOf(token, undefined)
  }
  return { grant: { token: formatToken(token), term, signal, check }, end }
}

function errorOf (token: number, end: LeadershipEnd | undefined): Error {
  const text = formatToken(token)
  switch (end) {
    case 'transferred': return new LeadershipTransferredError(text)
    case 'quorum-lost': return new QuorumLostError(text)
    case 'lease-lost': return new LeaseLostError(text)
    case 'removed': return new NotVoterError(text)
    case 'stopped': return new StoppedError(`the leadership with token ${text} ended with it`)
    case 'deposed':
    case 'stepped-down':
    case undefined: return new LeadershipLostError(text)
  }
}

function openGrantsOf (engine: Engine): Set<OpenGrant> {
  const known = openGrants.get(engine)
  if (known !== undefined) return known
  const open = new Set<OpenGrant>()
  openGrants.set(engine, open)
  engine.events.on('leadership', (leadership, why) => {
    for (const grant of [...open]) {
      if (grant.token !== leadership?.token) grant.lose(why)
    }
  })
  return open
}
