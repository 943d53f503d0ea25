/** Requests that may be sent again in doubt, as a share of all requests. */
const share = 0.2

/**
 * Bounds how many requests that may have been executed are sent again. One node that fails costs each of them a second
 * attempt; a node that fails again and again under what it is sent must not get it twice.
 */
export class RetryBudget {
  readonly #most: number
  #left: number

  /** `most`: how many at once. As many as are under way, and all that the end of one node cuts off can be. */
  constructor (most: number) {
    this.#most = most
    this.#left = most
  }

  /** A request has come. */
  add (): void {
    if (this.#left < this.#most) this.#left += share
  }

  get isLeft (): boolean {
    return this.#left >= 1
  }

  /** A request is sent again. */
  take (): void {
    this.#left--
  }
}
