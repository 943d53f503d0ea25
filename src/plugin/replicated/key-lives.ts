import type { RefusedAnswer, SessionGoneAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import { limits } from './limits.ts'

/** How a key ends by itself, as a write of it says. Neither: it stays until it is removed. Not both. */
export interface KeyEnd {
  /** Time to live, in milliseconds of log time. */
  readonly ttlMs?: number
  /** The session that owns the key. */
  readonly session?: number
}

/** The life of a key that ends by itself. Begins with a write, and is over with the next one. */
export interface KeyLife {
  readonly map: string
  readonly key: string
  /** Log index of the write. */
  readonly revision: number
  /** Null when a session owns the key. */
  readonly ttlMs: number | null
  /** Null when the key has a time to live. */
  readonly session: number | null
  /** Log time of the write, in milliseconds. */
  readonly sinceMs: number
}

/** A life with a time to live begins or is over. */
export interface KeyLifeChange {
  readonly kind: 'begun' | 'over'
  readonly life: KeyLife
}

/** How many keys end by themselves; the same on every node. */
type KeyLifeBounds = { readonly [Limit in 'maxExpiringKeys' | 'maxKeysOfSession']: number }

/** What {@link KeyLives} asks and tells. */
export interface KeyLifeParts {
  /** Whether a session is open. */
  readonly isOpen?: (session: number) => boolean
  /** Called within a command; it must not throw. */
  readonly changed?: (change: KeyLifeChange) => void
}

/** The keys that end by themselves, by what ends them. Holds no deadline: the log says when a time to live is over. */
export class KeyLives {
  readonly #isOpen: (session: number) => boolean
  readonly #changed: (change: KeyLifeChange) => void
  readonly #bounds: KeyLifeBounds
  #withTtl = new Set<KeyLife>()
  #bySession = new Map<number, Set<KeyLife>>()
  #owned = 0

  constructor ({ isOpen = () => false, changed = () => {} }: KeyLifeParts = {}, bounds: KeyLifeBounds = limits) {
    this.#isOpen = isOpen
    this.#changed = changed
    this.#bounds = bounds
  }

  /** Number of keys that end by themselves. */
  get size (): number { return this.#withTtl.size + this.#owned }

  /** Lives that a time to live ends. */
  withTtl (): IterableIterator<KeyLife> { return this.#withTtl.values() }

  /** Lives that end with a session: by map and key, the same on every node. */
  ofSession (session: number): KeyLife[] {
    return [...this.#bySession.get(session) ?? []].sort(byKey)
  }

  begin (life: KeyLife): void {
    if (life.session === null) {
      this.#withTtl.add(life)
      this.#changed({ kind: 'begun', life })
      return
    }
    const owned = this.#bySession.get(life.session) ?? new Set<KeyLife>()
    this.#bySession.set(life.session, owned.add(life))
    this.#owned++
  }

  end (life: KeyLife): void {
    if (life.session === null) {
      this.#withTtl.delete(life)
      this.#changed({ kind: 'over', life })
      return
    }
    const owned = this.#bySession.get(life.session)
    if (owned?.delete(life) === true) this.#owned--
    if (owned?.size === 0) this.#bySession.delete(life.session)
  }

  /** Why these lives cannot begin while those end; null when they can. */
  refusalOf (
    begins: readonly KeyEnd[],
    ends: readonly KeyLife[]
  ): SessionGoneAnswer | RefusedAnswer | null {
    const { maxExpiringKeys, maxKeysOfSession } = this.#bounds
    const added = new Map<number, number>()
    for (const { session } of begins) {
      if (session === undefined) continue
      if (!this.#isOpen(session)) return { kind: 'session-gone', session }
      added.set(session, (added.get(session) ?? 0) + 1)
    }
    for (const { session } of ends) {
      const count = session === null ? undefined : added.get(session)
      if (session !== null && count !== undefined) added.set(session, count - 1)
    }
    for (const [session, count] of added) {
      if ((this.#bySession.get(session)?.size ?? 0) + count > maxKeysOfSession) {
        return refuse('RAFT_BUSY', `${maxKeysOfSession} keys end with session ${session}`)
      }
    }
    if (begins.length > ends.length && this.size + begins.length - ends.length > maxExpiringKeys) {
      return refuse('RAFT_BUSY', `${maxExpiringKeys} keys end by themselves`)
    }
    return null
  }

  /** Takes the place of another one, and tells of every life that was or is. */
  replaceBy (next: KeyLives): void {
    for (const life of this.#withTtl) this.#changed({ kind: 'over', life })
    this.#withTtl = next.#withTtl
    this.#bySession = next.#bySession
    this.#owned = next.#owned
    for (const life of this.#withTtl) this.#changed({ kind: 'begun', life })
  }
}

function byKey (one: KeyLife, other: KeyLife): number {
  if (one.map !== other.map) return one.map < other.map ? -1 : 1
  return one.key < other.key ? -1 : 1
}
