import { setImmediate } from 'node:timers/promises'
import {
  FencedError,
  InvalidOptionsError,
  RevisionMismatchError,
  SessionLostError,
  TooLargeError
} from '../../raft/index.ts'
import { Turns } from '../../raft/internal.ts'
import { limits } from '../replicated/limits.ts'
import type { StoredEntry, StoredValue } from '../replicated/map-table.ts'
import { isIndex, isMapName } from '../replicated/validate.ts'
import type { WriteOptions } from './conditions.ts'
import { conditionsOf } from './conditions.ts'
import type { PrimitiveContext } from './context.ts'
import type { KeyEndOptions } from './key-end.ts'
import { keyEndOf, shownEnd } from './key-end.ts'
import { checkKey, checkValue } from './map-checks.ts'
import type { MapWatch, MapWatchOptions } from './map-watch.ts'
import { watchMap } from './map-watch.ts'
import { proposeToMap } from './propose.ts'
import type { ReadOptions } from './read.ts'
import { beforeRead } from './read.ts'

/** One key of a {@link ClusterMap} with its value. */
export interface MapEntry<V> {
  /** The key, 1 to 512 bytes of UTF-8. */
  readonly key: string
  /** The caller's own copy: changing it changes nothing in the cluster. */
  readonly value: V
  /** Log index of the write. Rises with every write of the key. */
  readonly revision: number
  /** The time to live that the write gave the key, in milliseconds; left out when it has none. */
  readonly ttlMs?: number
  /** The session that owns the key; left out when none does. */
  readonly session?: string
}

/** How a map is read, and how long that may take. */
export type MapReadOptions = ReadOptions

/** Conditions of a write, and how long it may take. */
export interface MapWriteOptions extends WriteOptions {
  /** Write only if the key is at this revision; 0 means that it must not exist. Else `RAFT_REVISION_MISMATCH`. */
  readonly ifRevision?: number | undefined
}

/** Conditions of a write of a key, how the key ends by itself, and how long the write may take. */
export interface MapSetOptions extends MapWriteOptions, KeyEndOptions {}

/** Which entries to go through. `timeoutMs` bounds the read at the start, not the iteration. */
export interface MapEntriesOptions extends MapReadOptions {
  /** Only keys that start with it. */
  readonly prefix?: string | undefined
  /** Only keys behind this one. */
  readonly after?: string | undefined
}

/** Which page to list. */
export interface MapListOptions extends MapReadOptions {
  /** Only keys that start with it. */
  readonly prefix?: string | undefined
  /** Only keys behind this one: `next` of the page before. */
  readonly after?: string | undefined
  /** Entries of a page, 1 to 1,000; default 1,000. */
  readonly limit?: number | undefined
}

/** A page of entries. */
export interface MapPage<V> {
  /** In key order. */
  readonly entries: ReadonlyArray<MapEntry<V>>
  /** The key to pass as `after` for the next page; null when this is the last one. */
  readonly next: string | null
  /** Log index up to which the page holds every write. A watch behind that of the first page shows what came later. */
  readonly revision: number
}

/** Outcome of a delete. */
export interface MapDeleteResult {
  /** The key that was named. */
  readonly key: string
  /** Whether there was a value to remove. */
  readonly existed: boolean
  /** Log index of the delete. */
  readonly revision: number
}

/**
 * A replicated map. Every write is durable on a majority before it is acknowledged.
 *
 * Besides the errors named below, calls reject with `RAFT_INVALID_OPTIONS` (an empty key, a value that JSON does not
 * carry unchanged, such as NaN or a member that is undefined, a condition or timeout out of bounds), `RAFT_NO_LEADER`
 * or `RAFT_BUSY` (nothing was executed), `RAFT_OUTCOME_UNKNOWN` (the write may have been executed), or the reason of
 * the signal.
 */
export interface ClusterMap<V> {
  /** Name of the map, 1 to 200 characters. */
  readonly name: string
  /** Resolves with the entry of a key, or with null when there is none. */
  get: (key: string, options?: MapReadOptions) => Promise<MapEntry<V> | null>
  /**
   * Writes a key. Rejects with `RAFT_REVISION_MISMATCH` (its `revision` is the actual one), `RAFT_FENCED`,
   * `RAFT_TOO_LARGE` (key over 512 bytes, value over 1 MiB or 128 levels), `RAFT_IDEMPOTENCY_CONFLICT`, or
   * `RAFT_SESSION_LOST` when the session that is to own the key is over.
   *
   * Each write says anew how the key ends by itself: one without `ttlMs`, `ephemeral` and `session` lets it stay.
   */
  set: (key: string, value: V, options?: MapSetOptions) => Promise<MapEntry<V>>
  /** Removes a key; rejects as `set` does. */
  delete: (key: string, options?: MapWriteOptions) => Promise<MapDeleteResult>
  /**
   * All entries in key order (by UTF-16 code units), however many there are. Reads once, as `read` says, when the
   * iteration starts, and goes through the keys that there are then. Of writes made meanwhile it shows, for each of
   * those keys, what this node has applied when the key is reached: a key that is written again has its newer value,
   * one that is removed is left out, and one that is added is not visited.
   *
   * The first step rejects as `get` does, any later one with the reason of the signal.
   */
  entries: (options?: MapEntriesOptions) => AsyncIterableIterator<MapEntry<V>>
  /**
   * One page of entries in key order, all as they were at one moment. Rejects with `RAFT_INVALID_OPTIONS` (the limit)
   * and with `RAFT_TOO_LARGE` when the page is over 16 MiB: ask for fewer.
   */
  list: (options?: MapListOptions) => Promise<MapPage<V>>
  /**
   * Watches the changes of keys as this node applies them, each write as a whole. Throws `RAFT_INVALID_OPTIONS`.
   *
   * On a node that is cut off it shows nothing until the node has caught up, and misses nothing then.
   */
  watch: (options?: MapWatchOptions) => MapWatch<V>
}

