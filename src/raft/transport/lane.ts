import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import { NotSentError } from './not-sent.ts'
import type { PeerChannel, SentRequest } from './peer-channel.ts'
import type { Sender } from './renewed-pool.ts'

/** Work that a lane carries: the items of one request, and what to do with its answer. */
export interface LaneWork<Item> {
  readonly path: string
  /** Deadline of one request in milliseconds, connecting included. */
  readonly timeoutMs: number
  readonly maxQueuedItems: number
  readonly maxQueuedBytes: number
  readonly maxBatchBytes: number
  readonly byteLength: (item: Item) => number
  /** Whether a newer item makes this queued one redundant; the queued one is dropped. */
  readonly supersedes?: (newer: Item, queued: Item) => boolean
  /** Whether an item may wait a moment to travel with another one; see {@link Lane}. */
  readonly mayWait?: (item: Item) => boolean
  readonly encode: (items: readonly Item[]) => Buffer
  /** Takes the body of a 200 answer; a throw counts as a failed request. */
  readonly answered: (items: readonly Item[], body: Uint8Array) => void
  /** The items may or may not have arrived, unless the cause is a {@link NotSentError}. */
  readonly lost: (items: readonly Item[], cause: unknown) => void
  /** The lane was closed before these were answered: for items with a waiting caller. The cause as with `lost`. */
  readonly abandoned?: (items: readonly Item[], cause: unknown) => void
}

/** The answer of a peer that did not take what was sent to it. */
export class PeerRefusal extends Error {
  readonly statusCode: number

  constructor (statusCode: number, text: string) {
    super(`the peer answered ${statusCode}: ${text}`)
    this.statusCode = statusCode
  }
}

/** How long such items wait, in milliseconds. */
const waitMs = 2
/** Far above the answers of peers. */
const maxAnswerBytes = 1_048_576

interface Queued<Item> {
  readonly item: Item
  readonly bytes: number
}

/**
 * An ordered, bounded queue towards one peer with one request in flight. While it is under way the next batch gathers;
 * past the bounds new items are dropped at once, so that a dead or slow peer costs no memory.
 *
 * Items that may wait start no request of their own for {@link waitMs}: sent at once, they would occupy the single
 * request slot just before urgent items arrive.
 */
export class Lane<Item> {
  readonly #dispatcher: Sender
  readonly #channel: PeerChannel
  readonly #work: LaneWork<Item>
  readonly #timers: Timers
  #queue: Array<Queued<Item>> = []
  #queuedBytes = 0
  #inFlight: { readonly request: SentRequest, readonly batch: readonly Item[] } | null = null
  #cancelWait: (() => void) | null = null
  #closed = false

  constructor (
    dispatcher: Sender,
    channel: PeerChannel,
    work: LaneWork<Item>,
    timers: Timers = systemTimers
  ) {
    this.#timers = timers
    this.#dispatcher = dispatcher
    this.#channel = channel
    this.#work = work
  }

  push (items: readonly Item[]): void {
    if (this.#closed) return
    const dropped: Item[] = []
    for (const item of items) {
      if (!this.#enqueue(item)) dropped.push(item)
    }
    // Not within the call that sends: the node takes one input at a time.
    if (dropped.length > 0) {
      queueMicrotask(() => { this.#work.lost(dropped, new NotSentError('the queue towards the peer is full')) })
    }
    this.#pump()
  }

  close (): void {
    if (this.#closed) return
    this.#closed = true
    const queued = this.#queue.map(({ item }) => item)
    this.#queue = []
    this.#queuedBytes = 0
    this.#cancelWait?.()
    const what = 'the lane was closed'
    if (this.#inFlight !== null) {
      const cause = this.#inFlight.request.abort(new Error(what))
      this.#work.abandoned?.(this.#inFlight.batch, cause)
    }
    if (queued.length > 0) this.#work.abandoned?.(queued, new NotSentError(what))
  }

  #enqueue (item: Item): boolean {
    const { maxQueuedItems, maxQueuedBytes } = this.#work
    this.#dropSuperseded(item)
    const bytes = this.#work.byteLength(item)
    const isFull =
      this.#queue.length >= maxQueuedItems || (this.#queue.length > 0 && this.#queuedBytes + bytes > maxQueuedBytes)
    if (isFull) return false
    this.#queue.push({ item, bytes })
    this.#queuedBytes += bytes
    return true
  }

  #dropSuperseded (newer: Item): void {
    if (this.#work.supersedes === undefined || this.#queue.length === 0) return
    this.#queue = this.#queue.filter(({ item, bytes }) => {
      const isSuperseded = this.#work.supersedes?.(newer, item) === true
      if (isSuperseded) this.#queuedBytes -= bytes
      return !isSuperseded
    })
  }

  #takeBatch (): readonly Item[] {
    let batchBytes = 0
    let count = 0
    for (const { bytes } of this.#queue) {
      if (count > 0 && batchBytes + bytes > this.#work.maxBatchBytes) break
      batchBytes += bytes
      count++
    }
    this.#queuedBytes -= batchBytes
    return this.#queue.splice(0, count).map(({ item }) => item)
  }

  #pump (): void {
    if (this.#closed || this.#inFlight !== null || this.#queue.length === 0) return
    if (this.#queue.every(({ item }) => this.#work.mayWait?.(item) === true)) {
      this.#cancelWait ??= this.#timers.after(waitMs, () => { this.#post() })
    } else this.#post()
  }

  #post (): void {
    this.#cancelWait?.()
    this.#cancelWait = null
    const batch = this.#takeBatch()
    const { path, timeoutMs } = this.#work
    const request = this.#channel.send(this.#dispatcher, {
      path,
      body: this.#work.encode(batch),
      timeoutMs,
      timers: this.#timers,
      maxAnswerBytes,
      answered: ({ statusCode, body }) => {
        this.#settled(batch, () => {
          if (statusCode !== 200) throw new PeerRefusal(statusCode, textOf(body))
          this.#work.answered(batch, body)
        })
      },
      failed: (cause) => { this.#settled(batch, () => { throw cause }) }
    })
    this.#inFlight = { request, batch }
  }

  #settled (batch: readonly Item[], take: () => void): void {
    if (this.#closed) return
    try {
      take()
    } catch (cause) {
      this.#work.lost(batch, cause)
    }
    this.#inFlight = null
    this.#pump()
  }
}

/** What a peer says about its refusal, for a log line. */
function textOf (body: Uint8Array): string {
  return Buffer.from(body).toString('utf8').slice(0, 500)
}
