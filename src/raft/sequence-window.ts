const firstCapacity = 64

/**
 * Items by numbers that are given out one after the other and never again. The window reaches from the lowest item that
 * is held to the next number; it is as large as the ring behind it must be, which grows and never shrinks.
 *
 * A Map would do the same, but one that is added to and deleted from for ever moves to a new table again and again, and
 * V8 lets a table that has grown old keep its successor, with all that it held at the moment, out of the reach of its
 * collector of young objects. Whatever had waited would then fill the heap until a full collection.
 */
export class SequenceWindow<Item extends object> {
  #ring: Array<Item | undefined> = new Array<undefined>(firstCapacity).fill(undefined)
  #lowest = 1
  #next = 1
  #size = 0

  get size (): number { return this.#size }
  /** The lowest number that is held, or {@link SequenceWindow.next} when none is. */
  get lowest (): number { return this.#lowest }
  /** The number that the next item gets; the first one is 1. */
  get next (): number { return this.#next }

  /** Adds an item, and returns its number. */
  add (item: Item): number {
    if (this.#next - this.#lowest === this.#ring.length) this.#grow()
    const sequence = this.#next++
    this.#ring[this.#at(sequence)] = item
    this.#size++
    return sequence
  }

  get (sequence: number): Item | undefined {
    return sequence >= this.#lowest && sequence < this.#next ? this.#ring[this.#at(sequence)] : undefined
  }

  delete (sequence: number): void {
    if (this.get(sequence) === undefined) return
    this.#ring[this.#at(sequence)] = undefined
    this.#size--
    while (this.#lowest < this.#next && this.#ring[this.#at(this.#lowest)] === undefined) this.#lowest++
  }

  /** Lets go of all items. Their numbers are not given out again. */
  clear (): void {
    this.#ring.fill(undefined)
    this.#lowest = this.#next
    this.#size = 0
  }

  /** The items, lowest number first. One that is deleted before its turn does not come; one that is added may. */
  * [Symbol.iterator] (): Generator<Item, void, undefined> {
    for (let sequence = this.#lowest; sequence < this.#next; sequence++) {
      const item = this.get(sequence)
      if (item !== undefined) yield item
    }
  }

  #at (sequence: number): number {
    return sequence % this.#ring.length
  }

  #grow (): void {
    const held = this.#ring
    this.#ring = new Array<undefined>(held.length * 2).fill(undefined)
    for (let sequence = this.#lowest; sequence < this.#next; sequence++) this.#ring[this.#at(sequence)] = held[sequence % held.length]
  }
}
