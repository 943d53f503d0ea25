const firstCapacity = 16

/**
 * Items by numbers that follow one another. The window reaches from the lowest item that is held to behind the highest
 * number so far; it is as large as the ring behind it must be, which grows and never shrinks.
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
  /** One more than the highest number so far; 1 at first. */
  get next (): number { return this.#next }

  /** Adds an item under the next number, and returns that. */
  add (item: Item): number {
    const sequence = this.#next
    this.set(sequence, item)
    return sequence
  }

  /** Puts an item under a number of its own, wherever that lies, in the place of one that is there. */
  set (sequence: number, item: Item): void {
    const lowest = this.#size === 0 ? sequence : Math.min(this.#lowest, sequence)
    const next = Math.max(this.#next, sequence + 1)
    if (next - lowest > this.#ring.length) this.#grow(next - lowest)
    this.#lowest = lowest
    this.#next = next
    const at = this.#at(sequence)
    if (this.#ring[at] === undefined) this.#size++
    this.#ring[at] = item
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

  /**
   * The items with their numbers, lowest first. One that is deleted before its turn does not come; one that is added
   * may.
   */
  * entries (): Generator<readonly [sequence: number, item: Item], void, undefined> {
    for (let sequence = this.#lowest; sequence < this.#next; sequence++) {
      const item = this.get(sequence)
      if (item !== undefined) yield [sequence, item]
    }
  }

  /** The items, lowest number first, as {@link SequenceWindow.entries} gives them. */
  * [Symbol.iterator] (): Generator<Item, void, undefined> {
    for (const [, item] of this.entries()) yield item
  }

  #at (sequence: number): number {
    return sequence % this.#ring.length
  }

  #grow (width: number): void {
    const held = this.#ring
    let capacity = held.length
    while (capacity < width) capacity *= 2
    this.#ring = new Array<undefined>(capacity).fill(undefined)
    for (let sequence = this.#lowest; sequence < this.#next; sequence++) {
      this.#ring[this.#at(sequence)] = held[sequence % held.length]
    }
  }
}
