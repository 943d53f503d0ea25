/** The only source of chance in a simulated run (sfc32): the same seed gives the same run, in any process. */
export class SimRandom {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** Streams of other names, and of other positions, are independent of each other. */
  constructor (seed: number, stream = '', position = 0) {
    this.#a = 0x9e3779b9 ^ seed
    this.#b = 0x243f6a88 ^ Math.floor(seed / 0x1_0000_0000) ^ Math.imul(position, 0x85ebca6b)
    this.#c = 0xb7e15162
    for (let at = 0; at < stream.length; at++) this.#c = Math.imul(this.#c ^ stream.charCodeAt(at), 0x01000193)
    for (let warmUp = 0; warmUp < 12; warmUp++) this.next()
  }

  /** A number in [0, 1). */
  next (): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (this.#c << 21) | (this.#c >>> 11)
    this.#c = (this.#c + sum) | 0
    return (sum >>> 0) / 0x1_0000_0000
  }

  /** A whole number in [low, high], both included. */
  between (low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance (probability: number): boolean {
    return this.next() < probability
  }

  pick<T> (items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  shuffled<T> (items: readonly T[]): T[] {
    const rest = [...items]
    const result: T[] = []
    while (rest.length > 0) result.push(...rest.splice(this.between(0, rest.length - 1), 1))
    return result
  }
}