const maxPageLength = 1_000
const maxPageBytes = 16_777_216
/** An iteration lets everything else have its turn after so many entries, or so many characters of them. */
const turnEntries = 256
const turnLength = 262_144

/** A handle on the replicated map of this name. Values are JSON; what `V` says is the caller's promise. */
export function createMap<V = unknown> (context: PrimitiveContext, name: string): ClusterMap<V> {
  if (!isMapName(name)) throw new InvalidOptionsError(`a map name has 1 to ${limits.maxMapNameLength} characters`)
  // A page takes its time, and each a turn of the event loop: many at once would hold up heartbeats.
  const pages = new Turns()
  return {
    name,
    get: async (key, options = {}) => {
      checkKey(key)
      await beforeRead(context, options)
      const stored = context.machine.maps.get(name, key)
      return stored === undefined ? null : entryOf<V>(key, stored)
    },
    set: async (key, value, options = {}) => {
      checkKey(key)
      checkValue(value)
      const conditions = mapConditionsOf(context, options)
      const { end, wait } = await keyEndOf(context, options, options)
      const answer = await proposeToMap(
        context,
        { kind: 'map-set', map: name, key, value, ...end, ...conditions },
        wait
      )
      if (answer.kind === 'written') return { key, value, revision: answer.revision, ...shownEnd(end) }
      throw refusedWrite(answer, options)
    },
    delete: async (key, options = {}) => {
      checkKey(key)
      const answer = await proposeToMap(
        context,
        { kind: 'map-delete', map: name, key, ...mapConditionsOf(context, options) },
        options
      )
      if (answer.kind === 'deleted') return { key, existed: answer.existed, revision: answer.revision }
      throw refusedWrite(answer, options)
    },
    entries: (options = {}) => allEntries<V>(context, name, options),
    list: async (options = {}) => {
      const { prefix = '', after, limit = maxPageLength } = options
      if (!Number.isSafeInteger(limit) || limit < 1 || limit > maxPageLength) {
        throw new InvalidOptionsError(`limit is 1 to ${maxPageLength}`)
      }
      await beforeRead(context, options)
      return await pages.take(async () => {
        await setImmediate()
        options.signal?.throwIfAborted()
        const found = context.machine.maps.list(name, { prefix, after, limit: limit + 1 })
        const page = found.slice(0, limit)
        checkPage(page)
        return {
          entries: page.map((stored) => entryOf<V>(stored.key, stored)),
          next: found.length > limit ? (page.at(-1)?.key ?? null) : null,
          revision: context.machine.history.revision
        }
      })
    },
    watch: (options = {}) => watchMap<V>(context, name, options)
  }
}

async function * allEntries<V> (
  context: PrimitiveContext,
  name: string,
  options: MapEntriesOptions
): AsyncGenerator<MapEntry<V>, void, undefined> {
  const { prefix = '', after, signal } = options
  await beforeRead(context, options)
  let entries = 0
  let length = 0
  for (const stored of context.machine.maps.walk(name, { prefix, after })) {
    if (entries >= turnEntries || length >= turnLength) {
      await setImmediate()
      entries = length = 0
    }
    signal?.throwIfAborted()
    entries++
    length += stored.valueJson.length
    yield entryOf<V>(stored.key, stored)
  }
}

function entryOf<V> (key: string, stored: StoredValue): MapEntry<V> {
  return { key, value: JSON.parse(stored.valueJson) as V, revision: stored.revision, ...shownEnd(stored.life) }
}

function checkPage (page: readonly StoredEntry[]): void {
  const bytes = page.reduce((sum, stored) => sum + stored.valueJson.length, 0)
  if (bytes > maxPageBytes) {
    throw new TooLargeError(`The entries asked for are larger than ${maxPageBytes} bytes together`)
  }
}

function mapConditionsOf (
  context: PrimitiveContext,
  options: MapWriteOptions
): ReturnType<typeof conditionsOf> & { ifRevision?: number } {
  const { ifRevision } = options
  if (ifRevision !== undefined && !isIndex(ifRevision)) {
    throw new InvalidOptionsError('ifRevision is a non-negative integer')
  }
  return { ...(ifRevision === undefined ? {} : { ifRevision }), ...conditionsOf(context, options) }
}

function refusedWrite (
  answer: { readonly kind: string, readonly key?: string, readonly revision?: number, readonly session?: number },
  options: MapWriteOptions
): Error {
  if (answer.kind === 'mismatch') {
    return Object.assign(new RevisionMismatchError(answer.key, answer.revision), { revision: answer.revision })
  }
  if (answer.kind === 'fenced') return new FencedError(options.fence)
  if (answer.kind === 'session-gone') return new SessionLostError(answer.session)
  throw new TypeError(`unexpected answer to a write: ${answer.kind}`)
}
