/** Longest time for which one slice of work may block the event loop, in milliseconds. */
const sliceMs = 4

/**
 * Cuts long work into slices, so that the event loop can serve other work between them.
 */
export class Slices {
  #startedMs = performance.now()

  /** Whether the slice is used up: {@link Slices.next} is due. */
  get isOver (): boolean { return performance.now() - this.#startedMs >= sliceMs }

  /** Resolves in a later turn of the event loop, and starts the next slice. */
  async next (): Promise<void> {
    await new Promise((resolve) => { setImmediate(resolve) })
    this.#startedMs = performance.now()
  }
}

/** Runs asynchronous steps one after another: each starts when the step before it has ended, even if that failed. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Resolves or rejects as the step does. */
  take<Result> (step: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(step)
    this.#last = result.catch(() => {})
    return result
  }
}
