const firstCapacity = 16

/**
 * Items by consecutive numbers. The window reaches from the lowest number in use to the highest one so far. Its ring
 * grows with it and never shrinks.
 *
 * A Map with steady additions and deletions moves to a new table again and again. In V8 an old table keeps its
 * successor alive, and with it all items of that moment, until a full collection: the heap would fill with them.
 */
export class SequenceWindow<Item extends object> {
  #ring: Array<Item | undefined> = new Array<undefined>(firstCapacity).fill(undefined)
  #lowest = 1
  #next = 1
  #size = 0

  get size (): number { return this.#size }
  /** The lowest number in use, or {@link SequenceWindow.next} when the window is empty. */
  get lowest (): number { return this.#lowest }
  /** One more than the highest number so far; 1 at first. */
  get next (): number { return this.#next }

  /** Adds an item under the next number, and returns that. */
  add (item: Item): number {
    const sequence = this.#next
    this.set(sequence, item)
    return sequence
  }

  /** Puts an item under this number, anywhere, and replaces the one that has it. */
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

  /** Drops all items. Their numbers are not used again. */
  clear (): void {
    this.#ring.fill(undefined)
    this.#lowest = this.#next
    this.#size = 0
  }

  /**
   * The items with their numbers, lowest first. Items deleted meanwhile are left out; items added meanwhile may come.
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
