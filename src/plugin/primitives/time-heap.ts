/** Something that is due at a time. */
interface Timed {
  readonly atMs: number
}

interface Placed<Item> {
  readonly item: Item
  /** Its place in the heap. */
  place: number
}

/**
 * Items by the time at which they are due (a binary heap), one for each key: the first one is at hand, and to add or
 * remove one costs the logarithm of their number.
 */
export class TimeHeap<Key, Item extends Timed> {
  readonly #keyOf: (item: Item) => Key
  readonly #byKey = new Map<Key, Placed<Item>>()
  #heap: Array<Placed<Item>> = []

  constructor (keyOf: (item: Item) => Key) {
    this.#keyOf = keyOf
  }

  /** The item that is due first. */
  get first (): Item | undefined { return this.#heap[0]?.item }

  /** Adds an item, in the place of the one with the same key. */
  put (item: Item): void {
    const key = this.#keyOf(item)
    this.remove(key)
    const placed = { item, place: 0 }
    this.#byKey.set(key, placed)
    this.#rise(placed, this.#heap.length)
  }

  /** Takes the item with this key out; nothing where there is none. */
  remove (key: Key): void {
    const gone = this.#byKey.get(key)
    if (gone === undefined) return
    this.#byKey.delete(key)
    const last = this.#heap.pop()
    if (last === undefined || last === gone) return
    // It stands in for the one that goes, and may be due before or behind what is around it there.
    this.#rise(last, gone.place)
    this.#sink(last)
  }

  clear (): void {
    this.#byKey.clear()
    this.#heap = []
  }

  #rise (placed: Placed<Item>, from: number): void {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >>> 1
      const above = this.#heap[parent]
      if (above === undefined || above.item.atMs <= placed.item.atMs) break
      this.#set(above, place)
      place = parent
    }
    this.#set(placed, place)
  }

  #sink (placed: Placed<Item>): void {
    let { place } = placed
    for (;;) {
      const next = this.#firstBelow(place)
      if (next === undefined || next.item.atMs >= placed.item.atMs) break
      const vacated = next.place
      this.#set(next, place)
      place = vacated
    }
    this.#set(placed, place)
  }

  #firstBelow (place: number): Placed<Item> | undefined {
    const one = this.#heap[2 * place + 1]
    const other = this.#heap[2 * place + 2]
    return one === undefined || other === undefined || one.item.atMs <= other.item.atMs ? one : other
  }

  #set (placed: Placed<Item>, place: number): void {
    this.#heap[place] = placed
    placed.place = place
  }
}
