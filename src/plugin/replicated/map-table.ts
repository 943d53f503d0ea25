import type { ApplyContext } from '../../raft/index.ts'
import type { MapAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { MapDeleteCommand, MapSetCommand } from './command.ts'
import { limits } from './limits.ts'
import type { MapChange } from './map-history.ts'
import type { SnapshotPart } from './snapshot-records.ts'
import { fieldsOf, malformed, textOf } from './snapshot-records.ts'
import { SortedKeys } from './sorted-keys.ts'
import { byteLength, isIndex, isKey, isMapName } from './validate.ts'

/**
 * One key of a map. The value is kept as JSON text: readers parse their own copy and can never change replicated state,
 * and a member called `__proto__` stays text.
 */
export interface StoredValue {
  readonly valueJson: string
  /** Log index of the write. */
  readonly revision: number
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
  #maps = new Map<string, NamedMap>()
  #keys = 0
  #bytes = 0

  /** `changed` is called within a command for what it has changed; it must not throw. */
  constructor (bounds: MapTableBounds = limits, changed: (change: MapChange) => void = () => {}) {
    this.#changed = changed
    this.#bounds = bounds
  }

  /** Writes a key. */
  set (command: MapSetCommand, context: ApplyContext): MapAnswer {
    const { map, key, ifRevision } = command
    const current = this.get(map, key)
    if (ifRevision !== undefined && ifRevision !== (current?.revision ?? 0)) {
      return { kind: 'mismatch', key, revision: current?.revision ?? 0 }
    }
    const valueJson = JSON.stringify(command.value)
    if (byteLength(valueJson) > limits.maxValueBytes) {
      return refuse('RAFT_TOO_LARGE', `The value is larger than ${limits.maxValueBytes} bytes`)
    }
    const bytes = this.#bytes + sizeOf(key, valueJson) - (current === undefined ? 0 : sizeOf(key, current.valueJson))
    if (bytes > this.#bounds.maxTotalBytes || (current === undefined && this.#keys === this.#bounds.maxKeys)) {
      return refuse('RAFT_TOO_LARGE', 'The replicated maps are full')
    }
    if (this.#maps.size >= this.#bounds.maxMaps && !this.#maps.has(map)) {
      return refuse('RAFT_TOO_LARGE', `There are ${this.#maps.size} maps already`)
    }
    this.#bytes = bytes
    // Of two equal keys the map keeps the first one; a record that held the second would keep both in memory.
    this.#put(map, { key: current?.key ?? key, valueJson, revision: context.index }, current === undefined)
    this.#changed({ revision: context.index, events: [{ map, key, valueJson }] })
    return { kind: 'written', key, revision: context.index }
  }

  /** Removes a key. */
  delete (command: MapDeleteCommand, context: ApplyContext): MapAnswer {
    const { map, key, ifRevision } = command
    const named = this.#maps.get(map)
    const current = named?.values.get(key)
    if (ifRevision !== undefined && ifRevision !== (current?.revision ?? 0)) {
      return { kind: 'mismatch', key, revision: current?.revision ?? 0 }
    }
    if (named !== undefined && current !== undefined) {
      named.values.delete(key)
      named.sortedKeys.delete(key)
      if (named.values.size === 0) this.#maps.delete(map)
      this.#keys--
      this.#bytes -= sizeOf(key, current.valueJson)
      this.#changed({ revision: context.index, events: [{ map, key, valueJson: null }] })
    }
    return { kind: 'deleted', key, revision: context.index, existed: current !== undefined }
  }

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

  /** Size of all keys and values in bytes. */
  get bytes (): number { return this.#bytes }

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
    }
  }

  #readEntry (text: string): void {
    const headLength = text.indexOf('\n')
    const [map, key, revision, ...more] = fieldsOf(text.slice(0, Math.max(0, headLength)), 'maps')
    const valueJson = text.slice(headLength + 1)
    if (!isMapName(map) || !isKey(key) || !isIndex(revision) || more.length > 0 || !isJson(valueJson)) {
      throw malformed('maps')
    }
    const entry: StoredEntry = { key: key as string, valueJson, revision: revision as number }
    if (this.get(map as string, entry.key) !== undefined) throw malformed('maps')
    this.#put(map as string, entry, true)
    this.#bytes += sizeOf(entry.key, valueJson)
    if (this.#keys > this.#bounds.maxKeys || this.#bytes > this.#bounds.maxTotalBytes) throw malformed('maps')
  }

  #put (map: string, entry: StoredEntry, isNew: boolean): void {
    let named = this.#maps.get(map)
    if (named === undefined) {
      named = { values: new Map(), sortedKeys: new SortedKeys() }
      this.#maps.set(map, named)
    }
    named.values.set(entry.key, entry)
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
    for (const { key, revision, valueJson } of entries) {
      yield Buffer.from(`${JSON.stringify([name, key, revision])}\n${valueJson}`, 'utf8')
    }
  }
}

function isJson (text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function sizeOf (key: string, valueJson: string): number {
  return byteLength(key) + byteLength(valueJson)
}

/** Whether a key stands before a range. */
function isBefore ({ prefix, after }: KeyRange): (key: string) => boolean {
  return (key) => key < prefix || (after !== undefined && key <= after)
}
