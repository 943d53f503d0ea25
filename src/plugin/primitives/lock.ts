import { randomUUID } from 'node:crypto'
import type { WaitOptions } from '../../raft/index.ts'
import {
  BusyError,
  InvalidOptionsError,
  LockHeldError,
  LockLostError,
  NoLeaderError,
  RestoringError,
  TimeoutError
} from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isLockName, isOwner, isTtl } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import { onNodeEnd, waitOptions } from './context.ts'
import type { LockGrant } from './lock-grant.ts'
import { holdLock, startStopwatch, surelyHeldMs } from './lock-grant.ts'
import { proposeToLock } from './propose.ts'
import { waitUntil } from './wait-until.ts'

/** How to take a lock, and how long that may take. */
export interface LockAcquireOptions extends WaitOptions {
  /** Time to live without a renewal in milliseconds, 100 to 3,600,000; default 10,000. */
  readonly ttlMs?: number | undefined
  /** Name of the holder, for people to read: 1 to 200 characters, default the node id. It proves nothing. */
  readonly owner?: string | undefined
}

/**
 * A lock of the whole cluster. It is not reentrant, not even on one node: each attempt stands for itself.
 *
 * Calls reject with `RAFT_INVALID_OPTIONS` (a time to live, an owner or a timeout out of bounds), `RAFT_NO_LEADER` or
 * `RAFT_BUSY` (nothing was executed), `RAFT_OUTCOME_UNKNOWN`, `RAFT_STOPPED` (this node closes or has failed), or the
 * reason of the signal. An attempt whose outcome is
 * unknown is undone in the background, so that no lock stays held without a holder.
 */
export interface ClusterLock {
  /** Name of the lock, 1 to 200 characters. */
  readonly name: string
  /** Takes the lock if it is free; resolves with null when somebody else holds it. */
  tryAcquire: (options?: LockAcquireOptions) => Promise<LockGrant | null>
  /** Waits for the lock up to `timeoutMs`, then rejects with `RAFT_LOCK_HELD`. */
  acquire: (options?: LockAcquireOptions) => Promise<LockGrant>
  /**
   * Runs `fn` under the lock and releases it. Resolves only if the lock was surely held when `fn` ended, by the clocks:
   * else it rejects with `RAFT_LOCK_LOST` even though `fn` succeeded. An error of `fn` is passed on as it is.
   */
  using: <T>(fn: (grant: LockGrant) => T | Promise<T>, options?: LockAcquireOptions) => Promise<T>
}

const defaultTtlMs = 10_000

/** A handle on the lock of this name. */
export function createLock (context: PrimitiveContext, name: string): ClusterLock {
  if (!isLockName(name)) throw new InvalidOptionsError(`a lock name has 1 to ${limits.maxLockNameLength} characters`)
  const acquire = (options: LockAcquireOptions = {}): Promise<LockGrant> => acquireWithin(context, name, options)
  return {
    name,
    tryAcquire: (options = {}) => attempt(context, name, options),
    acquire,
    using: async (fn, options) => {
      const grant = await acquire(options)
      let value
      try {
        value = await fn(grant)
      } catch (error) {
        await releaseAfterError(context, grant)
        throw error
      }
      await grant[Symbol.asyncDispose]()
      return value
    }
  }
}

async function acquireWithin (
  context: PrimitiveContext,
  name: string,
  options: LockAcquireOptions
): Promise<LockGrant> {
  const { timeoutMs } = waitOptions(context, options)
  const startedMs = context.clock.monotonicMs()
  const remainingMs = (): number => Math.max(0, timeoutMs - (context.clock.monotonicMs() - startedMs))
  const held = (): Error => new LockHeldError(name, { cause: new TimeoutError(timeoutMs, `the lock "${name}"`) })
  for (let first = true; ; first = false) {
    // A wait of 0 ms still asks once.
    const attemptMs = first && timeoutMs === 0 ? context.defaultTimeoutMs : remainingMs()
    const grant = attemptMs === 0 ? null : await attempt(context, name, { ...options, timeoutMs: attemptMs })
    if (grant !== null) return grant
    if (remainingMs() === 0) throw held()
    const wait = (): Promise<true> => untilFree(context, name, Math.ceil(remainingMs()), held, options)
    await (context.waits === undefined ? wait() : context.waits.take(`the lock "${name}"`, wait))
  }
}

async function untilFree (
  context: PrimitiveContext,
  name: string,
  timeoutMs: number,
  timeoutError: () => Error,
  { signal }: LockAcquireOptions
): Promise<true> {
  return await waitUntil({
    probe: () => context.machine.locks.get(name) === undefined ? true : null,
    subscribe: (changed, failed) => {
      const endChanges = context.machine.onLockChange(({ lock }) => { if (lock.name === name) changed() })
      const endWatch = onNodeEnd(context, failed)
      return () => {
        endChanges()
        endWatch()
      }
    },
    timeoutMs,
    timeoutError,
    signal,
    timers: context.timers
  })
}

async function attempt (
  context: PrimitiveContext,
  name: string,
  options: LockAcquireOptions
): Promise<LockGrant | null> {
  const { ttlMs = defaultTtlMs, owner = context.engine.status().nodeId } = options
  if (!isTtl(ttlMs)) {
    throw new InvalidOptionsError(`ttlMs is an integer from ${limits.minLockTtlMs} to ${limits.maxLockTtlMs}`)
  }
  if (!isOwner(owner)) throw new InvalidOptionsError(`an owner has 1 to ${limits.maxOwnerLength} characters`)
  const wait = waitOptions(context, options)
  options.signal?.throwIfAborted()
  const requestId = randomUUID()
  const since = startStopwatch(context.clock)
  let answer
  try {
    answer = await proposeToLock(context, { kind: 'lock-acquire', name, owner, ttlMs, requestId }, wait)
  } catch (error) {
    const surelyNotGranted =
      error instanceof NoLeaderError || error instanceof BusyError || error instanceof RestoringError
    if (!surelyNotGranted) abandon(context, name, requestId, ttlMs)
    throw error
  }
  if (answer.kind === 'held') return null
  // Stale: the answer took so long that the grant is over, or was undone.
  if (answer.kind !== 'granted') throw new LockLostError(name, 'unknown')
  const stillHeld = context.machine.locks.hasToken(answer.token)
  if (!stillHeld || options.signal?.aborted === true || surelyHeldMs(ttlMs, since) <= 0) {
    abandon(context, name, requestId, ttlMs)
    options.signal?.throwIfAborted()
    throw new LockLostError(name, answer.token)
  }
  return holdLock(context, { name, owner, token: answer.token, ttlMs, since })
}

/** Undoes an attempt in the background; at worst the lock stays held for its time to live. */
function abandon (context: PrimitiveContext, name: string, requestId: string, ttlMs: number): void {
  const timeoutMs = Math.max(ttlMs, context.defaultTimeoutMs)
  proposeToLock(context, { kind: 'lock-abandon', name, requestId }, { timeoutMs }).catch((error: unknown) => {
    context.logger.warn(
      { err: error, lock: name },
      'could not undo an attempt to take the lock; if it was granted, it expires by itself'
    )
  })
}

async function releaseAfterError (context: PrimitiveContext, grant: LockGrant): Promise<void> {
  try {
    await grant[Symbol.asyncDispose]()
  } catch (error) {
    context.logger.warn(
      { err: error, lock: grant.name, token: grant.token },
      'the lock was lost before its holder failed'
    )
  }
}
