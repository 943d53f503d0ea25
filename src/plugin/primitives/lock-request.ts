import type { WaitOptions } from '../../raft/index.ts'
import {
  BusyError,
  InvalidOptionsError,
  LockHeldError,
  LockLostError,
  NoLeaderError,
  RestoringError,
  SessionLostError,
  TimeoutError
} from '../../raft/index.ts'
import { Waiter } from '../../raft/internal.ts'
import type { LockAcquireCommand } from '../replicated/command.ts'
import { limits } from '../replicated/limits.ts'
import type { LockPool } from '../replicated/lock-records.ts'
import { isOwner, isPermits, isTtl } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import { drawRequestId, onNodeEnd, waitOptions } from './context.ts'
import type { LockGrant } from './lock-grant.ts'
import { holdLock } from './lock-grant.ts'
import type { HeldSession } from './process-session.ts'
import { processSession } from './process-session.ts'
import { proposeToLock } from './propose.ts'
import { startStopwatch, surelyHeldMs } from './stopwatch.ts'

/** How to take a lock, and how long that may take. */
export interface LockAcquireOptions extends WaitOptions {
  /**
   * Time to live without a renewal in milliseconds, 100 to 3,600,000. Left out, which is mostly right, the session of
   * this process owns the lock: it is held until it is released, or the process is gone.
   */
  readonly ttlMs?: number | undefined
  /** Name of the holder, for people to read: 1 to 200 characters, default the node id. It proves nothing. */
  readonly owner?: string | undefined
}

/** What is to be taken. */
export interface LockTarget {
  readonly pool: LockPool
  readonly name: string
  readonly permits: number
  /** Permits of the semaphore; 1 for a lock. */
  readonly capacity: number
}

/**
 * Takes a lock: at once or not at all (null), or, with `waits`, in the order of the queue. Who gives up leaves the
 * queue. Rejects with `RAFT_LOCK_HELD` when it waited for as long as it may.
 */
export async function requestLock (
  context: PrimitiveContext,
  target: LockTarget,
  options: LockAcquireOptions,
  waits: boolean
): Promise<LockGrant | null> {
  const { ttlMs, owner = context.engine.status().nodeId, signal } = options
  if (ttlMs !== undefined && !isTtl(ttlMs)) {
    throw new InvalidOptionsError(`ttlMs is an integer from ${limits.minLockTtlMs} to ${limits.maxLockTtlMs}`)
  }
  if (!isOwner(owner)) throw new InvalidOptionsError(`an owner has 1 to ${limits.maxOwnerLength} characters`)
  if (!isPermits(target.permits) || target.permits > target.capacity) {
    throw new InvalidOptionsError(`permits is an integer from 1 to ${target.capacity}`)
  }
  const { timeoutMs } = waitOptions(context, options)
  signal?.throwIfAborted()
  return await new LockRequest(context, target, { ttlMs, owner, signal, timeoutMs, waits }).run()
}

/** A request as it was checked. */
interface CheckedRequest {
  readonly ttlMs: number | undefined
  readonly owner: string
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number
  readonly waits: boolean
}

class LockRequest {
  readonly #context: PrimitiveContext
  readonly #target: LockTarget
  readonly #options: CheckedRequest
  readonly #requestId: string
  readonly #startedMs: number
  /** Token of the grant, as soon as it is applied here. */
  #granted = 0
  #tellGrant: (token: number) => void = () => {}

  constructor (context: PrimitiveContext, target: LockTarget, options: CheckedRequest) {
    this.#context = context
    this.#target = target
    this.#options = options
    this.#requestId = drawRequestId(context)
    this.#startedMs = context.clock.monotonicMs()
  }

