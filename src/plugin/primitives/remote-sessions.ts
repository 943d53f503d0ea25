import { SessionLostError } from '../../raft/index.ts'
import type { OwnerSession } from '../replicated/owner-session-table.ts'
import type { PrimitiveContext } from './context.ts'
import { drawRequestId } from './context.ts'
import { proposeToSession } from './propose.ts'
import { beforeRead } from './read.ts'
import { startStopwatch, surelyHeldMs } from './stopwatch.ts'

/** A session as everybody may see it. */
export interface SessionView {
  readonly session: string
  readonly owner: string
  readonly ttlMs: number
  /** Whether it is that of a copy of the application. */
  readonly isOfProcess: boolean
}

/** A session that lives, and for how long it surely does from now on. Milliseconds. */
interface LivingSession {
  readonly session: string
  readonly expiresInMs: number
}

/** One page of {@link RemoteSessions.list}. */
interface SessionPage {
  readonly sessions: readonly SessionView[]
  /** `after` of the following page; null behind the last one. */
  readonly next: string | null
}

/** Sessions of callers over HTTP, who keep them alive themselves. */
export class RemoteSessions {
  readonly #context: PrimitiveContext

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  /** Opens a session; the same request again gets the same one. */
  async open (owner: string, ttlMs: number, requestId: string = drawRequestId(this.#context)): Promise<LivingSession> {
    const since = startStopwatch(this.#context.clock)
    const answer = await proposeToSession(this.#context, { kind: 'session-open', owner, requestId, ttlMs })
    const id = answer.kind === 'session-opened' ? answer.session : 0
    return { session: String(id), expiresInMs: Math.max(0, Math.floor(surelyHeldMs(ttlMs, since))) }
  }

  /** One more beat. Rejects with `RAFT_SESSION_LOST`, and changes nothing, when it is over. */
  async keepAlive (session: string): Promise<LivingSession> {
    const since = startStopwatch(this.#context.clock)
    const id = Number(session)
    const answer = await proposeToSession(this.#context, { kind: 'session-keep', beats: [[id, 0]] })
    const kept = this.#context.machine.sessions.get(id)
    const isGone = answer.kind !== 'sessions-kept' || answer.gone.length > 0
    if (isGone || kept === undefined) throw new SessionLostError(session)
    return { session, expiresInMs: Math.max(0, Math.floor(surelyHeldMs(kept.ttlMs, since))) }
  }

  /** Ends a session with all that it owns. Rejects as {@link RemoteSessions.keepAlive}. */
  async end (session: string): Promise<void> {
    const answer = await proposeToSession(this.#context, { kind: 'session-end', session: Number(session) })
    if (answer.kind !== 'session-ended') throw new SessionLostError(session)
  }

  /** Open sessions, in the order of their opening. */
  async list (limit: number, after = '0'): Promise<SessionPage> {
    await beforeRead(this.#context, {})
    const all = [...this.#context.machine.sessions.all()].filter(({ id }) => id > Number(after))
    const sessions = all.slice(0, limit).map(viewOf)
    return { sessions, next: all.length > limit ? sessions.at(-1)?.session ?? null : null }
  }
}

function viewOf ({ id, owner, ttlMs, log }: OwnerSession): SessionView {
  return { session: String(id), owner, ttlMs, isOfProcess: log !== null }
}
