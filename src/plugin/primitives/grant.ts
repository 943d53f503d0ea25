import { setMaxListeners } from 'node:events'
import type { Engine, Leadership } from '../../raft/index.ts'
import { LeadershipLostError } from '../../raft/index.ts'
import { formatToken } from './conditions.ts'

/** A leadership of this node, as given to work that runs under it. */
export interface LeadershipGrant {
  /** Fencing token: the log index of the leadership's first entry, as a decimal string. Tokens only rise. */
  readonly token: string
  /** Raft term of the leadership. */
  readonly term: number
  /** Aborts when the leadership is lost; its reason is then a `RAFT_LEADERSHIP_LOST` error. */
  readonly signal: AbortSignal
  /**
   * Throws `RAFT_LEADERSHIP_LOST` unless this leadership holds now. Compares clocks, so that it is right even after a
   * blocked event loop, when the signal may not have fired yet. Call it right before every outside effect.
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
  readonly lose: () => void
}

// One listener per engine however many grants are open: a leader serves many requests at once.
const openGrants = new WeakMap<Engine, Set<OpenGrant>>()

/** Gives out a leadership of this node. A leadership that is over already gives a grant whose signal has aborted. */
export function createGrant (engine: Engine, leadership: Leadership): GrantOwner {
  const { token, term } = leadership
  const open = openGrantsOf(engine)
  const controller = new AbortController()
  // One signal serves everything that runs under the grant.
  setMaxListeners(0, controller.signal)
  const lost = (): Error => new LeadershipLostError(formatToken(token))
  const holds = (): boolean => engine.currentLeadership()?.token === token
  const end = (reason?: Error): void => {
    open.delete(watched)
    if (reason !== undefined) controller.abort(reason)
  }
  const watched: OpenGrant = { token, lose: () => { end(lost()) } }
  open.add(watched)
  if (!holds()) end(lost())
  const check = (): void => {
    if (controller.signal.aborted || !holds()) throw lost()
  }
  return { grant: { token: formatToken(token), term, signal: controller.signal, check }, end }
}

function openGrantsOf (engine: Engine): Set<OpenGrant> {
  const known = openGrants.get(engine)
  if (known !== undefined) return known
  const open = new Set<OpenGrant>()
  openGrants.set(engine, open)
  engine.events.on('leadership', (leadership) => {
    for (const grant of [...open]) {
      if (grant.token !== leadership?.token) grant.lose()
    }
  })
  return open
}
