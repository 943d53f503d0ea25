/** How long work may keep the event loop to itself, in milliseconds. */
const sliceMs = 4

/**
 * Cuts long work into slices. Awaited often, it costs next to nothing, and once a slice is used up it lets everything
 * else have its turn first.
 */
export class Slices {
  #startedMs = performance.now()

  /** Whether it is time to let others have their turn. */
  get isOver (): boolean { return performance.now() - this.#startedMs >= sliceMs }

  /** Resolves after everything that waits now has had its turn. */
  async next (): Promise<void> {
    await new Promise((resolve) => { setImmediate(resolve) })
    this.#startedMs = performance.now()
  }
}
