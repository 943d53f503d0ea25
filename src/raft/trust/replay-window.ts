/** Counters of a session of peers: there are few requests at once. */
const defaultWidth = 1_024

/**
 * Accepts each counter of a sender once. Counters start at 1 and may arrive out of order, as requests on several
 * connections do; one that lies too far back is refused (RFC 4303, section 3.4.3).
 */
export class ReplayWindow {
  /** How far a counter may be behind the highest one seen, and still be accepted. */
  readonly #width: number
  /** One bit a counter, as a ring. */
  readonly #seen: Uint32Array
  #highest = 0

  /** `width`: a multiple of 32. */
  constructor (width: number = defaultWidth) {
    this.#width = width
    this.#seen = new Uint32Array(width / 32)
  }

  /** Whether this counter is new; it is not any more from then on. */
  accept (counter: number): boolean {
    if (!Number.isSafeInteger(counter) || counter < 1 || counter <= this.#highest - this.#width) return false
    if (counter > this.#highest) this.#advance(counter)
    const at = counter % this.#width
    const word = at >>> 5
    const bit = 1 << (at & 31)
    const bits = this.#seen[word] ?? 0
    if ((bits & bit) !== 0) return false
    this.#seen[word] = bits | bit
    return true
  }

  #advance (counter: number): void {
    if (counter - this.#highest >= this.#width) this.#seen.fill(0)
    else {
      for (let passed = this.#highest + 1; passed <= counter; passed++) {
        const at = passed % this.#width
        this.#seen[at >>> 5] = (this.#seen[at >>> 5] ?? 0) & ~(1 << (at & 31))
      }
    }
    this.#highest = counter
  }
}
