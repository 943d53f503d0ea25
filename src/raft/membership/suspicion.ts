/** A single message proves nothing: it may be forged or long out of date. */
const leastCount = 3

/**
 * Something that, if it lasts, means that this node must not go on: it counts how often that was said, and for how many
 * ticks nothing has contradicted it.
 */
export class Suspicion {
  readonly #lastsTicks: number
  #reason: Error | null = null
  #count = 0
  #ticks = 0

  constructor (lastsTicks: number) {
    this.#lastsTicks = lastsTicks
  }

  /** The first reason since the last {@link clear} is kept. */
  raise (reason: () => Error): void {
    this.#reason ??= reason()
    this.#count++
  }

  clear (): void {
    this.#reason = null
    this.#count = 0
    this.#ticks = 0
  }

  /** One tick later: the reason, once it has lasted. */
  tick (): Error | null {
    if (this.#reason === null) return null
    this.#ticks++
    return this.#ticks >= this.#lastsTicks && this.#count >= leastCount ? this.#reason : null
  }
}
