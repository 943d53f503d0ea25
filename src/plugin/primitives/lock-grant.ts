import { setMaxListeners } from 'node:events'
import type { Clock } from '../../raft/index.ts'
import { LockLostError } from '../../raft/index.ts'
import { systemTimers } from '../../raft/internal.ts'
import { formatToken } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import { onNodeEnd } from './context.ts'
import { proposeToLock } from './propose.ts'

/**
 * A lock that is held, renewed every third of its time to live until it is released or lost.
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
  check: () => void
  /**
   * Gives the lock back. Rejects with `RAFT_LOCK_LOST` when it was lost before, also if nobody has noticed: it compares
   * clocks, as `check` does. Rejects with `RAFT_NO_LEADER`, `RAFT_BUSY` or `RAFT_OUTCOME_UNKNOWN` when the cluster
   * cannot be reached; the lock then expires by itself, and calling again is safe.
   */
  release: () => Promise<void>
}

/** Measures how much time has passed, never too little: see {@link startStopwatch}. */
interface Stopwatch {
  readonly elapsedMs: () => number
}

/**
 * Starts measuring for a holder that must let go in time. The monotonic clock may stand still while a machine is
 * suspended and the wall clock may be set back, so the larger of both counts.
 */
export function startStopwatch (clock: Clock): Stopwatch {
  const monotonicMs = clock.monotonicMs()
  const wallMs = clock.wallMs()
  return { elapsedMs: () => Math.max(0, clock.monotonicMs() - monotonicMs, clock.wallMs() - wallMs) }
}

/** A lock as the cluster granted it. */
interface GrantedLock {
  readonly name: string
  readonly owner: string
  readonly token: number
  readonly ttlMs: number
  /** Started before the request was sent. */
  readonly since: Stopwatch
}

// Quartz clocks differ by about 1e-5; one percent leaves room. The holder gives up this much earlier.
const clockDriftBound = 1.01
const renewalsPerTtl = 3
const retriesPerTtl = 20

/** For how long a lock of this time to live is surely held, if its grant or renewal was asked for at `since`. */
export function surelyHeldMs (ttlMs: number, since: Stopwatch): number {
  return ttlMs / clockDriftBound - since.elapsedMs()
}

/** Starts renewing a lock that was just granted. */
export function holdLock (context: PrimitiveContext, lock: GrantedLock): LockGrant {
  return new RenewedLock(context, lock)
}

class RenewedLock implements LockGrant {
  readonly name: string
  readonly owner: string
  readonly token: string
  readonly #context: PrimitiveContext
  readonly #lock: GrantedLock
  readonly #lost = new AbortController()
  readonly #renewing = new AbortController()
  readonly #stopListening: () => void
  #stopWatching: () => void = () => {}
  #state: 'held' | 'lost' | 'releasing' | 'released' = 'held'
  #since: Stopwatch
  #cancelRenewal: () => void = () => {}
  #cancelDeadline: () => void = () => {}
  #releasing: Promise<void> | null = null

  constructor (context: PrimitiveContext, lock: GrantedLock) {
    this.name = lock.name
    this.owner = lock.owner
    this.token = formatToken(lock.token)
    this.#context = context
    this.#lock = lock
    setMaxListeners(0, this.#lost.signal)
    this.#since = lock.since
    this.#stopListening = context.machine.onLockChange((change) => {
      if (change.lock.token !== lock.token || (change.kind !== 'expired' && change.kind !== 'released')) return
      this.#end('lost')
      // Listeners of the holder must not run in the middle of `apply`.
      queueMicrotask(() => { this.#abort() })
    })
    this.#confirmed(lock.since)
    this.#stopWatching = onNodeEnd(context, (reason) => { this.#nodeEnded(reason) })
  }

  get signal (): AbortSignal { return this.#lost.signal }

  get expiresInMs (): number {
    return this.#state === 'held' ? Math.max(0, this.#remainingMs()) : 0
  }

  check (): void {
    if (this.expiresInMs === 0) throw this.#lostError()
  }

  async release (): Promise<void> {
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
        'could not release the lock; it expires by itself'
      )
    }
  }

