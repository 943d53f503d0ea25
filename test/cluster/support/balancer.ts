import { setTimeout as delay } from 'node:timers/promises'
import { Pool } from 'undici'

/** How a request through a {@link Balancer} ended. */
export type Outcome =
  | { readonly kind: 'answered', readonly text: string }
  | { readonly kind: 'failed', readonly what: string }

/** A request to be sent to any copy. */
export interface BalancedRequest {
  readonly method: 'GET' | 'PUT'
  readonly path: string
  readonly body: object | null
}

const pollMs = 50
const probeTimeoutMs = 1_000
const requestTimeoutMs = 30_000
const noCopyTimeoutMs = 10_000

/**
 * A balancer as they are: it keeps connections to all copies, sends to each in turn that `readyz` calls ready, and
 * takes one out that refuses a connection or says that it is closing. Such a request goes to another copy, since it
 * has certainly not run. Nothing else is sent twice.
 */
export class Balancer {
  readonly #copies: readonly Copy[]
  readonly #stopped = new AbortController()
  readonly #polling: Promise<unknown>
  #turn = 0
  /** How often a copy refused a request and another one took it. */
  passedOn = 0

  constructor (urls: readonly string[]) {
    this.#copies = urls.map((url) => new Copy(url))
    this.#polling = Promise.all(this.#copies.map(async (copy) => {
      while (!this.#stopped.signal.aborted) {
        await copy.probe()
        await delay(pollMs)
      }
    }))
  }

  async stop (): Promise<void> {
    this.#stopped.abort()
    await this.#polling
    await Promise.all(this.#copies.map(async ({ pool }) => { await pool.destroy() }))
  }

  async send (request: BalancedRequest): Promise<Outcome> {
    for (;;) {
      const copy = await this.#next()
      if (copy === null) return { kind: 'failed', what: 'no copy was ready' }
      const outcome = await copy.send(request)
      if (outcome !== 'closing') return outcome
      copy.isUp = false
      this.passedOn++
    }
  }

  async #next (): Promise<Copy | null> {
    const endsAtMs = performance.now() + noCopyTimeoutMs
    for (;;) {
      const up = this.#copies.filter(({ isUp }) => isUp)
      const copy = up[this.#turn++ % Math.max(1, up.length)]
      if (copy !== undefined) return copy
      if (performance.now() > endsAtMs) return null
      await delay(pollMs / 5)
    }
  }
}

class Copy {
  readonly url: string
  readonly pool: Pool
  isUp = false

  constructor (url: string) {
    this.url = url
    this.pool = new Pool(url, { connections: 64, pipelining: 1 })
  }

  async probe (): Promise<void> {
    try {
      const signal = AbortSignal.timeout(probeTimeoutMs)
      const answer = await fetch(`${this.url}/_cluster/v1/readyz`, { signal })
      await answer.arrayBuffer()
      this.isUp = answer.ok
    } catch {
      this.isUp = false
    }
  }

  async send ({ method, path, body }: BalancedRequest): Promise<Outcome | 'closing'> {
    try {
      const { statusCode, headers, body: answer } = await this.pool.request({
        method,
        path,
        signal: AbortSignal.timeout(requestTimeoutMs),
        ...(body === null ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      })
      const text = await answer.text()
      if (statusCode === 200) return { kind: 'answered', text }
      // As Fastify says it, before any hook or handler.
      if (statusCode === 503 && headers.connection === 'close' && !text.includes('"code"')) return 'closing'
      return { kind: 'failed', what: `${method} ${path} at ${this.url}: ${statusCode} ${text}` }
    } catch (error) {
      const { code, message } = error as { readonly code?: string, readonly message: string }
      if (code === 'ECONNREFUSED') return 'closing'
      return { kind: 'failed', what: `${method} ${path} at ${this.url}: ${code ?? ''} ${message}` }
    }
  }
}
