import { LockHeldError, LockLostError, SessionLostError } from '../../raft/index.ts'
import type { HeldLock } from '../replicated/lock-records.ts'
import { isToken } from '../replicated/validate.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { drawRequestId } from './context.ts'
import { processSession } from './process-session.ts'
import { proposeToLock } from './propose.ts'
import { beforeRead } from './read.ts'
import { inBackground, startStopwatch, surelyHeldMs } from './stopwatch.ts'
import { pageOf } from './text-pages.ts'

/** How long a place in a queue is kept for a caller that does not ask again, in milliseconds. */
const pollWithinMs = 5_000

/** What a caller without a session of this process asks for. */
interface RemoteLockRequest {
  readonly name: string
  readonly owner: string
  /** The same one again is the same request. Left out: a new one. */
  readonly requestId?: string | undefined
  /** Time to live; left out where a session is to own the lock. */
  readonly ttlMs?: number | undefined
  readonly session?: string | undefined
  /** How long this call may wait for its turn; 0: it does not queue. */
  readonly waitMs: number
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal
}

/** A lock as its holder sees it. */
interface RemoteGrant {
  readonly state: 'granted'
  readonly name: string
  readonly owner: string
  readonly requestId: string
  readonly token: string
  /** For how long it is surely held from now on, in milliseconds; null when a session owns it. */
  readonly expiresInMs: number | null
}

/** A place in the queue; `offered`: it is the turn of the caller, who has to ask once more to get the lock. */
interface RemoteTicket {
  readonly state: 'waiting' | 'offered'
  readonly name: string
  readonly requestId: string
  /** From 1 on; 0 when it is offered. */
  readonly position: number
  /** The place is kept for so long without another call, in milliseconds. */
  readonly pollWithinMs: number
}

/** A lock as everybody may see it. */
export interface LockView {
  readonly name: string
  readonly owner: string
  readonly token: string
  readonly ttlMs: number | null
  readonly session: string | null
  /** Requests in its queue. */
  readonly waiting: number
}

/** One page of {@link RemoteLocks.list}. */
interface LockPage {
  readonly locks: readonly LockView[]
  /** `after` of the following page; null behind the last one. */
  readonly next: string | null
}

/**
 * Locks for callers over HTTP, who may be gone at any moment without anybody knowing. A wait is a row of short calls:
 * who does not ask again in time loses its place, and what it is offered goes to the next one.
 */
export class RemoteLocks {
  readonly #context: PrimitiveContext
  /** Places of callers that are to ask again, by request. */
  readonly #absent = new Map<string, () => void>()

  constructor (context: PrimitiveContext) {
    this.#context = context
  }

