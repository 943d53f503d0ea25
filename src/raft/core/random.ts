/**
 * A small deterministic generator (a 32-bit counter through a mixing function). It spreads election timeouts and
 * nothing else; the seed comes from outside so that a run can be repeated.
 */
export class Random {
  #state: number

  constructor (seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number in [low, high], both included. */
  between (low: number, high: number): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    mixed = (mixed ^ (mixed >>> 15)) >>> 0
    return low + (mixed % (high - low + 1))
  }
}
