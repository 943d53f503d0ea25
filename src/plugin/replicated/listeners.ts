/**
 * Who is told of something that is applied on this node, within `apply`: local, not replicated. A listener must not
 * throw. One that is added or taken off by another one counts from the next time on.
 */
export class Listeners<Told extends readonly unknown[]> {
  readonly #listeners = new Set<(...told: Told) => void>()

  get isEmpty (): boolean { return this.#listeners.size === 0 }

  /** The function returned ends it. */
  add (listener: (...told: Told) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  tell (...told: Told): void {
    for (const listener of [...this.#listeners]) listener(...told)
  }
}

/** The same for what has a key: the changes of one key cost the listeners of others nothing. */
export class KeyedListeners<Told extends readonly unknown[]> {
  readonly #byKey = new Map<string, Listeners<Told>>()

  add (key: string, listener: (...told: Told) => void): () => void {
    const listeners = this.#byKey.get(key) ?? new Listeners<Told>()
    this.#byKey.set(key, listeners)
    const end = listeners.add(listener)
    return () => {
      end()
      if (listeners.isEmpty && this.#byKey.get(key) === listeners) this.#byKey.delete(key)
    }
  }

  tell (key: string, ...told: Told): void {
    this.#byKey.get(key)?.tell(...told)
  }
}
