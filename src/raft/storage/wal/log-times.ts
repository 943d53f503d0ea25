const chunkEntries = 4096

/** The log times of consecutive entries, packed: there may be millions. */
export class LogTimes {
  #chunks: Float64Array[] = []
  /** How many entries of the first chunk were dropped. */
  #skipped = 0
  #length = 0

  get length (): number { return this.#length }

  at (position: number): number {
    if (position < 0 || position >= this.#length) return 0
    const at = this.#skipped + position
    return this.#chunks[Math.floor(at / chunkEntries)]?.[at % chunkEntries] ?? 0
  }

  push (timeMs: number): void {
    const at = this.#skipped + this.#length
    let chunk = this.#chunks[Math.floor(at / chunkEntries)]
    if (chunk === undefined) {
      chunk = new Float64Array(chunkEntries)
      this.#chunks.push(chunk)
    }
    chunk[at % chunkEntries] = timeMs
    this.#length++
  }

  /** Keeps only the first ones, this many. */
  truncate (length: number): void {
    if (length >= this.#length) return
    this.#length = Math.max(0, length)
    this.#chunks.length = Math.ceil((this.#skipped + this.#length) / chunkEntries)
  }

  /** Drops the first ones, this many. */
  drop (count: number): void {
    const dropped = Math.min(count, this.#length)
    this.#skipped += dropped
    this.#length -= dropped
    const whole = Math.floor(this.#skipped / chunkEntries)
    this.#chunks.splice(0, whole)
    this.#skipped -= whole * chunkEntries
  }
}
