import { setTimeout as delay } from 'node:timers/promises'
import { postOrder } from './order-client.ts'

/** One order that was acknowledged. */
interface Acknowledgement {
  readonly id: string
  /** The node that executed it, as it says itself. */
  readonly node: string | null
  /** When the answer came, by `performance.now()`. */
  readonly atMs: number
  readonly attempts: number
}

const pauseMs = 20
const retryPauseMs = 50

/** A client that posts one order after the other to one address and repeats each until it is acknowledged. */
export class OrderWriter {
  readonly name: string
  readonly acknowledged: Acknowledgement[] = []
  readonly #url: string
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  /** Starts writing at once. `name` becomes part of every order's id. */
  constructor (name: string, url: string) {
    this.name = name
    this.#url = url
    this.#done = this.#write()
  }

  /** The first acknowledgement after `sinceMs` by another node than `deadNode`, or null as long as there is none. */
  firstAfter (sinceMs: number, deadNode: string): Acknowledgement | null {
    return this.acknowledged.find(({ atMs, node }) => atMs > sinceMs && node !== null && node !== deadNode) ?? null
  }

  /** Resolves after the last attempt of the order under way. If that was not acknowledged, its outcome is unknown. */
  async stop (): Promise<void> {
    this.#stop.abort()
    await this.#done
  }

  async #write (): Promise<void> {
    for (let number = 1; !this.#stop.signal.aborted; number++) {
      await this.#writeOne(`${this.name}-${String(number).padStart(5, '0')}`)
    }
  }

  async #writeOne (id: string): Promise<void> {
    for (let attempts = 1; !this.#stop.signal.aborted; attempts++) {
      const outcome = await postOrder(this.#url, { id, item: 'tea', quantity: 1 })
      if (outcome.kind === 'acknowledged') {
        this.acknowledged.push({ id, node: outcome.node, atMs: performance.now(), attempts })
        await delay(pauseMs)
        return
      }
      await delay(retryPauseMs)
    }
  }
}
