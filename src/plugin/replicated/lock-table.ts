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
import type { HeldLock, LockName, LockPool, LockRecords, WaitingLock } from './lock-records.ts'
import { encodeLocks, locksPart, noRecords, overBounds, readLockRecord, versionFor } from './lock-records.ts'
import { RecentTable } from './recent-table.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, textOf } from './snapshot-records.ts'

/** What happened to a lock. */
export interface LockChange {
  readonly kind: 'granted' | 'renewed' | 'released' | 'expired'
  readonly lock: HeldLock
}

/** A lock that is held or waited for. */
interface Resource extends Required<LockName> {
  readonly key: string
  capacity: number
  taken: number
  /** By request, in the order of their tokens. */
  readonly held: Map<string, HeldLock>
  /** By request, in the order of their tickets. */
  readonly waiting: Map<string, WaitingLock>
}

/** Where a session holds something or waits. */
interface Owned {
  readonly key: string
  readonly requestId: string
}

/**
 * The locks of the cluster, and who waits for them. Holds no deadline: a lock ends when the log says so. The leader
 * measures the time to live and writes an `expire`, which applies only while token and renewal are still the ones it
 * measured; a lock that a session owns ends with the session.
 *
 * Who waits is served in the order of arrival, and at most one at each entry, whose index is the token: no two grants
 * have the same. What one entry frees beyond that is due, and granted at the next entries.
 */
export class LockTable implements SnapshotPart {
  #resources = new Map<string, Resource>()
  /** In the order of their tokens. */
  #byToken = new Map<number, HeldLock>()
  #waiting = 0
  /** Keys of locks that the first who waits can have, in the order in which they are given. */
  #due = new Set<string>()
  #owned = new Map<number, Map<string, Owned>>()
  // Requests whose grant is over, or must never come: a duplicate that arrives late finds its request here.
  #over = new RecentTable<true>(overBounds)
  #grantedAt = 0
  readonly #isOpen: (session: number) => boolean
  readonly #changed: (change: LockChange) => void

  constructor (isOpen: (session: number) => boolean = () => false, changed: (change: LockChange) => void = () => {}) {
    this.#isOpen = isOpen
    this.#changed = changed
  }