  async run (): Promise<LockGrant | null> {
    const stopListening = this.#context.machine.onLockRequest(this.#requestId, ({ kind, lock }) => {
      if (kind !== 'granted') return
      this.#granted = lock.token
      this.#tellGrant(lock.token)
    })
    try {
      return await this.#run()
    } catch (error) {
      const surelyNotGranted =
        error instanceof NoLeaderError || error instanceof BusyError || error instanceof RestoringError
      if (!surelyNotGranted || this.#granted > 0) this.#abandon()
      throw error
    } finally {
      stopListening()
    }
  }

  async #run (): Promise<LockGrant | null> {
    const { ttlMs, waits } = this.#options
    const session = ttlMs === undefined || waits ? await processSession(this.#context).open(this.#wait()) : null
    const grant = await this.#ask(session)
    if (grant !== 'queued') return grant
    await this.#turn(session)
    // What was offered out of the queue has to be confirmed; what the session owns, nobody else can have by now.
    const turned = await this.#ask(session)
    if (turned === 'queued') throw new LockLostError(this.#target.name, this.#granted)
    return turned
  }

  async #ask (session: HeldSession | null): Promise<LockGrant | 'queued' | null> {
    const { ttlMs, waits, owner, signal } = this.#options
    const { name } = this.#target
    const since = startStopwatch(this.#context.clock)
    if (this.#granted > 0 && ttlMs === undefined) return this.#hold(this.#granted, since, session)
    const command: LockAcquireCommand = {
      kind: 'lock-acquire',
      ...targetOf(this.#target),
      owner,
      requestId: this.#requestId,
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(session === null ? {} : { session: session.id }),
      ...(waits ? { waits } : {})
    }
    const answer = await proposeToLock(this.#context, command, this.#wait())
    signal?.throwIfAborted()
    switch (answer.kind) {
      case 'granted': return this.#hold(answer.token, since, session)
      case 'held': return null
      case 'queued': return 'queued'
      case 'session-gone': throw new SessionLostError(answer.session)
      // The answer took so long that the grant is over, or was undone.
      default: throw new LockLostError(name, 'unknown')
    }
  }

  #hold (token: number, since: ReturnType<typeof startStopwatch>, session: HeldSession | null): LockGrant {
    const { ttlMs, owner } = this.#options
    const { pool, name } = this.#target
    const by = ttlMs === undefined && session !== null ? { session } : { ttlMs: ttlMs ?? 0, since }
    const remainingMs = 'session' in by ? by.session.expiresInMs : surelyHeldMs(by.ttlMs, since)
    if (!this.#context.machine.locks.hasToken(token) || remainingMs <= 0) throw new LockLostError(name, token)
    return holdLock(this.#context, { pool, name, owner, requestId: this.#requestId, token }, by)
  }

  /** Waits until the lock is granted to this request. */
  async #turn (session: HeldSession | null): Promise<void> {
    const { name } = this.#target
    const wait = async (): Promise<void> => {
      if (this.#granted > 0) return
      let unsubscribe = (): void => {}
      const timedOut = (): Error => this.#heldError()
      const waiter = new Waiter<void>(this.#wait(), timedOut, () => { unsubscribe() }, this.#context.timers)
      this.#tellGrant = () => { waiter.resolve() }
      const endWatch = onNodeEnd(this.#context, (reason) => { waiter.reject(reason) })
      const endSession = session?.onLost(() => { waiter.reject(new SessionLostError(session.id)) })
      unsubscribe = () => {
        endWatch()
        endSession?.()
      }
      if (waiter.settled) unsubscribe()
      await waiter.promise
    }
    await (this.#context.waits === undefined ? wait() : this.#context.waits.take(`the lock "${name}"`, wait))
  }

  /** Rest of the time. A wait of 0 ms still asks once. */
  #wait (): WaitOptions & { readonly timeoutMs: number } {
    const { timeoutMs, waits, signal } = this.#options
    const elapsedMs = this.#context.clock.monotonicMs() - this.#startedMs
    const leftMs = waits ? Math.max(0, Math.ceil(timeoutMs - elapsedMs)) : timeoutMs
    return signal === undefined ? { timeoutMs: leftMs } : { timeoutMs: leftMs, signal }
  }

  #heldError (): Error {
    const { timeoutMs } = this.#options
    return new LockHeldError(this.#target.name, {
      cause: new TimeoutError(timeoutMs, `the lock "${this.#target.name}"`)
    })
  }

  /** Undoes the request in the background; at worst the lock ends with its session, or its time to live. */
  #abandon (): void {
    const timeoutMs = Math.max(this.#options.ttlMs ?? 0, this.#context.defaultTimeoutMs)
    const { pool, name } = targetOf(this.#target)
    const what = { name, requestId: this.#requestId, ...(pool === undefined ? {} : { pool }) }
    proposeToLock(this.#context, { kind: 'lock-abandon', ...what }, { timeoutMs }).catch((error: unknown) => {
      this.#context.logger.warn(
        { err: error, lock: name },
        'could not undo an attempt to take the lock; if it was granted, it ends by itself'
      )
    })
  }
}

/** The members of a command that name what is taken. */
function targetOf (
  { pool, name, permits, capacity }: LockTarget
): Pick<LockAcquireCommand, 'pool' | 'name' | 'permits' | 'capacity'> {
  switch (pool) {
    case 'lock': return { name }
    case 'read-write': return { pool, name, permits }
    case 'semaphore': return { pool, name, permits, capacity }
  }
}
