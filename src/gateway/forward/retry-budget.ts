/** Requests that may be sent again in doubt, as a share of all requests. */
const share = 0.2

/** Of which so many at once, so that all that a lost connection cuts off can be. */
const most = 512

/**
 * Bounds how many requests that may have been executed are sent again. One node that fails costs each of them a second
 * attempt; a node that fails again and again under what it is sent must not get it twice.
 */
export class RetryBudget {
  #left = most

  /** A request has come. */
  add (): void {
    if (this.#left < most) this.#left += share
  }

  get isLeft (): boolean {
    return this.#left >= 1
  }

  /** A request is sent again. */
  take (): void {
    this.#left--
  }
}