  async #release (): Promise<void> {
    // Behind a blocked event loop the timer of the deadline has not run yet.
    if (this.#state === 'held' && this.#remainingMs() <= 0) this.#lose()
    if (this.#state === 'lost') throw this.#lostError()
    const again = this.#state !== 'held'
    this.#end('releasing')
    const answer = await proposeToLock(
      this.#context,
      { kind: 'lock-release', name: this.name, token: this.#lock.token },
      {}
    )
    this.#end('released')
    // An earlier call may have released the lock although its answer was lost.
    if (answer.kind === 'stale' && !again) throw this.#lostError()
  }

  #renew (): void {
    const since = startStopwatch(this.#context.clock)
    const remainingMs = this.#remainingMs()
    if (remainingMs <= 0) return this.#lose()
    proposeToLock(
      this.#context,
      { kind: 'lock-renew', name: this.name, token: this.#lock.token, ttlMs: this.#lock.ttlMs },
      { timeoutMs: Math.ceil(remainingMs), signal: this.#renewing.signal }
    ).then((answer) => {
      if (this.#state !== 'held' || this.#renewing.signal.aborted) return
      if (answer.kind === 'renewed') this.#confirmed(since)
      else this.#lose()
    }, (error: unknown) => {
      if (this.#state !== 'held' || this.#renewing.signal.aborted) return
      this.#context.logger.debug(
        { err: error, lock: this.name, token: this.token },
        'could not renew the lock; trying again'
      )
      this.#renewAfter(this.#lock.ttlMs / retriesPerTtl)
    })
  }

  #confirmed (since: Stopwatch): void {
    this.#since = since
    this.#renewAfter(this.#lock.ttlMs / renewalsPerTtl - since.elapsedMs())
    this.#cancelDeadline()
    this.#watchDeadline()
  }

  #renewAfter (delayMs: number): void {
    this.#cancelRenewal()
    this.#cancelRenewal = this.#after(delayMs, () => { this.#renew() })
  }

  #watchDeadline (): void {
    this.#cancelDeadline = this.#after(this.#remainingMs(), () => {
      if (this.#remainingMs() > 0) this.#watchDeadline()
      else this.#lose()
    })
  }

  #after (delayMs: number, callback: () => void): () => void {
    return (this.#context.timers ?? systemTimers).after(Math.max(0, Math.ceil(delayMs)), callback, { background: true })
  }

  #remainingMs (): number {
    return surelyHeldMs(this.#lock.ttlMs, this.#since)
  }

  /** The renewal failed in time. The cluster may hold the lock for longer without a holder: release it there too. */
  #lose (): void {
    if (this.#state !== 'held') return
    this.#end('lost')
    this.#abort()
    proposeToLock(this.#context, { kind: 'lock-release', name: this.name, token: this.#lock.token }, {}).catch(
      (error: unknown) => {
        this.#context.logger.debug(
          { err: error, lock: this.name, token: this.token },
          'could not release the lost lock; it expires by itself'
        )
      }
    )
  }

  /** The lock is held for as long as the clocks say, and may still be released. */
  #nodeEnded (reason: Error): void {
    this.#stopRenewing()
    this.#lost.abort(reason)
  }

  #end (state: 'lost' | 'releasing' | 'released'): void {
    this.#state = state
    this.#stopRenewing()
  }

  #stopRenewing (): void {
    this.#stopListening()
    this.#stopWatching()
    this.#cancelRenewal()
    this.#cancelDeadline()
    this.#renewing.abort()
  }

  #abort (): void {
    this.#context.logger.warn({ lock: this.name, token: this.token }, 'lock lost')
    this.#lost.abort(this.#lostError())
  }

  #lostError (): Error {
    return new LockLostError(this.name, this.token)
  }
}
