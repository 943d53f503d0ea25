import type { ApplyContext } from '../../raft/index.ts'
import type { MapAnswer } from './answer.ts'
import { refuse } from './answer.ts'
import type { MapDeleteCommand, MapSetCommand } from './command.ts'
import { limits } from './limits.ts'
import { byteLength } from './validate.ts'

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

/** Which keys to list: in key order (by UTF-16 code units), behind `after`, at most `limit`. */
export interface ListRange {
  readonly prefix: string
  readonly after?: string
  readonly limit: number
}

interface NamedMap {
  readonly values: Map<string, StoredValue>
  /** The keys in order, or null when they have to be sorted again. */
  sortedKeys: readonly string[] | null
}

/** How much all maps hold together; the same on every node. */
export interface MapTableBounds {
  readonly maxKeys: number
  /** Size of all keys and values, in bytes. */
  readonly maxTotalBytes: number
}

/** The named maps of the cluster. Pure: log index and commands decide everything. */
export class MapTable {
  readonly #bounds: MapTableBounds
  readonly #maps = new Map<string, NamedMap>()
  #keys = 0
  #bytes = 0

  constructor (bounds: MapTableBounds = limits) {
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
    this.#bytes = bytes
    this.#put(map, key, { valueJson, revision: context.index }, current === undefined)
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
      named.sortedKeys = null
      if (named.values.size === 0) this.#maps.delete(map)
      this.#keys--
      this.#bytes -= sizeOf(key, current.valueJson)
    }
    return { kind: 'deleted', key, revision: context.index, existed: current !== undefined }
  }

  /** The value of a key as applied on this node. */
  get (map: string, key: string): StoredValue | undefined {
    return this.#maps.get(map)?.values.get(key)
  }

  /** Keys and values in key order. */
  list (map: string, range: ListRange): StoredEntry[] {
    const named = this.#maps.get(map)
    if (named === undefined) return []
    named.sortedKeys ??= [...named.values.keys()].sort(byCodeUnits)
    const entries: StoredEntry[] = []
    for (let at = firstIndex(named.sortedKeys, range); at < named.sortedKeys.length && entries.length < range.limit; at++) {
      const key = named.sortedKeys[at] ?? ''
      if (!key.startsWith(range.prefix)) break
      const stored = named.values.get(key)
      if (stored !== undefined) entries.push({ key, ...stored })
    }
    return entries
  }

  /** Number of keys in all maps. */
  get keys (): number { return this.#keys }

  /** Size of all keys and values in bytes. */
  get bytes (): number { return this.#bytes }

  /** The whole content, as JSON. */
  toJSON (): unknown {
    return [...this.#maps].map(([name, named]) => ({ name, values: [...named.values].map(([key, stored]) => ({ key, ...stored })) }))
  }

  #put (map: string, key: string, value: StoredValue, isNew: boolean): void {
    let named = this.#maps.get(map)
    if (named === undefined) {
      named = { values: new Map(), sortedKeys: null }
      this.#maps.set(map, named)
    }
    named.values.set(key, value)
    if (!isNew) return
    named.sortedKeys = null
    this.#keys++
  }
}

const sizeOf = (key: string, valueJson: string): number => byteLength(key) + byteLength(valueJson)

const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Where the range starts, by binary search. */
function firstIndex (keys: readonly string[], range: ListRange): number {
  const after = range.after
  const isBefore = (key: string): boolean => key < range.prefix || (after !== undefined && key <= after)
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(keys[middle] ?? '')) low = middle + 1
    else high = middle
  }
  return low
}
