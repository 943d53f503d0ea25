import { InvalidOptionsError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isPermits } from '../replicated/validate.ts'
import type { PrimitiveContext } from './context.ts'
import type { ClusterLock } from './lock.ts'
import { createLockOn } from './lock.ts'

/** A lock that many readers share, or one writer has alone. Both sides wait in one queue, so that nobody starves. */
export interface ClusterReadWriteLock {
  /** Name of the lock, 1 to 200 characters. It has nothing to do with a lock of the same name. */
  readonly name: string
  /** Shared with other readers. */
  readonly read: ClusterLock
  /** Held alone. */
  readonly write: ClusterLock
}

/** How much of a semaphore there is, and how much one call takes. */
export interface SemaphoreOptions {
  /**
   * Permits that there are in the whole cluster, 1 to 1,000,000. Where copies name different numbers, the latest call
   * counts: what is held stays held, and nobody new is let in until there are fewer.
   */
  readonly permits: number
  /** Permits that one call of this handle takes; default 1. */
  readonly takes?: number | undefined
}

/** Handles on both sides of a read-write lock. Throws `RAFT_INVALID_OPTIONS` for a name out of bounds. */
export function createReadWriteLock (context: PrimitiveContext, name: string): ClusterReadWriteLock {
  const side = (permits: number): ClusterLock =>
    createLockOn(context, { pool: 'read-write', name, permits, capacity: limits.maxPermits })
  return { name, read: side(1), write: side(limits.maxPermits) }
}

/** A handle on the semaphore of this name. Throws `RAFT_INVALID_OPTIONS` for a name or a number out of bounds. */
export function createSemaphore (
  context: PrimitiveContext,
  name: string,
  { permits: capacity, takes: permits = 1 }: SemaphoreOptions
): ClusterLock {
  if (!isPermits(capacity) || !isPermits(permits) || permits > capacity) {
    throw new InvalidOptionsError(`permits is an integer from 1 to ${limits.maxPermits}, and takes is at most permits`)
  }
  return createLockOn(context, { pool: 'semaphore', name, permits, capacity })
}
