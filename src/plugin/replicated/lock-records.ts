import { limits } from './limits.ts'
import type { RecentEntry } from './recent-table.ts'
import { malformed, recordOf } from './snapshot-records.ts'
import { isFlag, isIndex, isLockName, isOwner, isPermits, isPool, isRequestId, isToken, isTtl } from './validate.ts'

/** What is taken: a lock, a lock for readers or one writer, or permits of a semaphore. Their names never meet. */
export type LockPool = 'lock' | 'read-write' | 'semaphore'

/** What names a lock. */
export interface LockName {
  /** A lock when left out. */
  readonly pool?: LockPool
  readonly name: string
}

/** A lock that is held, or permits of one. */
export interface HeldLock extends LockName {
  readonly pool: LockPool
  readonly owner: string
  readonly requestId: string
  /** Fencing token: log index of the grant. */
  readonly token: number
  /** Time to live without a renewal in milliseconds; null when it is held for as long as its session lives. */
  readonly ttlMs: number | null
  /** The session that owns it; null when it has a time to live. */
  readonly session: number | null
  /** How often it has been renewed. Together with the token it says which stretch of time a deadline belongs to. */
  readonly renewal: number
  readonly permits: number
  /** Granted out of the queue to somebody who has to confirm it: who has left by now must not hold it. */
  readonly isOffered: boolean
}

/** Somebody who waits for a lock. Ends with its session. */
export interface WaitingLock extends LockName {
  readonly pool: LockPool
  readonly owner: string
  readonly requestId: string
  /** Log index at which it began to wait: its place in the queue. */
  readonly ticket: number
  readonly session: number
  /** The time to live that it asks for; null when its session is to own the lock. */
  readonly ttlMs: number | null
  readonly permits: number
}

/** All that a snapshot has of locks. */
export interface LockRecords {
  /** In the order of their tokens. */
  readonly held: readonly HeldLock[]
  /** In the order of their tickets. */
  readonly waiting: readonly WaitingLock[]
  /** Locks that are free for the first who waits for them, in the order in which they are given. */
  readonly due: readonly Required<LockName>[]
  /** Permits of each semaphore that is in use. */
  readonly capacities: ReadonlyArray<Required<LockName> & { readonly capacity: number }>
  readonly over: readonly RecentEntry<true>[]
}

/** The name of this part in messages. */
export const locksPart = 'locks'

/** The oldest version of the records that says it all: 1 knows nothing but locks with a time to live. */
export function versionFor ({ held, waiting }: Pick<LockRecords, 'held' | 'waiting'>): number {
  return waiting.length === 0 && held.every(isPlain) ? 1 : 2
}

function isPlain ({ pool, ttlMs, isOffered }: HeldLock): boolean {
  return pool === 'lock' && ttlMs !== null && !isOffered
}

/** The records of a snapshot, one by one. */
export function * encodeLocks (
  { held, waiting, due, capacities, over }: LockRecords
): Generator<Uint8Array, void, undefined> {
  for (const lock of held) yield encodeHeld(lock)
  for (const { pool, name, owner, requestId, ticket, session, ttlMs, permits } of waiting) {
    yield recordOf('waiting', pool, name, owner, requestId, ticket, session, ttlMs, permits)
  }
  for (const { pool, name } of due) yield recordOf('due', pool, name)
  for (const { pool, name, capacity } of capacities) yield recordOf('capacity', pool, name, capacity)
  for (const { key, timeMs } of over) yield recordOf('over', key, timeMs)
}

function encodeHeld (lock: HeldLock): Uint8Array {
  const { pool, name, owner, requestId, token, ttlMs, session, renewal, permits, isOffered } = lock
  return isPlain(lock)
    ? recordOf('held', name, owner, requestId, token, ttlMs, renewal)
    : recordOf('taken', pool, name, owner, requestId, token, ttlMs, session, renewal, permits, isOffered)
}

/** Reads one record into the lists. Throws `RAFT_SNAPSHOT_CORRUPT` for one that no release writes. */
export function readLockRecord ([kind, ...fields]: readonly unknown[], into: MutableRecords): void {
  switch (kind) {
    case 'held':
      into.held.push(readHeld(fields))
      break
    case 'taken':
      into.held.push(readTaken(fields))
      break
    case 'waiting':
      into.waiting.push(readWaiting(fields))
      break
    case 'due':
      into.due.push(readName(fields))
      break
    case 'capacity':
      into.capacities.push(readCapacity(fields))
      break
    case 'over':
      into.over.push(readOver(fields))
      break
    default: throw malformed(locksPart)
  }
}

type MutableRecords = { readonly [List in keyof LockRecords]: LockRecords[List][number][] }

/** Lists without records. */
export function noRecords (): MutableRecords {
  return { held: [], waiting: [], due: [], capacities: [], over: [] }
}

function readHeld ([name, owner, requestId, token, ttlMs, renewal, ...more]: readonly unknown[]): HeldLock {
  return readTaken(['lock', name, owner, requestId, token, ttlMs, null, renewal, 1, false, ...more])
}

function readTaken (fields: readonly unknown[]): HeldLock {
  const [pool, name, owner, requestId, token, ttlMs, session, renewal, permits, isOffered, ...more] = fields
  const isLock =
    isPool(pool) &&
    isLockName(name) &&
    isOwner(owner) &&
    isRequestId(requestId) &&
    isToken(token) &&
    (ttlMs === null ? isToken(session) : isTtl(ttlMs) && session === null) &&
    isIndex(renewal) &&
    isPermits(permits) &&
    isFlag(isOffered) &&
    more.length === 0
  if (!isLock) throw malformed(locksPart)
  return { pool, name, owner, requestId, token, ttlMs, session, renewal, permits, isOffered } as HeldLock
}

function readWaiting (fields: readonly unknown[]): WaitingLock {
  const [pool, name, owner, requestId, ticket, session, ttlMs, permits, ...more] = fields
  const isWaiting =
    isPool(pool) &&
    isLockName(name) &&
    isOwner(owner) &&
    isRequestId(requestId) &&
    isToken(ticket) &&
    isToken(session) &&
    (ttlMs === null || isTtl(ttlMs)) &&
    isPermits(permits) &&
    more.length === 0
  if (!isWaiting) throw malformed(locksPart)
  return { pool, name, owner, requestId, ticket, session, ttlMs, permits } as WaitingLock
}

function readName ([pool, name, ...more]: readonly unknown[]): Required<LockName> {
  if (!isPool(pool) || !isLockName(name) || more.length > 0) throw malformed(locksPart)
  return { pool, name } as Required<LockName>
}

function readCapacity ([pool, name, capacity, ...more]: readonly unknown[]): LockRecords['capacities'][number] {
  if (!isPermits(capacity) || more.length > 0) throw malformed(locksPart)
  return { ...readName([pool, name]), capacity: capacity as number }
}

function readOver ([key, timeMs, ...more]: readonly unknown[]): RecentEntry<true> {
  if (typeof key !== 'string' || !isIndex(timeMs) || more.length > 0) throw malformed(locksPart)
  return { key, timeMs: timeMs as number, value: true }
}

/** How many requests whose grant is over are remembered, and for how long. */
export const overBounds = { maxKeys: limits.maxLockRequests, windowMs: limits.lockRequestWindowMs }
