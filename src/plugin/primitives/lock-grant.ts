import { setMaxListeners } from 'node:events'
import { LockLostError } from '../../raft/index.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { onNodeEnd } from './context.ts'
import type { LockLife } from './lock-life.ts'
import { renewedLife, sessionLife } from './lock-life.ts'
import type { HeldSession } from './process-session.ts'
import { proposeToLock } from './propose.ts'
import type { Stopwatch } from './stopwatch.ts'

/**
 * A lock that is held until it is released or lost: for as long as the session of this process lives, or, with a time
 * to live, renewed every third of that.
 *
 * Two holders may overlap for a moment, for example when this process is suspended right after `check`. Only a resource
 * that compares tokens is safe from that.
 */
export interface LockGrant extends AsyncDisposable {
  /** Name of the lock. */
  readonly name: string
  /** Name of the holder, as given to `acquire`. */
  readonly owner: string
  /** Fencing token: the log index of the grant, as a decimal string. Tokens only rise. */
  readonly token: string
  /**
   * Aborts with a `RAFT_LOCK_LOST` error when the lock is lost, and with `RAFT_STOPPED` when this node closes or fails:
   * nobody renews the lock from then on, and it ends by itself unless it is released. A release aborts nothing.
   */
  readonly signal: AbortSignal
  /**
   * For how many more milliseconds the lock is surely held; 0 when it is not. Counts from before the last confirmed
   * request was sent, so that the cluster never counts less.
   */
  readonly expiresInMs: number
  /** Throws `RAFT_LOCK_LOST` unless the lock is surely held now. Compares clocks and does not wait. */
  readonly check: () => void
  /**
   * Gives the lock back. Rejects with `RAFT_LOCK_LOST` when it was lost before, also if nobody has noticed: it compares
   * clocks, as `check` does. Rejects with `RAFT_NO_LEADER`, `RAFT_BUSY` or `RAFT_OUTCOME_UNKNOWN` when the cluster
   * cannot be reached; calling again is safe then, and the lock ends by itself with its time or its session.
   */
  readonly release: () => Promise<void>
}

/** A lock as the cluster granted it. */
interface GrantedLock {
  readonly pool: 'lock' | 'read-write' | 'semaphore'
  readonly name: string
  readonly owner: string
  readonly requestId: string
  readonly token: number
}

/** What the lock lives by: its session, or a time that has run since the request was sent. */
type LivesBy = { readonly session: HeldSession } | { readonly ttlMs: number, readonly since: Stopwatch }

/** Holds a lock that was just granted. */
export function holdLock (context: PrimitiveContext, lock: GrantedLock, by: LivesBy): LockGrant {
  return new KeptLock(context, lock, (lost) =>
    'session' in by ? sessionLife(by.session, lost) : renewedLife(context, { ...lock, ...by }, lost))
}

class KeptLock implements LockGrant {
  readonly name: string
  readonly owner: string
  readonly token: string
  readonly #context: PrimitiveContext
  readonly #lock: GrantedLock
  readonly #lost = new AbortController()
  readonly #life: LockLife
  readonly #stopListening: () => void
  #stopWatching: () => void = () => {}
  #state: 'held' | 'lost' | 'releasing' | 'released' = 'held'
  #releasing: Promise<void> | null = null

  constructor (context: PrimitiveContext, lock: GrantedLock, startLife: (lost: () => void) => LockLife) {
    this.name = lock.name
    this.owner = lock.owner
    this.token = formatToken(lock.token)
    this.#context = context
    this.#lock = lock
    setMaxListeners(0, this.#lost.signal)
    this.#stopListening = context.machine.onLockRequest(lock.requestId, (change) => {
      if (change.lock.token !== lock.token || (change.kind !== 'expired' && change.kind !== 'released')) return
      this.#end('lost')
      // Listeners of the holder must not run in the middle of `apply`.
      queueMicrotask(() => { this.#abort() })
    })
    this.#life = startLife(() => { this.#lose() })
    this.#stopWatching = onNodeEnd(context, (reason) => { this.#nodeEnded(reason) })
  }

  get signal (): AbortSignal { return this.#lost.signal }

  get expiresInMs (): number {
    return this.#state === 'held' ? Math.max(0, this.#life.remainingMs()) : 0
  }

  // As properties, which work may take out of the grant.
  readonly check = (): void => {
    if (this.expiresInMs === 0) throw this.#lostError()
  }

  readonly release = async (): Promise<void> => {
    this.#releasing ??= this.#release().catch((error: unknown) => {
      this.#releasing = null
      throw error
    })
    await this.#releasing
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    try {
      await this.release()
    } catch (error) {
      if (error instanceof LockLostError) throw error
      this.#context.logger.warn(
        { err: error, lock: this.name, token: this.token },
        'could not release the lock; it ends by itself'
      )
    }
  }

  async #release (): Promise<void> {
    // Behind a blocked event loop the timer of the deadline has not run yet.
    if (this.#state === 'held' && this.#life.remainingMs() <= 0) this.#lose()
    if (this.#state === 'lost') throw this.#lostError()
    const again = this.#state !== 'held'
    this.#end('releasing')
    const answer = await proposeToLock(this.#context, this.#releaseCommand(), {})
    this.#end('released')
    // An earlier call may have released the lock although its answer was lost.
    if (answer.kind === 'stale' && !again) throw this.#lostError()
  }

  #releaseCommand () {
    const { pool, name, token } = this.#lock
    return { kind: 'lock-release', name, token, ...(pool === 'lock' ? {} : { pool }) } as const
  }

  /** It is not sure any more. The cluster may hold the lock for longer without a holder: release it there too. */
  #lose (): void {
    if (this.#state !== 'held') return
    this.#end('lost')
    this.#abort()
    proposeToLock(this.#context, this.#releaseCommand(), {}).catch((error: unknown) => {
      this.#context.logger.debug(
        { err: error, lock: this.name, token: this.token },
        'could not release the lost lock; it ends by itself'
      )
    })
  }

  /** The lock is held for as long as the clocks say, and may still be released. */
  #nodeEnded (reason: Error): void {
    this.#stopKeeping()
    this.#lost.abort(reason)
  }

  #end (state: 'lost' | 'releasing' | 'released'): void {
    this.#state = state
    this.#stopKeeping()
  }

  #stopKeeping (): void {
    this.#stopListening()
    this.#stopWatching()
    this.#life.stop()
  }

  #abort (): void {
    this.#context.logger.warn({ lock: this.name, token: this.token }, 'lock lost')
    this.#lost.abort(this.#lostError())
  }

  #lostError (): Error {
    return new LockLostError(this.name, this.token)
  }
}
