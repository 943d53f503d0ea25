/**
 * Ends what takes too long: between one and two times `withinMs` after it began. There is one timer for all, and one
 * that is done in time costs no more than its place in a set: this happens with every request of a peer or client.
 */
export class Overdue<Item> {
  readonly #withinMs: number
  readonly #end: (item: Item) => void
  #young = new Set<Item>()
  #old = new Set<Item>()
  #timer: NodeJS.Timeout | null = null

  /** `end` is called with each item that takes too long, once. */
  constructor (withinMs: number, end: (item: Item) => void) {
    this.#withinMs = withinMs
    this.#end = end
  }

  /** It begins, and has to be done in time. */
  begin (item: Item): void {
    this.#young.add(item)
    this.#timer ??= this.#start()
  }

  /** It is done. */
  done (item: Item): void {
    if (!this.#young.delete(item)) this.#old.delete(item)
  }

  #start (): NodeJS.Timeout {
    return setTimeout(() => { this.#sweep() }, this.#withinMs).unref()
  }

  #sweep (): void {
    const late = this.#old
    this.#old = this.#young
    this.#young = new Set()
    this.#timer = this.#old.size === 0 ? null : this.#start()
    for (const item of late) this.#end(item)
  }
}
