const intervalMs = 5

/** Measures the longest time in which a count that should rise did not. */
export class StallWatch {
  readonly #count: () => number
  readonly #timer: NodeJS.Timeout
  #last: number
  #sinceMs = performance.now()
  #longestMs = 0

  constructor (count: () => number) {
    this.#count = count
    this.#last = count()
    this.#timer = setInterval(() => { this.#look() }, intervalMs)
  }

  /** Stops watching and gives the longest stall in milliseconds. */
  end (): number {
    clearInterval(this.#timer)
    this.#look()
    return Math.round(this.#longestMs)
  }

  #look (): void {
    const nowMs = performance.now()
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#sinceMs)
    const count = this.#count()
    if (count === this.#last) return
    this.#last = count
    this.#sinceMs = nowMs
  }
}
