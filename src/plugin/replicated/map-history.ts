import { BusyError, CompactedError } from '../../raft/index.ts'
import type { FollowedKeys } from './key-waiters.ts'
import { isFollowed, KeyWaiters } from './key-waiters.ts'
import { byteLength } from './validate.ts'

/** What a node keeps of the changes of its maps for those who follow them. Each node has its own. */
export const historyLimits = {
  /** Changes of keys; the oldest go first. */
  maxHistoryEvents: 65_536,
  /** Size of their keys and values, in bytes. */
  maxHistoryBytes: 16_777_216,
  /** Those who follow keys of a node at once. */
  maxFollowers: 10_000
} as const

/** Bounds of a {@link MapHistory}; {@link historyLimits} except in tests. */
type HistoryLimits = { readonly [Limit in keyof typeof historyLimits]: number }

/** What happened to one key. `expired`: its time to live was over, or the session that owned it ended. */
export type KeyEvent = { readonly map: string, readonly key: string } & (
  | { readonly kind: 'set', /** The new value as JSON text. */ readonly valueJson: string }
  | { readonly kind: 'deleted' | 'expired', readonly valueJson: null }
)

/** All that one entry of the log has changed, in the order in which it did. */
export interface MapChange {
  /** Index of the entry. */
  readonly revision: number
  readonly events: readonly KeyEvent[]
}

/**
 * The latest changes of the maps, as this node applied them, for those who follow keys. Local and no part of snapshots:
 * a node that starts or is given a snapshot has the changes behind it alone.
 *
 * Who follows keeps nothing but a place in it. So a slow reader costs no memory, and is told when what it had still to
 * read has gone.
 */
export class MapHistory {
  readonly #limits: HistoryLimits
  readonly #appliedIndex: () => number
  readonly #waiters = new KeyWaiters()
  /** In log order; the first `#gone` of them are forgotten. */
  #changes: Array<MapChange | undefined> = []
  #gone = 0
  #events = 0
  #bytes = 0
  #forgottenRevision = 0
  #followers = 0

  /** `appliedIndex` says up to which entry of the log the changes have come. */
  constructor (appliedIndex: () => number, bounds: HistoryLimits = historyLimits) {
    this.#appliedIndex = appliedIndex
    this.#limits = bounds
  }

