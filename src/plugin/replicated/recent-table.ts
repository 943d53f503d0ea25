import type { ApplyContext } from '../../raft/index.ts'

/** Where in log time a thing happens. */
type LogMoment = Pick<ApplyContext, 'timeMs'>

/** Bounds of a {@link RecentTable}. */
interface RecentTableBounds {
  readonly maxKeys: number
  /** How long a key is kept, in milliseconds of log time. */
  readonly windowMs: number
}

/** One thing remembered. */
export interface RecentEntry<V> {
  readonly key: string
  readonly value: V
  /** Log time at which it was remembered. */
  readonly timeMs: number
}

/**
 * Remembers what happened lately, by key: at most `maxKeys`, the oldest going first, and none older than the window.
 * Log order and log time alone decide what is forgotten, so every node forgets the same at the same entry.
 */
export class RecentTable<V> {
  readonly #bounds: RecentTableBounds
  // Insertion order is log order, and log time never falls along the log: the first key is always the oldest.
  readonly #records = new Map<string, { readonly value: V, readonly timeMs: number }>()

  constructor (bounds: RecentTableBounds) {
    this.#bounds = bounds
  }

  /** The value remembered for the key at this point of the log. */
  get (key: string, context: LogMoment): V | undefined {
    this.#forget(context)
    return this.#records.get(key)?.value
  }

  /** Remembers a value. A key that is remembered already keeps its first value. */
  add (key: string, value: V, context: LogMoment): void {
    this.#forget(context)
    if (this.#records.has(key)) return
    this.#records.set(key, { value, timeMs: context.timeMs })
    if (this.#records.size > this.#bounds.maxKeys) this.#dropOldest()
  }

  get size (): number { return this.#records.size }

  /** The whole content in log order, as JSON. */
  toJSON (): unknown {
    return [...this.#records].map(([key, record]) => ({ key, ...record }))
  }

  /** The remembered records, oldest first. Records never change. */
  entries (): readonly RecentEntry<V>[] {
    return Array.from(this.#records, ([key, { value, timeMs }]) => ({ key, value, timeMs }))
  }

  /** A table that remembers these, in this order; null when no table can hold them so. */
  static from<V> (entries: Iterable<RecentEntry<V>>, bounds: RecentTableBounds): RecentTable<V> | null {
    const table = new RecentTable<V>(bounds)
    let lastMs = 0
    for (const { key, value, timeMs } of entries) {
      if (timeMs < lastMs || table.#records.has(key) || table.size >= bounds.maxKeys) return null
      table.#records.set(key, { value, timeMs })
      lastMs = timeMs
    }
    return table
  }

  #forget (context: LogMoment): void {
    for (const record of this.#records.values()) {
      if (record.timeMs > context.timeMs - this.#bounds.windowMs) return
      this.#dropOldest()
    }
  }

  #dropOldest (): void {
    const oldest = this.#records.keys().next()
    if (oldest.done !== true) this.#records.delete(oldest.value)
  }
}
