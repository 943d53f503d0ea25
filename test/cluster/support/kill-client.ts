import { setTimeout as delay } from 'node:timers/promises'
import { getEntry, putOnce } from './kv-client.ts'

/** A write to a key of its own, made once and never repeated. */
export interface UniqueWrite {
  readonly key: string
  readonly value: string
  /** The revision in the answer, or null while the outcome is unknown. */
  readonly revision: number | null
}

/** A list that one client alone appends to, each number once. */
export interface AppendedList {
  readonly key: string
  /** Numbers whose append was acknowledged, in that order. */
  readonly acknowledged: number[]
  /** Numbers whose append may or may not have happened. */
  readonly unknown: Set<number>
  /** Whether an append of unknown outcome may still arrive. It cannot after a later one has succeeded. */
  uncertain: boolean
}

const pauseMs = 10
const maxListLength = 200

/** A client that writes through random nodes and records what each of them promised. */
export class KillClient {
  readonly name: string
  readonly unique: UniqueWrite[] = []
  readonly lists: AppendedList[] = []
  /** Broken promises, as messages. */
  readonly violations: string[] = []
  /** Number of writes that were certainly not executed. */
  refused = 0
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

  get acknowledged (): number {
    return (
      this.unique.filter(({ revision }) => revision !== null).length +
      this.lists.reduce((sum, list) => sum + list.acknowledged.length, 0)
    )
  }

  /** Resolves when the write under way is answered. */
  async stop (): Promise<void> {
    this.#stop.abort()
    await this.#done
  }

  async #work (): Promise<void> {
    for (let number = 1; !this.#stop.signal.aborted; number++) {
      await this.#writeUnique(number)
      await this.#append(number)
      await delay(pauseMs)
    }
  }

  #url (): string {
    const url = this.#urls[Math.floor(this.#random() * this.#urls.length)]
    if (url === undefined) throw new Error('There is no node to write to')
    return url
  }

  async #writeUnique (number: number): Promise<void> {
    const key = `unique-${this.name}-${number}`
    const value = `${this.name}:${number}`
    const outcome = await putOnce(this.#url(), key, value, 0)
    switch (outcome.kind) {
      case 'written': this.unique.push({ key, value, revision: outcome.revision }); return
      case 'unknown': this.unique.push({ key, value, revision: null }); return
      case 'refused': this.refused++; return
      // The key is new and the client sent the request once, so a node on the way executed it twice.
      case 'mismatch': this.violations.push(`${key} was sent once, and something had written it before`)
    }
  }

  async #append (number: number): Promise<void> {
    const list = this.#currentList()
    const entry = await getEntry(this.#url(), list.key)
    if (entry === undefined) return
    const numbers = entry === null ? [] : entry.value as readonly number[]
    const outcome = await putOnce(this.#url(), list.key, [...numbers, number], entry?.revision ?? 0)
    switch (outcome.kind) {
      case 'written': list.acknowledged.push(number); list.uncertain = false; return
      case 'unknown': list.unknown.add(number); list.uncertain = true; return
      case 'refused': this.refused++; return
      case 'mismatch': if (!list.uncertain) {
        this.violations.push(`appending ${number} to ${list.key} met a write of nobody`)
      }
    }
  }

  #currentList (): AppendedList {
    const current = this.lists.at(-1)
    if (current !== undefined && current.acknowledged.length < maxListLength) return current
    const next: AppendedList = {
      key: `list-${this.name}-${this.lists.length + 1}`,
      acknowledged: [],
      unknown: new Set(),
      uncertain: false
    }
    this.lists.push(next)
    return next
  }
}