  /** Grants a free lock, or lets the request wait if it is to. The same request again confirms what it was offered. */
  acquire (command: LockAcquireCommand, context: ApplyContext): LockAnswer {
    const { name, owner, requestId, session = null, ttlMs = null, waits = false, permits = 1 } = command
    const capacity = capacityOf(command)
    if ((session === null && (ttlMs === null || waits)) || permits > capacity) {
      return refuse('RAFT_MALFORMED_COMMAND', 'The command asks for a lock in a way in which none is held')
    }
    if (this.#over.get(overKey(command), context) !== undefined) return { kind: 'stale', name }
    if (session !== null && !this.#isOpen(session)) return { kind: 'session-gone', session }
    const resource = this.#resourceOf(command, capacity)
    const current = resource.held.get(requestId)
    if (current !== undefined) return this.#confirm(current, ttlMs)
    const waiting = resource.waiting.get(requestId)
    if (waiting !== undefined) return this.#waitOn(resource, waiting, session ?? waiting.session)
    if (resource.waiting.size === 0 && resource.taken + permits <= resource.capacity) {
      return this.#grantTo(resource, { owner, requestId, session, ttlMs, permits }, context)
    }
    if (waits && session !== null) return this.#queue(resource, { owner, requestId, session, ttlMs, permits }, context)
    return heldBy(resource)
  }

  /** Starts the time to live again. */
  renew (command: LockRenewCommand): LockAnswer {
    const { name, token, ttlMs } = command
    const current = this.#holderOf(command)
    if (current === undefined || current.ttlMs === null || current.isOffered) return { kind: 'stale', name }
    this.#renewed({ ...current, ttlMs, renewal: current.renewal + 1 })
    return { kind: 'renewed', name, token, ttlMs }
  }

  /** Gives a lock back. */
  release (command: LockReleaseCommand, context: ApplyContext): LockAnswer {
    const current = this.#holderOf(command)
    if (current === undefined) return { kind: 'stale', name: command.name }
    this.#free('released', current, context)
    return { kind: 'released', name: command.name }
  }

  /** Releases what the request was granted, or takes it out of the queue, and keeps it from being granted later. */
  abandon (command: LockAbandonCommand, context: ApplyContext): LockAnswer {
    const resource = this.#resources.get(keyOf(command))
    const current = resource?.held.get(command.requestId)
    if (current !== undefined) this.#free('released', current, context)
    else {
      this.#over.add(overKey(command), true, context)
      if (resource !== undefined) this.#leave(resource, command.requestId)
    }
    return { kind: 'released', name: command.name }
  }

  /** Frees a lock whose time ran out, unless it was renewed or given back since that was measured. */
  expire (command: LockExpireCommand, context: ApplyContext): LockAnswer {
    const current = this.#holderOf(command)
    if (current?.renewal !== command.renewal) return { kind: 'stale', name: command.name }
    this.#free('expired', current, context)
    return { kind: 'expired', name: command.name }
  }

  /** Ends all that a session holds or waits for. */
  sessionEnded (session: number, context: ApplyContext): void {
    const owned = [...this.#owned.get(session)?.entries() ?? []].sort(([one], [other]) => one < other ? -1 : 1)
    // Nobody of the same session may be given what another one of it just held.
    for (const [, { key, requestId }] of owned) {
      const resource = this.#resources.get(key)
      if (resource !== undefined) this.#leave(resource, requestId)
    }
    for (const [, { key, requestId }] of owned) {
      const held = this.#resources.get(key)?.held.get(requestId)
      if (held !== undefined) this.#free('expired', held, context)
    }
  }

  /** Grants one lock that is due, unless the entry has granted one already. Called at the end of every command. */
  grantDue (context: ApplyContext): void {
    const [key] = this.#due
    if (key === undefined || this.#grantedAt === context.index || this.size >= limits.maxLocksHeld) return
    this.#due.delete(key)
    const resource = this.#resources.get(key)
    const [next] = resource?.waiting.values() ?? []
    if (resource === undefined || next === undefined) return
    this.#leaveQueue(resource, next)
    this.#grantTo(resource, next, context)
    this.#look(resource)
  }

  /** The holder of a lock as applied on this node; the first one of those that share it. */
  get (name: string, pool: LockPool = 'lock'): HeldLock | undefined {
    return this.#resources.get(keyOf({ name, pool }))?.held.values().next().value
  }

  /** Who holds and who waits for a lock as applied on this node, each in their order. */
  look (lock: LockName): { readonly held: readonly HeldLock[], readonly waiting: readonly WaitingLock[] } {
    const resource = this.#resources.get(keyOf(lock))
    return { held: [...resource?.held.values() ?? []], waiting: [...resource?.waiting.values() ?? []] }
  }

  /** All locks held as applied on this node, in the order of their tokens. */
  all (): IterableIterator<HeldLock> { return this.#byToken.values() }

  /** Whether a lock with this token is held. */
  hasToken (token: number): boolean { return this.#byToken.has(token) }

  /** Number of grants held. */
  get size (): number { return this.#byToken.size }

  /** Number of those who wait. */
  get waiters (): number { return this.#waiting }

  /** Number of locks that the next entries of the log grant to those who wait. */
  get due (): number { return this.#due.size }

  /** The oldest version of the records that can hold what there is now. */
  get version (): number { return versionFor(this.#records()) }

  capture (): Iterable<Uint8Array> { return encodeLocks(this.#records()) }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const read = noRecords()
    for await (const record of records) readLockRecord(fieldsOf(textOf(record, locksPart), locksPart), read)
    const next = new LockTable(this.#isOpen)
    next.#fill(read)
    return () => { this.#replace(next) }
  }

  /** The whole content, as JSON. */
  toJSON (): unknown {
    const { held, waiting, due, capacities } = this.#records()
    return { held, waiting, due, capacities, over: this.#over }
  }

  #records (): LockRecords {
    const resources = [...this.#resources.values()]
    const waiting = resources.flatMap((resource) => [...resource.waiting.values()])
    return {
      held: [...this.#byToken.values()],
      waiting: waiting.sort((one, other) => one.ticket - other.ticket),
      due: [...this.#due].map((key) => nameOf(this.#resources.get(key))),
      capacities: resources.filter(({ pool }) => pool === 'semaphore')
        .sort((one, other) => one.key < other.key ? -1 : 1)
        .map((resource) => ({ ...nameOf(resource), capacity: resource.capacity })),
      over: this.#over.entries()
    }
  }

  /** Throws `RAFT_SNAPSHOT_CORRUPT` for records that no table can have. */
  #fill ({ held, waiting, due, capacities, over }: LockRecords): void {
    const named = new Map(capacities.map((lock) => [keyOf(lock), lock.capacity]))
    for (const lock of held) {
      const resource = this.#resourceOf(lock, named.get(keyOf(lock)) ?? capacityOf(lock))
      const isTwice = this.#byToken.has(lock.token) || resource.held.has(lock.requestId)
      // A semaphore may have been made smaller than what is held of it.
      const fits = resource.pool === 'semaphore' || resource.taken + lock.permits <= resource.capacity
      if (isTwice || !fits) throw malformed(locksPart)
      this.#put(resource, lock)
    }
    let last = 0
    for (const lock of waiting) {
      const resource = this.#resourceOf(lock, named.get(keyOf(lock)) ?? capacityOf(lock))
      const isTwice = resource.held.has(lock.requestId) || resource.waiting.has(lock.requestId)
      if (isTwice || lock.ticket <= last) throw malformed(locksPart)
      last = lock.ticket
      this.#enqueue(resource, lock)
    }
    for (const name of due) {
      if ((this.#resources.get(keyOf(name))?.waiting.size ?? 0) === 0) throw malformed(locksPart)
      this.#due.add(keyOf(name))
    }
    const recent = RecentTable.from(over, overBounds)
    if (recent === null || this.size > limits.maxLocksHeld || this.#waiting > limits.maxLockWaiters) {
      throw malformed(locksPart)
    }
    this.#over = recent
  }

  /** Tells the listener of every lock that differs from before: it saw none of the changes in between. */
  #replace (next: LockTable): void {
    const before = this.#byToken
    this.#resources = next.#resources
    this.#byToken = next.#byToken
    this.#waiting = next.#waiting
    this.#due = next.#due
    this.#owned = next.#owned
    this.#over = next.#over
    for (const lock of before.values()) if (!this.hasToken(lock.token)) this.#changed({ kind: 'released', lock })
    for (const lock of this.#byToken.values()) {
      const known = before.get(lock.token)
      if (known === undefined) this.#changed({ kind: 'granted', lock })
      else if (known.renewal !== lock.renewal) this.#changed({ kind: 'renewed', lock })
    }
  }

  /** The lock of this name, with the number of permits that was named last. A new one is not kept yet. */
  #resourceOf (lock: LockName, capacity: number): Resource {
    const key = keyOf(lock)
    const known = this.#resources.get(key)
    if (known === undefined) {
      const { pool = 'lock', name } = lock
      return { key, pool, name, capacity, taken: 0, held: new Map(), waiting: new Map() }
    }
    if (known.capacity === capacity) return known
    known.capacity = capacity
    this.#look(known)
    return known
  }

  #confirm (current: HeldLock, ttlMs: number | null): LockAnswer {
    const { name, owner, token } = current
    const next = { ...current, ttlMs: current.session === null ? ttlMs ?? current.ttlMs : null, isOffered: false }
    this.#renewed({ ...next, renewal: current.renewal + 1 })
    return { kind: 'granted', name, owner, token, ttlMs: next.ttlMs }
  }

  #grantTo (resource: Resource, request: Request, context: ApplyContext): LockAnswer {
    const { pool, name } = resource
    const { owner, requestId, permits, ttlMs, session, ticket } = request
    if (this.size >= limits.maxLocksHeld) return refuse('RAFT_BUSY', `${limits.maxLocksHeld} locks are held`)
    const token = context.index
    this.#grantedAt = token
    // Who asks now is there; who has waited may have left.
    const isOffered = ticket !== undefined && ttlMs !== null
    const lives = { ttlMs: isOffered ? limits.lockOfferMs : ttlMs, session: ttlMs === null ? session : null }
    const lock = { pool, name, owner, requestId, token, ...lives, renewal: 0, permits, isOffered }
    this.#put(resource, lock)
    this.#changed({ kind: 'granted', lock })
    return { kind: 'granted', name, owner, token, ttlMs }
  }

  #queue (resource: Resource, request: Request & { readonly session: number }, context: ApplyContext): LockAnswer {
    if (this.#waiting >= limits.maxLockWaiters) return refuse('RAFT_BUSY', `${limits.maxLockWaiters} wait for locks`)
    const { pool, name } = resource
    const { owner, requestId, session, ttlMs, permits } = request
    this.#enqueue(resource, { pool, name, owner, requestId, ticket: context.index, session, ttlMs, permits })
    return { kind: 'queued', name, position: resource.waiting.size }
  }

  /** It waits on in its place, for the session that it asks through now. */
  #waitOn (resource: Resource, waiting: WaitingLock, session: number): LockAnswer {
    const { name, requestId } = waiting
    this.#disown(waiting.session, resource.key, requestId)
    this.#own(session, resource.key, requestId)
    resource.waiting.set(requestId, { ...waiting, session })
    return { kind: 'queued', name, position: [...resource.waiting.keys()].indexOf(requestId) + 1 }
  }

  #holderOf (lock: LockName & { readonly token: number }): HeldLock | undefined {
    const held = this.#byToken.get(lock.token)
    return held !== undefined && keyOf(held) === keyOf(lock) ? held : undefined
  }

  #renewed (lock: HeldLock): void {
    const resource = this.#resources.get(keyOf(lock))
    if (resource !== undefined) this.#put(resource, lock)
    this.#changed({ kind: 'renewed', lock })
  }

  #put (resource: Resource, lock: HeldLock): void {
    const { requestId, permits, token, session } = lock
    resource.taken += permits - (resource.held.get(requestId)?.permits ?? 0)
    resource.held.set(requestId, lock)
    this.#byToken.set(token, lock)
    this.#resources.set(resource.key, resource)
    if (session !== null) this.#own(session, resource.key, requestId)
  }

  #enqueue (resource: Resource, waiting: WaitingLock): void {
    resource.waiting.set(waiting.requestId, waiting)
    this.#waiting++
    this.#resources.set(resource.key, resource)
    this.#own(waiting.session, resource.key, waiting.requestId)
  }

  #free (kind: 'released' | 'expired', lock: HeldLock, context: ApplyContext): void {
    const resource = this.#resources.get(keyOf(lock))
    this.#byToken.delete(lock.token)
    this.#over.add(overKey(lock), true, context)
    if (resource !== undefined) {
      resource.held.delete(lock.requestId)
      resource.taken -= lock.permits
      if (lock.session !== null) this.#disown(lock.session, resource.key, lock.requestId)
      this.#look(resource)
    }
    this.#changed({ kind, lock })
  }

  #leave (resource: Resource, requestId: string): void {
    const waiting = resource.waiting.get(requestId)
    if (waiting === undefined) return
    this.#leaveQueue(resource, waiting)
    this.#look(resource)
  }

  #leaveQueue (resource: Resource, { requestId, session }: WaitingLock): void {
    resource.waiting.delete(requestId)
    this.#waiting--
    this.#disown(session, resource.key, requestId)
  }

  /** After any change: is it the turn of the first who waits, and is there anything to keep? */
  #look (resource: Resource): void {
    const [next] = resource.waiting.values()
    if (next !== undefined && resource.taken + next.permits <= resource.capacity) this.#due.add(resource.key)
    else this.#due.delete(resource.key)
    if (next === undefined && resource.held.size === 0) this.#resources.delete(resource.key)
  }

  #own (session: number, key: string, requestId: string): void {
    const owned = this.#owned.get(session) ?? new Map<string, Owned>()
    this.#owned.set(session, owned.set(JSON.stringify([key, requestId]), { key, requestId }))
  }

  #disown (session: number, key: string, requestId: string): void {
    const owned = this.#owned.get(session)
    owned?.delete(JSON.stringify([key, requestId]))
    if (owned?.size === 0) this.#owned.delete(session)
  }
}

/** Who asks for a lock; with a ticket, who has waited for it. */
type Request = Pick<HeldLock, 'owner' | 'requestId' | 'session' | 'ttlMs' | 'permits'> & { readonly ticket?: number }

function heldBy ({ name, held, waiting }: Resource): LockAnswer {
  const [holder] = held.values()
  const [next] = waiting.values()
  return { kind: 'held', name, owner: holder?.owner ?? next?.owner ?? '', token: holder?.token ?? 0 }
}

function nameOf (resource: Resource | undefined): Required<LockName> {
  return { pool: resource?.pool ?? 'lock', name: resource?.name ?? '' }
}

function keyOf ({ pool = 'lock', name }: LockName): string {
  return `${pool} ${name}`
}

/** How many permits there are: of a semaphore as many as is said, and one writer takes those of all readers. */
function capacityOf ({ pool = 'lock', capacity = 1 }: LockName & { readonly capacity?: number }): number {
  return pool === 'semaphore' ? capacity : pool === 'read-write' ? limits.maxPermits : 1
}

/** Request ids count per lock. */
function overKey ({ pool = 'lock', name, requestId }: LockName & { readonly requestId: string }): string {
  return JSON.stringify(pool === 'lock' ? [requestId, name] : [requestId, name, pool])
}
