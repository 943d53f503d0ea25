import { setTimeout as delay } from 'node:timers/promises'
import { putKeyedOnce } from './kv-client.ts'

/** A write with an idempotency key, and the answer that it got first. */
export interface KeyedWrite {
  readonly key: string
  readonly value: string
  readonly idempotencyKey: string
  readonly revision: number
  /** How often it was sent until it was answered. */
  readonly attempts: number
}

const pauseMs = 20

/** Sends a write once; its revision, or null without an answer that says so. */
export async function putKeyed (
  nodeUrl: string,
  write: Pick<KeyedWrite, 'key' | 'value' | 'idempotencyKey'>
): Promise<number | null> {
  const outcome = await putKeyedOnce(nodeUrl, write)
  return outcome.kind === 'written' ? outcome.revision : null
}

/**
 * A client that writes keys of its own one after the other, each with an idempotency key, and repeats each on random
 * nodes until it is answered.
 */
export class KeyedClient {
  readonly name: string
  readonly written: KeyedWrite[] = []
  readonly #urls: readonly string[]
  readonly #random: () => number
  readonly #stop = new AbortController()
  readonly #done: Promise<void>

  constructor (name: string, urls: readonly string[], random: () => number) {
    this.name = name
    this.#urls = urls
    this.#random = random
    this.#done = this.#work()
  }

  /** Resolves when the write under way is answered; it is given up after 3,000 attempts. */
  async stop (): Promise<void> {
    this.#stop.abort()
    await this.#done
  }

  anyUrl (): string {
    return this.#urls[Math.floor(this.#random() * this.#urls.length)] ?? ''
  }

  async #work (): Promise<void> {
    for (let number = 1; !this.#stop.signal.aborted; number++) {
      const write = { key: `${this.name}-${number}`, value: `${number}`, idempotencyKey: `${this.name}:${number}` }
      for (let attempts = 1; attempts <= 3_000; attempts++) {
        const revision = await putKeyed(this.anyUrl(), write)
        if (revision !== null) {
          this.written.push({ ...write, revision, attempts })
          break
        }
        await delay(pauseMs)
      }
      await delay(pauseMs)
    }
  }
}
