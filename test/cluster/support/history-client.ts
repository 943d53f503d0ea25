import { setTimeout as delay } from 'node:timers/promises'
import type { HistoryRecorder, MapInput, MapOutput } from '../../linearizability/index.ts'
import { deleteOnce, getEntry, putOnce, type WriteOutcome } from './kv-client.ts'

/** Calls of one client by their outcome. */
export interface CallCounts {
  reads: number
  writes: number
  /** Writes under a condition that did not hold. */
  mismatches: number
  /** Surely not executed. */
  refused: number
  /** May be executed, now or later; reads without an answer count as well. */
  unknown: number
}

/** What a client needs to know of the others. */
export interface HistoryClientOptions {
  readonly name: string
  readonly urls: readonly string[]
  /** Written by all clients. */
  readonly recorder: HistoryRecorder<MapInput, MapOutput>
  /** The keys to use now. */
  readonly keys: () => readonly string[]
  /** A number in [0, 1). */
  readonly random: () => number
}

const longestPauseMs = 30
/** Short, so that a node that hears nobody does not keep the clients for long. */
const attemptTimeoutMs = 1_500
const moveProbability = 0.1

/**
 * A client that reads and writes a few keys, each value once, and records what it saw. It stays with one node for some
 * calls and goes to a random one now and then, and whenever a call got no good answer.
 */
export class HistoryClient {
  readonly counts: CallCounts = { reads: 0, writes: 0, mismatches: 0, refused: 0, unknown: 0 }
  readonly #options: HistoryClientOptions
  readonly #stop = new AbortController()
  readonly #done: Promise<void>
  /** Revisions that this client saw last, for writes under a condition. */
  readonly #revisions = new Map<string, number>()
  #values = 0
  #node: string

  constructor (options: HistoryClientOptions) {
    this.#options = options
    this.#node = this.#pick(options.urls)
    this.#done = this.#work()
  }

  /** Resolves when the call under way is over. */
  async stop (): Promise<void> {
    this.#stop.abort()
    await this.#done
  }

  async #work (): Promise<void> {
    const { keys, random } = this.#options
    while (!this.#stop.signal.aborted) {
      if (random() < moveProbability) this.#move()
      const key = this.#pick(keys())
      const drawn = random()
      if (drawn < 0.5) await this.#read(key)
      else if (drawn < 0.8) await this.#set(key, undefined)
      else if (drawn < 0.95) await this.#set(key, this.#revisions.get(key) ?? 0)
      else await this.#delete(key)
      await delay(random() * longestPauseMs)
    }
  }

  async #read (key: string): Promise<void> {
    const call = this.#options.recorder.invoke(this.#options.name, { kind: 'get', key })
    // The clocks of one machine agree, so a read by the lease promises the same.
    const read = this.#options.random() < 0.5 ? 'linearizable' : 'lease'
    const entry = await getEntry(this.#node, key, { read, timeoutMs: attemptTimeoutMs })
    if (entry === undefined) {
      this.counts.unknown++
      call.unknown()
      this.#move()
      return
    }
    this.counts.reads++
    this.#revisions.set(key, entry?.revision ?? 0)
    call.complete(
      entry === null ? { kind: 'absent' } : { kind: 'found', value: entry.value, revision: entry.revision }
    )
  }

  async #set (key: string, ifRevision: number | undefined): Promise<void> {
    const value = `${this.#options.name}:${++this.#values}`
    const condition = ifRevision === undefined ? {} : { ifRevision }
    await this.#write({ kind: 'set', key, value, ...condition }, async (url) =>
      await putOnce(url, key, value, ifRevision, attemptTimeoutMs)
    )
  }

  /** Only at a revision that was seen: the answer to a delete of nothing does not tell at which revision. */
  async #delete (key: string): Promise<void> {
    const ifRevision = this.#revisions.get(key) ?? 0
    if (ifRevision === 0) return
    await this.#write({ kind: 'delete', key, ifRevision }, async (url) =>
      await deleteOnce(url, key, ifRevision, attemptTimeoutMs)
    )
  }

  async #write (
    input: Exclude<MapInput, { kind: 'get' }>,
    send: (url: string) => Promise<WriteOutcome>
  ): Promise<void> {
    const call = this.#options.recorder.invoke(this.#options.name, input)
    const outcome = await send(this.#node)
    switch (outcome.kind) {
      case 'written':
        this.counts.writes++
        this.#revisions.set(input.key, input.kind === 'delete' ? 0 : outcome.revision)
        call.complete(
          input.kind === 'delete'
            ? { kind: 'deleted', existed: true, revision: outcome.revision }
            : { kind: 'written', revision: outcome.revision }
        )
        return
      case 'mismatch': this.counts.mismatches++; call.complete({ kind: 'mismatch' }); return
      case 'refused': this.counts.refused++; call.fail(); break
      case 'unknown': this.counts.unknown++; call.unknown()
    }
    this.#move()
  }

  #move (): void {
    this.#node = this.#pick(this.#options.urls)
  }

  #pick (items: readonly string[]): string {
    const item = items[Math.floor(this.#options.random() * items.length)]
    if (item === undefined) throw new Error('There is nothing to pick from')
    return item
  }
}
