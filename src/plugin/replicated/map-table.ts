import type { ApplyContext } from '../../raft/index.ts'
import type { KeysExpiredAnswer, MapAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { MapDeleteCommand, MapExpireCommand, MapSetCommand, MapTransactCommand } from './command.ts'
import { isJson } from './json-value.ts'
import type { KeyEnd, KeyLife, KeyLifeParts } from './key-lives.ts'
import { KeyLives } from './key-lives.ts'
import { limits } from './limits.ts'
import type { KeyEvent, MapChange } from './map-history.ts'
import type { MapWrite } from './map-transaction.ts'
import { holds } from './map-transaction.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, textOf } from './snapshot-records.ts'
import { SortedKeys } from './sorted-keys.ts'
import { byteLength, isIndex, isKey, isKeyTtl, isLogNumber, isMapName, isToken } from './validate.ts'

/**
 * One key of a map. The value is kept as JSON text: readers parse their own copy and can never change replicated state,
 * and a member called `__proto__` stays text.
 */
export interface StoredValue {
  readonly valueJson: string
  /** Log index of the write. */
  readonly revision: number
  /** Left out for a key that stays until it is removed. */
  readonly life?: KeyLife
}

/** One key with its value. */
export interface StoredEntry extends StoredValue {
  readonly key: string
}

/** Which keys, in key order (by UTF-16 code units): those that start with `prefix` and come behind `after`. */
interface KeyRange {
  readonly prefix: string
  readonly after?: string | undefined
}

/** What becomes of one key, and how it ends by itself. */
type KeyWrite = KeyEvent & { readonly end?: KeyEnd }

/** What {@link MapTable} asks and tells, within a command: nothing of it may throw. */
interface MapTableParts {
  /** Called with what a command has changed. */
  readonly changed?: (change: MapChange) => void
  readonly lives?: KeyLifeParts
}

interface NamedMap {
  /** Records that never change: a write puts another one in the place. */
  readonly values: Map<string, StoredEntry>
  readonly sortedKeys: SortedKeys
}

/** How much all maps hold together; the same on every node. */
interface MapTableBounds {
  readonly maxMaps: number
  readonly maxKeys: number
  /** Size of all keys and values, in bytes. */
  readonly maxTotalBytes: number
}

/** The named maps of the cluster. Pure: log index and commands decide everything. */
export class MapTable implements SnapshotPart {
  readonly #changed: (change: MapChange) => void
  readonly #bounds: MapTableBounds
  readonly #lives: KeyLives
  #maps = new Map<string, NamedMap>()
  #keys = 0
  #bytes = 0

  constructor (bounds: MapTableBounds = limits, { changed = () => {}, lives = {} }: MapTableParts = {}) {
    this.#changed = changed
    this.#bounds = bounds
    this.#lives = new KeyLives(lives)
  }

  /** Writes a key. */
  set (command: MapSetCommand, context: ApplyContext): MapAnswer {
    const mismatch = this.#mismatchOf(command)
    if (mismatch !== null) return mismatch
    const refused = this.#write([writeOf({ ...command, kind: 'set' })], context)
    return refused ?? { kind: 'written', key: command.key, revision: context.index }
  }

  /** Removes a key. */
  delete (command: MapDeleteCommand, context: ApplyContext): MapAnswer {
    const { map, key } = command
    const mismatch = this.#mismatchOf(command)
    if (mismatch !== null) return mismatch
    const existed = this.get(map, key) !== undefined
    this.#write([{ map, key, kind: 'deleted', valueJson: null }], context)
    return { kind: 'deleted', key, revision: context.index, existed }
  }

  /** Makes the writes of one branch of a transaction: all of them or none. */
  transact (command: MapTransactCommand, context: ApplyContext): MapAnswer {
    const compared = command.compare.map((comparison) => this.get(comparison.map, comparison.key))
    const succeeded = command.compare.every((comparison, at) => holds(comparison, compared[at]))
    const refused = this.#write((succeeded ? command.then : command.else).map(writeOf), context)
    const revisions = compared.map((current) => current?.revision ?? 0)
    return refused ?? { kind: 'transacted', succeeded, revision: context.index, revisions }
  }

  /** Removes keys whose time to live is over, unless they were written since that was measured. */
  expire ({ keys }: MapExpireCommand, context: ApplyContext): KeysExpiredAnswer {
    const over = keys.filter(([map, key, revision]) => {
      const current = this.get(map, key)
      return current?.revision === revision && current.life !== undefined && current.life.ttlMs !== null
    })
    this.#apply(over.map(([map, key]) => ({ map, key, kind: 'expired', valueJson: null })), context)
    return { kind: 'keys-expired', keys: over.length }
  }

  /** Removes all keys of a session. */
  sessionEnded (session: number, context: ApplyContext): void {
    const owned = this.#lives.ofSession(session)
    this.#apply(owned.map(({ map, key }) => ({ map, key, kind: 'expired', valueJson: null })), context)
  }

  /** Lives of the keys that have a time to live. */
  lives (): IterableIterator<KeyLife> { return this.#lives.withTtl() }

  /** The value of a key as applied on this node. */
  get (map: string, key: string): StoredEntry | undefined {
    return this.#maps.get(map)?.values.get(key)
  }

  /**
   * Walks the keys of a range in key order, as slowly as the caller likes: those that there are at the first step,
   * each with the value that it has when it is reached. Keys that were removed by then are passed over.
   */
  * walk (map: string, range: KeyRange): Generator<StoredEntry, void, undefined> {
    const named = this.#maps.get(map)
    if (named === undefined) return
    for (const key of named.sortedKeys.snapshotFrom(isBefore(range))) {
      if (!key.startsWith(range.prefix)) return
      const stored = this.get(map, key)
      if (stored !== undefined) yield stored
    }
  }

  /** Keys and values of a range, at most `limit`, in key order. Costs what the page holds, however large the map is. */
  list (map: string, { limit, ...range }: KeyRange & { readonly limit: number }): StoredEntry[] {
    const entries: StoredEntry[] = []
    const named = this.#maps.get(map)
    if (named === undefined) return entries
    for (const key of named.sortedKeys.from(isBefore(range))) {
      const stored = named.values.get(key)
      if (stored === undefined || !key.startsWith(range.prefix) || entries.push(stored) >= limit) break
    }
    return entries
  }

  /** Number of keys in all maps. */
  get keys (): number { return this.#keys }

  /** Number of keys that have a time to live or belong to a session. */
  get expiringKeys (): number { return this.#lives.size }

  /** Size of all keys and values in bytes. */
  get bytes (): number { return this.#bytes }

  /** The oldest version of the records that can hold what there is now: 1 knows no keys that end by themselves. */
  get version (): number { return this.#lives.size === 0 ? 1 : 2 }

  /** The whole content, as JSON. */
  toJSON (): unknown {
    return [...this.#maps].map(([name, named]) => ({ name, values: [...named.values.values()] }))
  }

  /** One array for each map: that is all that the state machine waits for. */
  capture (): Iterable<Uint8Array> {
    return encodeRecords([...this.#maps].map(([name, { values }]) => ({ name, entries: [...values.values()] })))
  }

  async read (records: AsyncIterable<Uint8Array>): Promise<() => void> {
    const read = new MapTable(this.#bounds)
    for await (const record of records) read.#readEntry(textOf(record, 'maps'))
    return () => {
      this.#maps = read.#maps
      this.#keys = read.#keys
      this.#bytes = read.#bytes
      this.#lives.replaceBy(read.#lives)
    }
  }

  #readEntry (text: string): void {
    const headLength = text.indexOf('\n')
    const [map, key, revision, ...more] = fieldsOf(text.slice(0, Math.max(0, headLength)), 'maps')
    const valueJson = text.slice(headLength + 1)
    if (!isMapName(map) || !isKey(key) || !isIndex(revision) || !isJson(valueJson)) throw malformed('maps')
    const entry: StoredEntry = { key: key as string, valueJson, revision: revision as number }
    if (more.length > 0) Object.assign(entry, { life: readLife(map as string, entry, more) })
    if (this.get(map as string, entry.key) !== undefined) throw malformed('maps')
    this.#put(map as string, entry, true)
    this.#bytes += sizeOf(entry.key, valueJson)
    if (this.#keys > this.#bounds.maxKeys || this.#bytes > this.#bounds.maxTotalBytes) throw malformed('maps')
  }

  /** The answer when the key is not at the revision that the command names; null when it is, or none is named. */
  #mismatchOf ({ map, key, ifRevision }: MapSetCommand | MapDeleteCommand): MapAnswer | null {
    const revision = this.get(map, key)?.revision ?? 0
    return ifRevision === undefined || ifRevision === revision ? null : { kind: 'mismatch', key, revision }
  }

  /** Writes and removes keys, each once: all of them, or none when that cannot be. */
  #write (writes: readonly KeyWrite[], context: ApplyContext): MapAnswer | null {
    const refused = this.#refusalOf(writes) ?? this.#lifeRefusalOf(writes)
    if (refused === null) this.#apply(writes, context)
    return refused
  }

  #apply (writes: readonly KeyWrite[], context: ApplyContext): void {
    const { index: revision } = context
    const happened: KeyEvent[] = []
    for (const { end, ...event } of writes) {
      const { map, key, valueJson } = event
      const current = this.get(map, key)
      if (valueJson === null && current === undefined) continue
      happened.push(event)
      this.#bytes += sizeOf(key, valueJson) - (current === undefined ? 0 : sizeOf(key, current.valueJson))
      if (current?.life !== undefined) this.#lives.end(current.life)
      if (valueJson === null) {
        this.#remove(map, key)
        continue
      }
      // Of two equal keys the map keeps the first one; a record that held the second would keep both in memory.
      const entry = { key: current?.key ?? key, valueJson, revision }
      const life = end === undefined ? undefined : lifeOf(map, entry, end, context)
      this.#put(map, life === undefined ? entry : { ...entry, life }, current === undefined)
    }
    if (happened.length > 0) this.#changed({ revision, events: happened })
  }

  /** Why keys cannot end as these writes say; null when they can. */
  #lifeRefusalOf (writes: readonly KeyWrite[]): MapAnswer | null {
    const begins = writes.flatMap(({ end }) => end ?? [])
    if (begins.length === 0) return null
    return this.#lives.refusalOf(begins, writes.flatMap(({ map, key }) => this.get(map, key)?.life ?? []))
  }

  /** Why there is no room for these writes; null when there is. */
  #refusalOf (events: readonly KeyEvent[]): MapAnswer | null {
    let [bytes, keys] = [this.#bytes, this.#keys]
    const newMaps = new Set<string>()
    for (const { map, key, valueJson } of events) {
      if (valueJson !== null && byteLength(valueJson) > limits.maxValueBytes) {
        return refuse('RAFT_TOO_LARGE', `The value is larger than ${limits.maxValueBytes} bytes`)
      }
      const current = this.get(map, key)
      bytes += sizeOf(key, valueJson)
      if (current !== undefined) bytes -= sizeOf(key, current.valueJson)
      if (valueJson !== null && current === undefined) keys++
      if (valueJson === null && current !== undefined) keys--
      if (valueJson !== null && !this.#maps.has(map)) newMaps.add(map)
    }
    if (bytes > this.#bounds.maxTotalBytes || keys > this.#bounds.maxKeys) {
      return refuse('RAFT_TOO_LARGE', 'The replicated maps are full')
    }
    if (newMaps.size > 0 && this.#maps.size + newMaps.size > this.#bounds.maxMaps) {
      return refuse('RAFT_TOO_LARGE', `There are ${this.#maps.size} maps already`)
    }
    return null
  }

  #remove (map: string, key: string): void {
    const named = this.#maps.get(map)
    if (named === undefined) return
    named.values.delete(key)
    named.sortedKeys.delete(key)
    if (named.values.size === 0) this.#maps.delete(map)
    this.#keys--
  }

  #put (map: string, entry: StoredEntry, isNew: boolean): void {
    let named = this.#maps.get(map)
    if (named === undefined) {
      named = { values: new Map(), sortedKeys: new SortedKeys() }
      this.#maps.set(map, named)
    }
    named.values.set(entry.key, entry)
    if (entry.life !== undefined) this.#lives.begin(entry.life)
    if (!isNew) return
    named.sortedKeys.add(entry.key)
    this.#keys++
  }
}

/** The value stands behind the rest as the text it is: JSON holds no bare line feed. */
function * encodeRecords (
  maps: readonly { readonly name: string; readonly entries: readonly StoredEntry[] }[]
): Generator<Uint8Array, void, undefined> {
  for (const { name, entries } of maps) {
    for (const { key, revision, valueJson, life } of entries) {
      const end = life === undefined ? [] : [life.ttlMs, life.session, life.sinceMs]
      yield Buffer.from(`${JSON.stringify([name, key, revision, ...end])}\n${valueJson}`, 'utf8')
    }
  }
}

function readLife (map: string, { key, revision }: StoredEntry, fields: readonly unknown[]): KeyLife {
  const [ttlMs, session, sinceMs, ...more] = fields
  const hasOneEnd = ttlMs === null ? isToken(session) : isKeyTtl(ttlMs) && session === null
  if (!hasOneEnd || !isLogNumber(sinceMs) || more.length > 0) throw malformed('maps')
  return { map, key, revision, ttlMs, session, sinceMs } as KeyLife
}

function lifeOf (
  map: string,
  { key, revision }: StoredEntry,
  end: KeyEnd,
  { timeMs: sinceMs }: ApplyContext
): KeyLife {
  return { map, key, revision, ttlMs: end.ttlMs ?? null, session: end.session ?? null, sinceMs }
}

function writeOf (write: MapWrite): KeyWrite {
  const { map, key } = write
  if (write.kind === 'delete') return { map, key, kind: 'deleted', valueJson: null }
  const { value, ttlMs, session } = write
  const event = { map, key, kind: 'set', valueJson: JSON.stringify(value) } as const
  if (ttlMs !== undefined) return { ...event, end: { ttlMs } }
  return session === undefined ? event : { ...event, end: { session } }
}

/** Size of a key with its value, in bytes; nothing without one. */
function sizeOf (key: string, valueJson: string | null): number {
  return valueJson === null ? 0 : byteLength(key) + byteLength(valueJson)
}

/** Whether a key stands before a range. */
function isBefore ({ prefix, after }: KeyRange): (key: string) => boolean {
  return (key) => key < prefix || (after !== undefined && key <= after)
}
