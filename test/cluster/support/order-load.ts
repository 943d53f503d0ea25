import { setTimeout as delay } from 'node:timers/promises'
import { pollUntil } from '../../../src/cli/local/polling.ts'
import { send } from './requests.ts'

/** A request that was not acknowledged. */
export interface Failure {
  readonly atMs: number
  /** 0: no answer at all. */
  readonly status: number
  /** The code of a node's answer; null when none of the nodes gave it. */
  readonly code: string | null
}

const clients = 8
const pauseMs = 5
const waitTimeoutMs = 60_000

/** Orders with ids of their own, posted one behind the other by several clients; none is sent twice. */
export class OrderLoad {
  readonly failures: Failure[] = []
  /** When each success came. */
  readonly successesMs: number[] = []
  readonly #url: string
  readonly #acknowledged: string[] = []
  readonly #stopped = new AbortController()
  readonly #running: Promise<unknown>

  constructor (url: string) {
    this.#url = url
    this.#running = Promise.all(Array.from({ length: clients }, async (_, client) => {
      for (let order = 0; !this.#stopped.signal.aborted; order++) {
        await this.#post(`c${client}-${order}`)
        await delay(pauseMs)
      }
    }))
  }

  /** Resolves when so many more orders were acknowledged. */
  async acknowledged (count: number): Promise<void> {
    const goal = this.#acknowledged.length + count
    await pollUntil(`${count} orders`, waitTimeoutMs, async () => this.#acknowledged.length >= goal ? true : null)
  }

  /** Resolves when each client had a success again, with nothing but successes in the last 500 ms. */
  async succeedsFromNow (timeoutMs: number): Promise<void> {
    const sinceMs = performance.now()
    await pollUntil('orders that succeed again', timeoutMs, async () => {
      const quietMs = performance.now() - Math.max(sinceMs, this.failures.at(-1)?.atMs ?? 0)
      return quietMs > 500 && this.successesMs.filter((atMs) => atMs > sinceMs).length >= clients ? true : null
    })
  }

  /** The acknowledged orders that a node does not know. */
  async lost (nodeUrl: string): Promise<readonly string[]> {
    await this.stop()
    const lost: string[] = []
    for (const id of this.#acknowledged) {
      const { status } = await send('GET', `${nodeUrl}/orders/${id}`)
      if (status !== 200) lost.push(id)
    }
    return lost
  }

  async stop (): Promise<void> {
    this.#stopped.abort()
    await this.#running
  }

  async #post (id: string): Promise<void> {
    try {
      const { status, text } = await send('POST', `${this.#url}/orders`, { id, item: 'tea' })
      if (status === 201) {
        this.#acknowledged.push(id)
        this.successesMs.push(performance.now())
      } else this.failures.push({ atMs: performance.now(), status, code: codeOf(text) })
    } catch {
      this.failures.push({ atMs: performance.now(), status: 0, code: null })
    }
  }
}

function codeOf (text: string): string | null {
  try {
    return (JSON.parse(text) as { readonly code: string }).code
  } catch {
    return null
  }
}
