import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

/** One request of a {@link SteadyLoad}, by the clock of `performance.now()`. */
export interface Attempt {
  readonly sentAtMs: number
  readonly endedAtMs: number
  /** What came instead of a success; null for a success. */
  readonly failure: string | null
}

/**
 * Sends one request at each interval, whether or not earlier ones were answered: a client that waits for an answer
 * first could not tell when the service works again.
 */
export class SteadyLoad {
  readonly #send: (signal: AbortSignal) => Promise<string | null>
  readonly #intervalMs: number
  readonly #ending = new AbortController()
  readonly #ended = new Set<(attempt: Attempt) => void>()
  readonly #open = new Set<Promise<void>>()
  readonly #done: Promise<void>

  /** `send` resolves with what came instead of a success, or null. It aborts what is under way with the signal. */
  constructor (intervalMs: number, send: (signal: AbortSignal) => Promise<string | null>) {
    this.#send = send
    this.#intervalMs = intervalMs
    // Each open request adds one.
    setMaxListeners(0, this.#ending.signal)
    this.#done = this.#run()
  }

  /** Calls back with each request that ends from now on, until the returned function is called. */
  watch (ended: (attempt: Attempt) => void): () => void {
    this.#ended.add(ended)
    return () => { this.#ended.delete(ended) }
  }

  /** The first success of a request that is sent from this moment on. Rejects when there is none in time. */
  async firstSuccess (sinceMs: number, timeoutMs: number): Promise<Attempt> {
    return await new Promise((resolve, reject) => {
      const stopWatching = this.watch((attempt) => {
        if (attempt.failure !== null || attempt.sentAtMs < sinceMs) return
        clearTimeout(timer)
        stopWatching()
        resolve(attempt)
      })
      const timer = setTimeout(() => {
        stopWatching()
        reject(new Error(`no request succeeded within ${timeoutMs} ms`))
      }, timeoutMs)
    })
  }

  /** Sends no more, gives up what is still open, and resolves when all of it has ended. */
  async stop (): Promise<void> {
    this.#ending.abort()
    await this.#done
    await Promise.all(this.#open)
  }

  async #run (): Promise<void> {
    const { signal } = this.#ending
    for (let dueAtMs = performance.now(); !signal.aborted; dueAtMs += this.#intervalMs) {
      await delay(Math.max(0, dueAtMs - performance.now()), undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const open = this.#attempt().finally(() => this.#open.delete(open))
      this.#open.add(open)
    }
  }

  async #attempt (): Promise<void> {
    const sentAtMs = performance.now()
    let failure: string | null
    try {
      failure = await this.#send(this.#ending.signal)
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error)
    }
    const attempt = { sentAtMs, endedAtMs: performance.now(), failure }
    for (const ended of [...this.#ended]) ended(attempt)
  }
}
