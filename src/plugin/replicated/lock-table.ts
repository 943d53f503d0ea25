import type { ApplyContext } from '../../raft/index.ts'
import type { LockAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type {
  LockAbandonCommand,
  LockAcquireCommand,
  LockExpireCommand,
  LockReleaseCommand,
  LockRenewCommand
} from './command.ts'
import { limits } from './limits.ts'
import type { RecentEntry } from './recent-table.ts'
import { RecentTable } from './recent-table.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, recordOf, textOf } from './snapshot-records.ts'
import { isIndex, isLockName, isOwner, isRequestId, isToken, isTtl } from './validate.ts'

/** A lock that is held. */
export interface HeldLock {
  readonly name: string
  readonly owner: string
  readonly requestId: string
  /** Fencing token: log index of the grant. */
  readonly token: number
  readonly ttlMs: number
  /** How often it has been renewed. Together with the token it says which stretch of time a deadline belongs to. */
  readonly renewal: number
}

/** What happened to a lock. */
export interface LockChange {
  readonly kind: 'granted' | 'renewed' | 'released' | 'expired'
  readonly lock: HeldLock
}

/**
 * The locks of the cluster. Holds no deadline: a lock ends when the log says so. The leader measures the time to live
 * and writes an `expire`, which applies only while token and renewal are still the ones it measured.
 */
export class LockTable implements SnapshotPart {
  #held = new Map<string, HeldLock>()
  #tokens = new Set<number>()
  // Requests whose grant is over, or must never come: a duplicate that arrives late finds its request here.
  #over = new RecentTable<true>(overBounds)
  readonly #changed: (change: LockChange) => void

  constructor (changed: (change: LockChange) => void = () => {}) {
    this.#changed = changed
  }

  /** Grants a free lock. */
  acquire (command: LockAcquireCommand, context: ApplyContext): LockAnswer {
    const { name, owner, ttlMs, requestId } = command
    if (this.#over.get(overKey(command), context) !== undefined) return { kind: 'stale', name }
    const current = this.#held.get(name)
    if (current !== undefined) {
      if (current.requestId !== requestId) return { kind: 'held', name, owner: current.owner, token: current.token }
      this.#hold('renewed', { ...current, ttlMs, renewal: current.renewal + 1 })
      return { kind: 'granted', name, owner: current.owner, token: current.token, ttlMs }
    }
    if (this.#held.size >= limits.maxLocksHeld) return refuse('RAFT_BUSY', `${limits.maxLocksHeld} locks are held`)
    const token = context.index
    this.#hold('granted', { name, owner, requestId, token, ttlMs, renewal: 0 })
    return { kind: 'granted', name, owner, token, ttlMs }
  }

  /** Starts the time to live again. */
  renew (command: LockRenewCommand): LockAnswer {
    const { name, token, ttlMs } = command
    const current = this.#held.get(name)
    if (current?.token !== token) return { kind: 'stale', name }
    this.#hold('renewed', { ...current, ttlMs, renewal: current.renewal + 1 })
    return { kind: 'renewed', name, token, ttlMs }
  }

  /** Gives a lock back. */
  release (command: LockReleaseCommand, context: ApplyContext): LockAnswer {
    const current = this.#held.get(command.name)
    if (current?.token !== command.token) return { kind: 'stale', name: command.name }
    this.#free('released', current, context)
    return { kind: 'released', name: command.name }
  }

  /** Releases the lock that the request was granted, and keeps the request from being granted later. */
  abandon (command: LockAbandonCommand, context: ApplyContext): LockAnswer {
    const current = this.#held.get(command.name)
    if (current?.requestId === command.requestId) this.#free('released', current, context)
    else this.#over.add(overKey(command), true, context)
    return { kind: 'released', name: command.name }
  }

  /** Frees a lock whose time ran out, unless it was renewed or given back since that was measured. */
  expire (command: LockExpireCommand, context: ApplyContext): LockAnswer {
    const current = this.#held.get(command.name)
    if (current?.token !== command.token || current.renewal !== command.renewal) {
      return { kind: 'stale', name: command.name }
    }
    this.#free('expired', current, context)
    return { kind: 'expired', name: command.name }
  }

  /** The holder of a lock as applied on this node. */
  get (name: string): HeldLock | undefined { return this.#held.get(name) }

  /** All locks held as applied on this node. */
  all (): IterableIterator<HeldLock> { return this.#held.values() }

  /** Whether a lock with this token is held. */
  hasToken (token: number): boolean { return this.#tokens.has(token) }

  get size (): number { return this.#held.size }

  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#held.values()], this.#over.entries())
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const held = new Map<string, HeldLock>()
    const tokens = new Set<number>()
    const entries: RecentEntry<true>[] = []
    for await (const record of records) {
      const [kind, ...fields] = fieldsOf(textOf(record, part), part)
      if (kind === 'over') {
        entries.push(readOver(fields))
        continue
      }
      const lock = kind === 'held' ? readLock(fields) : null
      if (lock === null || held.has(lock.name) || tokens.has(lock.token)) throw malformed(part)
      held.set(lock.name, lock)
      tokens.add(lock.token)
    }
    const over = RecentTable.from(entries, overBounds)
    if (over === null || held.size > limits.maxLocksHeld) throw malformed(part)
    return () => { this.#replace(held, tokens, over) }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown { return { held: [...this.#held.values()], over: this.#over } }

  /** Tells the listener of every lock that differs from before: it saw none of the changes in between. */
  #replace (held: Map<string, HeldLock>, tokens: Set<number>, over: RecentTable<true>): void {
    const before = this.#held
    this.#held = held
    this.#tokens = tokens
    this.#over = over
    for (const lock of before.values()) if (!tokens.has(lock.token)) this.#changed({ kind: 'released', lock })
    for (const lock of held.values()) {
      const known = before.get(lock.name)
      if (known?.token !== lock.token) this.#changed({ kind: 'granted', lock })
      else if (known.renewal !== lock.renewal) this.#changed({ kind: 'renewed', lock })
    }
  }

  #hold (kind: 'granted' | 'renewed', lock: HeldLock): void {
    this.#held.set(lock.name, lock)
    this.#tokens.add(lock.token)
    this.#changed({ kind, lock })
  }

  #free (kind: 'released' | 'expired', lock: HeldLock, context: ApplyContext): void {
    this.#held.delete(lock.name)
    this.#tokens.delete(lock.token)
    this.#over.add(overKey(lock), true, context)
    this.#changed({ kind, lock })
  }
}

const part = 'locks'
const overBounds = { maxKeys: limits.maxLockRequests, windowMs: limits.lockRequestWindowMs }

/** Request ids count per lock. */
function overKey ({ name, requestId }: { readonly name: string, readonly requestId: string }): string {
  return JSON.stringify([requestId, name])
}

function * encodeRecords (
  held: readonly HeldLock[],
  over: readonly RecentEntry<true>[]
): Generator<Uint8Array, void, undefined> {
  for (const { name, owner, requestId, token, ttlMs, renewal } of held) {
    yield recordOf('held', name, owner, requestId, token, ttlMs, renewal)
  }
  for (const { key, timeMs } of over) yield recordOf('over', key, timeMs)
}

function readLock ([name, owner, requestId, token, ttlMs, renewal, ...more]: readonly unknown[]): HeldLock {
  const isLock =
    isLockName(name) &&
    isOwner(owner) &&
    isRequestId(requestId) &&
    isToken(token) &&
    isTtl(ttlMs) &&
    isIndex(renewal) &&
    more.length === 0
  if (!isLock) throw malformed(part)
  return { name, owner, requestId, token, ttlMs, renewal } as HeldLock
}

function readOver ([key, timeMs, ...more]: readonly unknown[]): RecentEntry<true> {
  if (typeof key !== 'string' || !isIndex(timeMs) || more.length > 0) throw malformed(part)
  return { key, timeMs: timeMs as number, value: true }
}
