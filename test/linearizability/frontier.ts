/** What is still to be looked at: first what has come furthest, then what it cost least, then what came last. */
export class Frontier<Item> {
  /** By progress, then by cost. */
  readonly #items: Item[][][] = []

  /** `progress` and `cost` are small whole numbers. */
  add (item: Item, progress: number, cost: number): void {
    while (this.#items.length <= progress) this.#items.push([])
    const level = this.#items[progress] ?? []
    while (level.length <= cost) level.push([])
    level[cost]?.push(item)
  }

  /** Takes the next one out; null when there is none. */
  take (): Item | null {
    for (let level = this.#items.at(-1); level !== undefined; level = this.#items.at(-1)) {
      const cheapest = level.find((items) => items.length > 0)
      const item = cheapest?.pop()
      if (item !== undefined) return item
      this.#items.pop()
    }
    return null
  }
}
