/** How many keys are known at once whose request may have begun in the log and did not run. */
const maxDoubtfulBegins = 10_000

/**
 * The keys whose begin was proposed under one leadership, nobody knows with what outcome, and for which no handler ran.
 * When the log shows such a key as begun, it was begun for nothing: another attempt may run, whatever the route says of
 * attempts that are lost. Only for keys that had no attempt under way before; an attempt that ran must never be taken
 * for one of these. What does not fit is not known, and counts as lost: nothing runs twice.
 */
export class DoubtfulBegins {
  readonly #keys = new Set<string>()
  #token = 0

  /** Whether the attempt that the log shows for this key under this leadership did not run. */
  has (key: string, token: number): boolean {
    return this.#token === token && this.#keys.has(key)
  }

  add (key: string, token: number): void {
    if (this.#token !== token) {
      this.#token = token
      this.#keys.clear()
    }
    if (this.#keys.size < maxDoubtfulBegins) this.#keys.add(key)
  }

  /** What the log says of the key is known again. */
  delete (key: string): void {
    this.#keys.delete(key)
  }
}
