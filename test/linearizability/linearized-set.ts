/**
 * A set of operations numbered by their calls, as a bit set that leaves out the prefix it wholly contains: along a
 * history it stays as small as the number of operations that overlap. Immutable.
 */
export class LinearizedSet {
  static readonly empty = new LinearizedSet(0, new Uint32Array(0))

  /** The first number that is not in the set. */
  readonly low: number
  /** Bits from the word that holds `low` on; no trailing zero word. */
  readonly #words: Uint32Array

  private constructor (low: number, words: Uint32Array) {
    this.low = low
    this.#words = words
  }

  has (number: number): boolean {
    if (number < this.low) return true
    return (((this.#words[(number >>> 5) - (this.low >>> 5)] ?? 0) >>> (number & 31)) & 1) === 1
  }

  /** The set with one more number. */
  with (number: number): LinearizedSet {
    const base = this.low >>> 5
    const words = new Uint32Array(Math.max(this.#words.length, (number >>> 5) - base + 1))
    words.set(this.#words)
    const word = (number >>> 5) - base
    words[word] = (words[word] ?? 0) | (1 << (number & 31))
    let low = this.low
    while ((((words[(low >>> 5) - base] ?? 0) >>> (low & 31)) & 1) === 1) low++
    return new LinearizedSet(low, words.slice((low >>> 5) - base))
  }

  /** The same text for the same set, and for no other. */
  identify (): string {
    let text = `${this.low}:`
    for (const word of this.#words) text += String.fromCharCode(word & 0xffff, word >>> 16)
    return text
  }
}
