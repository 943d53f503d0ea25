/** Ends one thing that takes too long. */
type End = () => void

/**
 * Ends what takes too long: between one and two times `withinMs` after it began. There is one timer for all, and one
 * that is done in time costs no more than its place in a set: this happens with every request of a peer.
 */
export class Overdue {
  readonly #withinMs: number
  #young = new Set<End>()
  #old = new Set<End>()
  #timer: NodeJS.Timeout | null = null

  constructor (withinMs: number) {
    this.#withinMs = withinMs
  }

  /** Something begins: `end` is called when it takes too long, once, unless it is done before. */
  begin (end: End): void {
    this.#young.add(end)
    this.#timer ??= this.#start()
  }

  /** It is done. */
  done (end: End): void {
    if (!this.#young.delete(end)) this.#old.delete(end)
  }

  #start (): NodeJS.Timeout {
    return setTimeout(() => { this.#sweep() }, this.#withinMs).unref()
  }

  #sweep (): void {
    const late = this.#old
    this.#old = this.#young
    this.#young = new Set()
    this.#timer = this.#old.size === 0 ? null : this.#start()
    for (const end of late) end()
  }
}