  /** Rejects with `RAFT_LOCK_HELD`, `RAFT_LOCK_LOST` for a request that is over, or `RAFT_SESSION_LOST`. */
  async acquire (request: RemoteLockRequest): Promise<RemoteGrant | RemoteTicket> {
    const { name, owner, requestId = drawRequestId(this.#context), ttlMs, waitMs, signal } = request
    this.#absent.get(requestId)?.()
    const own = waitMs === 0 ? undefined : (await processSession(this.#context).open({ signal })).id
    const session = request.session === undefined ? own : sessionOf(request.session)
    const turn = new Turn(this.#context, requestId)
    try {
      const since = startStopwatch(this.#context.clock)
      const answer = await proposeToLock(this.#context, {
        kind: 'lock-acquire',
        name,
        owner,
        requestId,
        ...(ttlMs === undefined ? {} : { ttlMs }),
        ...(session === undefined ? {} : { session }),
        ...(waitMs === 0 ? {} : { waits: true })
      }, {})
      switch (answer.kind) {
        case 'granted': {
          const remainingMs = answer.ttlMs === null ? null : Math.max(0, Math.floor(surelyHeldMs(answer.ttlMs, since)))
          return { ...grantOf(name, answer.owner, requestId, answer.token), expiresInMs: remainingMs }
        }
        case 'queued': return await this.#waitOn({ ...request, requestId }, session ?? 0, turn)
        case 'held': throw new LockHeldError(name)
        case 'session-gone': throw new SessionLostError(answer.session)
        default: throw new LockLostError(name, 'unknown')
      }
    } finally {
      turn.stop()
    }
  }

  /** Starts the time to live again. Rejects with `RAFT_LOCK_LOST` for another grant, and changes nothing. */
  async renew (name: string, token: string, ttlMs: number): Promise<{ readonly expiresInMs: number }> {
    const since = startStopwatch(this.#context.clock)
    const answer = await proposeToLock(this.#context, { kind: 'lock-renew', name, token: Number(token), ttlMs }, {})
    if (answer.kind !== 'renewed') throw new LockLostError(name, token)
    return { expiresInMs: Math.max(0, Math.floor(surelyHeldMs(ttlMs, since))) }
  }

  /** Gives a lock back. Rejects as {@link RemoteLocks.renew}. */
  async release (name: string, token: string): Promise<void> {
    const answer = await proposeToLock(this.#context, { kind: 'lock-release', name, token: Number(token) }, {})
    if (answer.kind !== 'released') throw new LockLostError(name, token)
  }

  /** Leaves the queue, or undoes a grant that has just come. Changes nothing for a request that is over. */
  async cancel (name: string, requestId: string): Promise<void> {
    this.#absent.get(requestId)?.()
    await proposeToLock(this.#context, { kind: 'lock-abandon', name, requestId }, {})
  }

  /** A lock that is held, or null; linearizable. */
  async get (name: string): Promise<LockView | null> {
    await beforeRead(this.#context, {})
    const held = this.#context.machine.locks.get(name)
    return held === undefined ? null : this.#viewOf(held)
  }

  /** Locks that are held, by name. */
  async list ({ prefix = '', after, limit }: LockListOptions): Promise<LockPage> {
    await beforeRead(this.#context, {})
    const found: HeldLock[] = []
    for (const lock of this.#context.machine.locks.all()) {
      if (lock.pool === 'lock' && lock.name.startsWith(prefix)) found.push(lock)
    }
    const { page, next } = pageOf(found, ({ name }) => name, { after, limit })
    return { locks: page.map((lock) => this.#viewOf(lock)), next }
  }

  async #waitOn (
    { name, owner, requestId, waitMs, signal }: RemoteLockRequest & { readonly requestId: string },
    session: number,
    turn: Turn
  ): Promise<RemoteGrant | RemoteTicket> {
    await turn.come(waitMs, signal)
    if (signal.aborted) {
      await this.cancel(name, requestId)
      throw signal.reason as Error
    }
    const { held, waiting } = this.#context.machine.locks.look({ name })
    const [lock] = held
    if (lock?.requestId === requestId) {
      // The session says that its caller is there; a time to live does not.
      if (!lock.isOffered) return { ...grantOf(name, owner, requestId, lock.token), expiresInMs: null }
      return { state: 'offered', name, requestId, position: 0, pollWithinMs }
    }
    const position = waiting.findIndex((other) => other.requestId === requestId) + 1
    if (position === 0) throw new LockLostError(name, 'unknown')
    this.#keepPlace(name, requestId, session)
    return { state: 'waiting', name, requestId, position, pollWithinMs }
  }

  /** Somebody who asks again elsewhere waits there for another session. */
  #keepPlace (name: string, requestId: string, session: number): void {
    const cancelTimer = inBackground(this.#context, pollWithinMs, () => {
      this.#absent.delete(requestId)
      const { waiting } = this.#context.machine.locks.look({ name })
      if (!waiting.some((other) => other.requestId === requestId && other.session === session)) return
      this.cancel(name, requestId).catch((error: unknown) => {
        this.#context.logger.debug({ err: error, lock: name }, 'could not take a caller that is gone out of the queue')
      })
    })
    this.#absent.set(requestId, () => {
      cancelTimer()
      this.#absent.delete(requestId)
    })
  }

  #viewOf ({ name, owner, token, ttlMs, session }: HeldLock): LockView {
    const { waiting } = this.#context.machine.locks.look({ name })
    const by = session === null ? null : String(session)
    return { name, owner, token: formatToken(token), ttlMs, session: by, waiting: waiting.length }
  }
}

/** Which locks, and how many at most. */
interface LockListOptions {
  readonly prefix?: string | undefined
  readonly after?: string | undefined
  readonly limit: number
}

/** Watches for the grant of a request, from before it is made. */
class Turn {
  readonly #context: PrimitiveContext
  readonly stop: () => void
  #hasCome = false
  #tell: () => void = () => {}

  constructor (context: PrimitiveContext, requestId: string) {
    this.#context = context
    this.stop = context.machine.onLockRequest(requestId, ({ kind }) => {
      if (kind !== 'granted') return
      this.#hasCome = true
      this.#tell()
    })
  }

  /** Resolves when it is granted, the time is over or the caller is gone. */
  async come (withinMs: number, signal: AbortSignal): Promise<void> {
    if (this.#hasCome || signal.aborted) return
    const over = new Promise<void>((resolve) => { this.#tell = resolve })
    const cancelTimer = inBackground(this.#context, withinMs, this.#tell)
    const gone = (): void => { this.#tell() }
    signal.addEventListener('abort', gone, { once: true })
    await over
    cancelTimer()
    signal.removeEventListener('abort', gone)
  }
}

function grantOf (name: string, owner: string, requestId: string, token: number): Omit<RemoteGrant, 'expiresInMs'> {
  return { state: 'granted', name, owner, requestId, token: formatToken(token) }
}

/** A session as callers name it. A text that is none is that of one which is over. */
function sessionOf (text: string): number {
  const id = Number(text)
  if (!isToken(id)) throw new SessionLostError(text)
  return id
}