  /** All changes up to this revision are forgotten, or were never here. */
  get forgottenRevision (): number { return this.#forgottenRevision }

  /** Number of those who follow keys. */
  get followers (): number { return this.#followers }

  /** Log index of the last entry applied. */
  get revision (): number { return this.#appliedIndex() }

  /** Adds what an entry has changed, and wakes those who wait for it. */
  add (change: MapChange): void {
    this.#changes.push(change)
    this.#events += change.events.length
    this.#bytes += bytesOf(change)
    const { maxHistoryEvents, maxHistoryBytes } = this.#limits
    while (this.#events > maxHistoryEvents || this.#bytes > maxHistoryBytes) this.#forgetOldest()
    for (const { map, key } of change.events) this.#waiters.wake(map, key)
  }

  /** A snapshot has replaced the maps: nobody knows what changed in between. */
  restart (): void {
    this.#changes = []
    this.#gone = this.#events = this.#bytes = 0
    this.#forgottenRevision = this.revision
    this.#waiters.wakeAll()
  }

  /**
   * Follows keys of a map from behind a revision on; from now on when none is given. Throws `RAFT_COMPACTED` when
   * changes behind it are forgotten, and `RAFT_BUSY` when too many follow already.
   */
  follow (map: string, keys: FollowedKeys, afterRevision = this.revision): MapFollower {
    if (afterRevision < this.#forgottenRevision) throw compactedError(this.#forgottenRevision)
    if (this.#followers >= this.#limits.maxFollowers) {
      throw new BusyError(`${this.#limits.maxFollowers} watches of maps are open on this node`)
    }
    this.#followers++
    return new MapFollower({
      history: this,
      map,
      keys,
      afterRevision,
      wait: (wake) => this.#waiters.wait(map, keys, wake),
      ended: () => { this.#followers-- }
    })
  }

  /** The changes behind a revision, oldest first. Throws `RAFT_COMPACTED` when some of them are forgotten. */
  * after (revision: number): Generator<MapChange, void, undefined> {
    if (revision < this.#forgottenRevision) throw compactedError(this.#forgottenRevision)
    for (let at = this.#firstAfter(revision); at < this.#changes.length; at++) {
      const change = this.#changes[at]
      if (change !== undefined) yield change
    }
  }

  #firstAfter (revision: number): number {
    let low = this.#gone
    let high = this.#changes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#changes[middle]?.revision ?? 0) <= revision) low = middle + 1
      else high = middle
    }
    return low
  }

  #forgetOldest (): void {
    const oldest = this.#changes[this.#gone]
    if (oldest === undefined) return
    this.#changes[this.#gone++] = undefined
    this.#events -= oldest.events.length
    this.#bytes -= bytesOf(oldest)
    this.#forgottenRevision = oldest.revision
    // Half of it holds nothing any more: moved once for as many changes as that.
    if (this.#gone * 2 <= this.#changes.length) return
    this.#changes = this.#changes.slice(this.#gone)
    this.#gone = 0
  }
}

/** What a {@link MapFollower} is built from. */
interface FollowerParts {
  readonly history: MapHistory
  readonly map: string
  readonly keys: FollowedKeys
  readonly afterRevision: number
  readonly wait: (wake: () => void) => () => void
  readonly ended: () => void
}

/** A place in the history of somebody who follows keys. */
export class MapFollower {
  readonly #parts: FollowerParts
  /** All changes up to here were given. */
  #revision: number
  #stopWaiting: (() => void) | null = null
  #hasEnded = false

  constructor (parts: FollowerParts) {
    this.#parts = parts
    this.#revision = parts.afterRevision
  }

  /** Every change of the keys up to this revision was given: to go on behind it misses nothing. */
  get revision (): number {
    // While it waits nothing concerns it, whatever else is applied.
    return this.#stopWaiting === null ? this.#revision : Math.max(this.#revision, this.#parts.history.revision)
  }

  /**
   * The next change, as far as it is of these keys; null when there is none yet. Throws `RAFT_COMPACTED` when it is
   * forgotten.
   */
  next (): MapChange | null {
    const { history, map, keys } = this.#parts
    this.#revision = this.revision
    this.#endWait()
    for (const change of history.after(this.#revision)) {
      const followed = change.events.filter((event) => event.map === map && isFollowed(keys, event.key))
      if (followed.length === 0) continue
      this.#revision = change.revision
      // The same for all whom it concerns as a whole.
      return followed.length === change.events.length ? change : { ...change, events: followed }
    }
    this.#revision = Math.max(this.#revision, history.revision)
    return null
  }

  /**
   * Calls `wake` once, when `next` may give something other than the null that it gave last: within `apply`, so that it
   * must not throw.
   */
  wait (wake: () => void): void {
    this.#endWait()
    if (this.#hasEnded) return
    this.#stopWaiting = this.#parts.wait(() => {
      this.#endWait()
      // Within the entry that changed something: all before it concerned others, and may be forgotten by now.
      this.#revision = Math.max(this.#revision, this.#parts.history.revision - 1)
      wake()
    })
  }

  /** Follows no longer. Idempotent. */
  end (): void {
    this.#endWait()
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#parts.ended()
  }

  #endWait (): void {
    this.#stopWaiting?.()
    this.#stopWaiting = null
  }
}

function compactedError (forgottenRevision: number): Error {
  return Object.assign(new CompactedError(forgottenRevision), { revision: forgottenRevision })
}

function bytesOf ({ events }: MapChange): number {
  return events.reduce((sum, { key, valueJson }) => sum + byteLength(key) + byteLength(valueJson ?? ''), 0)
}
