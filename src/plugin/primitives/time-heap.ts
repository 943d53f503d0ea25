/** Something that is due at a time. */
interface Timed {
  readonly atMs: number
  /** Its place in the heap; the heap's own. */
  place: number
}

/**
 * Items by the time at which they are due (a binary heap): the first one is at hand, and to add or remove one costs the
 * logarithm of their number.
 */
export class TimeHeap<Item extends Timed> {
  #items: Item[] = []

  /** The item that is due first. */
  get first (): Item | undefined { return this.#items[0] }

  add (item: Item): void {
    this.#rise(item, this.#items.length)
  }

  /** Takes an item out that is in. */
  remove (item: Item): void {
    const last = this.#items.pop()
    if (last === undefined || last === item) return
    // It stands in for the one that goes, and may be due before or behind what is around it there.
    this.#rise(last, item.place)
    this.#sink(last)
  }

  clear (): void {
    this.#items = []
  }

  #rise (item: Item, from: number): void {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >>> 1
      const above = this.#items[parent]
      if (above === undefined || above.atMs <= item.atMs) break
      this.#put(above, place)
      place = parent
    }
    this.#put(item, place)
  }

  #sink (item: Item): void {
    let { place } = item
    for (;;) {
      const next = this.#firstBelow(place)
      if (next === undefined || next.atMs >= item.atMs) break
      const vacated = next.place
      this.#put(next, place)
      place = vacated
    }
    this.#put(item, place)
  }

  #firstBelow (place: number): Item | undefined {
    const one = this.#items[2 * place + 1]
    const other = this.#items[2 * place + 2]
    return one === undefined || other === undefined || one.atMs <= other.atMs ? one : other
  }

  #put (item: Item, place: number): void {
    this.#items[place] = item
    item.place = place
  }
}
