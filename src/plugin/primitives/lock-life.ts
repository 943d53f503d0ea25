import type { PrimitiveContext } from './context.ts'
import type { HeldSession } from './process-session.ts'
import { proposeToLock } from './propose.ts'
import type { Stopwatch } from './stopwatch.ts'
import { inBackground, startStopwatch, surelyHeldMs, whenOver } from './stopwatch.ts'

/** What keeps a lock held, and knows for how long it surely is. */
export interface LockLife {
  /** Milliseconds, by the clocks as they are; 0 or less when it is not sure any more. */
  readonly remainingMs: () => number
  /** Ends its timers and listeners. */
  readonly stop: () => void
}

/** A lock with a time to live, as the cluster granted it. */
interface LivingLock {
  readonly pool: 'lock' | 'read-write' | 'semaphore'
  readonly name: string
  readonly token: number
  readonly ttlMs: number
  /** Started before the request was sent. */
  readonly since: Stopwatch
}

const renewalsPerTtl = 3
const retriesPerTtl = 20

/** The life of a lock that its session owns. `lost` is called at most once. */
export function sessionLife (session: HeldSession, lost: () => void): LockLife {
  const stop = session.onLost(lost)
  return { remainingMs: () => session.expiresInMs, stop }
}

/** Renews a lock every third of its time to live. `lost` is called at most once, when that failed in time. */
export function renewedLife (context: PrimitiveContext, lock: LivingLock, lost: () => void): LockLife {
  return new RenewedLife(context, lock, lost)
}

class RenewedLife implements LockLife {
  readonly #context: PrimitiveContext
  readonly #lock: LivingLock
  readonly #lost: () => void
  readonly #stopped = new AbortController()
  #since: Stopwatch
  #cancelRenewal: () => void = () => {}
  #cancelDeadline: () => void = () => {}

  constructor (context: PrimitiveContext, lock: LivingLock, lost: () => void) {
    this.#context = context
    this.#lock = lock
    this.#lost = lost
    this.#since = lock.since
    this.#confirmed(lock.since)
  }

  readonly remainingMs = (): number => surelyHeldMs(this.#lock.ttlMs, this.#since)

  readonly stop = (): void => {
    this.#cancelRenewal()
    this.#cancelDeadline()
    this.#stopped.abort()
  }

  #renew (): void {
    const since = startStopwatch(this.#context.clock)
    const remainingMs = this.remainingMs()
    if (remainingMs <= 0) return this.#lose()
    const { pool, name, token, ttlMs } = this.#lock
    const { signal } = this.#stopped
    proposeToLock(
      this.#context,
      { kind: 'lock-renew', name, token, ttlMs, ...(pool === 'lock' ? {} : { pool }) },
      { timeoutMs: Math.ceil(remainingMs), signal }
    ).then((answer) => {
      if (signal.aborted) return
      if (answer.kind === 'renewed') this.#confirmed(since)
      else this.#lose()
    }, (error: unknown) => {
      if (signal.aborted) return
      this.#context.logger.debug({ err: error, lock: name, token }, 'could not renew the lock; trying again')
      this.#renewAfter(ttlMs / retriesPerTtl)
    })
  }

  #confirmed (since: Stopwatch): void {
    this.#since = since
    this.#renewAfter(this.#lock.ttlMs / renewalsPerTtl - since.elapsedMs())
    this.#cancelDeadline()
    this.#cancelDeadline = whenOver(this.#context, () => this.remainingMs(), () => { this.#lose() })
  }

  #renewAfter (delayMs: number): void {
    this.#cancelRenewal()
    this.#cancelRenewal = inBackground(this.#context, delayMs, () => { this.#renew() })
  }

  #lose (): void {
    this.stop()
    this.#lost()
  }
}
