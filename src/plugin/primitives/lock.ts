import { AsyncLocalStorage } from 'node:async_hooks'
import type { Engine } from '../../raft/index.ts'
import { InvalidOptionsError, LockHeldError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isLockName } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import type { LockGrant } from './lock-grant.ts'
import type { LockAcquireOptions, LockTarget } from './lock-request.ts'
import { requestLock } from './lock-request.ts'

/** How to run work under a lock. */
export interface LockUsingOptions extends LockAcquireOptions {
  /**
   * Work that runs inside of work under the same lock, both with `reentrant`, runs under the grant that is held already
   * instead of waiting for itself.
   */
  readonly reentrant?: boolean | undefined
}

/**
 * A lock of the whole cluster. Who waits is served in the order of arrival. It is not reentrant, not even on one node,
 * unless `using` is told so: each attempt stands for itself.
 *
 * Calls reject with `RAFT_INVALID_OPTIONS` (a time to live, an owner or a timeout out of bounds), `RAFT_NO_LEADER` or
 * `RAFT_BUSY` (nothing was executed), `RAFT_OUTCOME_UNKNOWN`, `RAFT_SESSION_LOST` (this process was cut off or stopped
 * for too long while it waited), `RAFT_STOPPED` (this node closes or has failed), or the reason of the signal. An
 * attempt whose outcome is unknown is undone in the background, so that no lock stays held without a holder.
 */
export interface ClusterLock {
  /** Name of the lock, 1 to 200 characters. */
  readonly name: string
  /** Takes the lock if it is free; resolves with null when somebody else holds it. */
  tryAcquire: (options?: LockAcquireOptions) => Promise<LockGrant | null>
  /** Waits for its turn up to `timeoutMs`, then leaves the queue and rejects with `RAFT_LOCK_HELD`. */
  acquire: (options?: LockAcquireOptions) => Promise<LockGrant>
  /**
   * Runs `fn` under the lock and releases it. Resolves only if the lock was surely held when `fn` ended, by the clocks:
   * else it rejects with `RAFT_LOCK_LOST` even though `fn` succeeded. An error of `fn` is passed on as it is.
   */
  using: <T>(fn: (grant: LockGrant) => T | Promise<T>, options?: LockUsingOptions) => Promise<T>
}

/** Locks that work is under, seen from within. */
const heldAround = new AsyncLocalStorage<readonly HeldAround[]>()

interface HeldAround {
  readonly engine: Engine
  readonly target: LockTarget
  readonly grant: LockGrant
}

/** A handle on the lock of this name. */
export function createLock (context: PrimitiveContext, name: string): ClusterLock {
  return createLockOn(context, { pool: 'lock', name, permits: 1, capacity: 1 })
}

/** A handle on a lock, on a side of a read-write lock, or on permits of a semaphore. */
export function createLockOn (context: PrimitiveContext, target: LockTarget): ClusterLock {
  const { name } = target
  if (!isLockName(name)) throw new InvalidOptionsError(`a lock name has 1 to ${limits.maxLockNameLength} characters`)
  const acquire = async (options: LockAcquireOptions = {}): Promise<LockGrant> => {
    const waits = options.timeoutMs !== 0
    // A wait of 0 ms still asks once.
    const asked = waits ? options : { ...options, timeoutMs: undefined }
    const grant = await requestLock(context, target, asked, waits)
    if (grant === null) throw new LockHeldError(name)
    return grant
  }
  return {
    name,
    tryAcquire: (options = {}) => requestLock(context, target, options, false),
    acquire,
    using: async (fn, options = {}) => {
      const around = heldAround.getStore() ?? []
      const outer = options.reentrant === true ? grantAround(around, context.engine, target) : undefined
      if (outer !== undefined) return await useAgain(outer, fn)
      const grant = await acquire(options)
      const work = async () => await fn(grant)
      const held = [...around, { engine: context.engine, target, grant }]
      return await useOnce(context, grant, options.reentrant === true ? () => heldAround.run(held, work) : work)
    }
  }
}

function grantAround (
  around: readonly HeldAround[],
  engine: Engine,
  { pool, name, permits }: LockTarget
): LockGrant | undefined {
  const isIt = ({ engine: other, target, grant }: HeldAround): boolean =>
    other === engine && target.pool === pool && target.name === name && target.permits >= permits &&
    grant.expiresInMs > 0
  return around.findLast(isIt)?.grant
}

async function useAgain<T> (grant: LockGrant, fn: (grant: LockGrant) => T | Promise<T>): Promise<T> {
  const value = await fn(grant)
  grant.check()
  return value
}

async function useOnce<T> (context: PrimitiveContext, grant: LockGrant, work: () => Promise<T>): Promise<T> {
  let value
  try {
    value = await work()
  } catch (error) {
    await releaseAfterError(context, grant)
    throw error
  }
  await grant[Symbol.asyncDispose]()
  return value
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
