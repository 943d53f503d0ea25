/** Bounds of {@link Shares}. */
interface ShareBounds {
  /** Most that all holders together may have. */
  readonly total: number
  /** Most that one holder may have, so that the others have some left. */
  readonly each: number
}

/**
 * Who has how much of something that is bounded: memory for bodies, or places for requests. A holder is forgotten when
 * it has nothing, so that there are never more of them than there is to have.
 */
export class Shares {
  readonly #bounds: ShareBounds
  readonly #byHolder = new Map<string, number>()
  #taken = 0

  constructor (bounds: ShareBounds) {
    this.#bounds = bounds
  }

  /** What all holders have together. */
  get taken (): number { return this.#taken }

  /** Whether there is room for so much more; if so it is taken, and has to be given back. */
  take (holder: string, amount: number): boolean {
    const { total, each } = this.#bounds
    const held = this.#byHolder.get(holder) ?? 0
    if (this.#taken + amount > total || held + amount > each) return false
    this.#taken += amount
    this.#byHolder.set(holder, held + amount)
    return true
  }

  /** Gives back what was taken. */
  give (holder: string, amount: number): void {
    const left = (this.#byHolder.get(holder) ?? 0) - amount
    this.#taken -= amount
    if (left > 0) this.#byHolder.set(holder, left)
    else this.#byHolder.delete(holder)
  }
}
