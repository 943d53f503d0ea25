/** How far a counter may be behind the highest one seen, and still be accepted. A multiple of 32. */
const width = 1_024

/**
 * Accepts each counter of a session once. Counters start at 1 and may arrive out of order, as requests on several
 * connections do; one that lies too far back is refused (RFC 4303, section 3.4.3).
 */
export class ReplayWindow {
  /** One bit a counter, as a ring. */
  readonly #seen = new Uint32Array(width / 32)
  #highest = 0

  /** Whether this counter is new; it is not any more from then on. */
  accept (counter: number): boolean {
    if (!Number.isSafeInteger(counter) || counter < 1 || counter <= this.#highest - width) return false
    if (counter > this.#highest) this.#advance(counter)
    const at = counter % width
    const word = at >>> 5
    const bit = 1 << (at & 31)
    const bits = this.#seen[word] ?? 0
    if ((bits & bit) !== 0) return false
    this.#seen[word] = bits | bit
    return true
  }

  #advance (counter: number): void {
    if (counter - this.#highest >= width) this.#seen.fill(0)
    else {
      for (let passed = this.#highest + 1; passed <= counter; passed++) {
        const at = passed % width
        this.#seen[at >>> 5] = (this.#seen[at >>> 5] ?? 0) & ~(1 << (at & 31))
      }
    }
    this.#highest = counter
  }
}
