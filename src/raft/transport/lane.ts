import type { Dispatcher } from 'undici'

/** Work that a lane carries: the items of one request, and what to do with its answer. */
export interface LaneWork<Item> {
  readonly path: string
  /** Deadline of one request in milliseconds, connecting included. */
  readonly timeoutMs: number
  readonly maxQueuedItems: number
  readonly maxQueuedBytes: number
  readonly maxBatchBytes: number
  readonly byteLength: (item: Item) => number
  /** An item that makes this queued one pointless; the queued one is dropped. */
  readonly supersedes?: (newer: Item, queued: Item) => boolean
  readonly encode: (items: readonly Item[]) => Buffer
  /** Takes the body of a 200 answer; a throw counts as a failed request. */
  readonly answered: (items: readonly Item[], body: Uint8Array) => void
  /** The items may or may not have arrived. */
  readonly lost: (items: readonly Item[], cause: unknown) => void
}

/**
 * An ordered, bounded queue towards one peer with one request in flight. While it is under way the next batch gathers;
 * past the bounds new items are dropped at once, so that a dead or slow peer costs no memory.
 */
export class Lane<Item> {
  readonly #dispatcher: Dispatcher
  readonly #work: LaneWork<Item>
  #queue: Item[] = []
  #queuedBytes = 0
  #inFlight: AbortController | null = null
  #closed = false

  constructor (dispatcher: Dispatcher, work: LaneWork<Item>) {
    this.#dispatcher = dispatcher
    this.#work = work
  }

  push (items: readonly Item[]): void {
    if (this.#closed) return
    const dropped: Item[] = []
    for (const item of items) {
      if (!this.#enqueue(item)) dropped.push(item)
    }
    if (dropped.length > 0) this.#work.lost(dropped, new Error('the queue towards the peer is full'))
    this.#pump()
  }

  close (): void {
    this.#closed = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#inFlight?.abort()
  }

  #enqueue (item: Item): boolean {
    const { supersedes, byteLength, maxQueuedItems, maxQueuedBytes } = this.#work
    if (supersedes !== undefined) this.#queue = this.#queue.filter((queued) => !supersedes(item, queued))
    const bytes = byteLength(item)
    const isFull = this.#queue.length >= maxQueuedItems || (this.#queue.length > 0 && this.#queuedBytes + bytes > maxQueuedBytes)
    if (isFull) return false
    this.#queue.push(item)
    this.#queuedBytes += bytes
    return true
  }

  #takeBatch (): readonly Item[] {
    let bytes = 0
    let count = 0
    for (const item of this.#queue) {
      bytes += this.#work.byteLength(item)
      if (count > 0 && bytes > this.#work.maxBatchBytes) break
      count++
    }
    const batch = this.#queue.splice(0, count)
    this.#queuedBytes = this.#queue.reduce((total, item) => total + this.#work.byteLength(item), 0)
    return batch
  }

  #pump (): void {
    if (this.#closed || this.#inFlight !== null || this.#queue.length === 0) return
    const batch = this.#takeBatch()
    const abort = new AbortController()
    this.#inFlight = abort
    this.#request(batch, abort).then(
      (body) => { if (!this.#closed) this.#work.answered(batch, body) }
    ).catch((cause: unknown) => {
      if (!this.#closed) this.#work.lost(batch, cause)
    }).finally(() => {
      this.#inFlight = null
      this.#pump()
    })
  }

  async #request (batch: readonly Item[], abort: AbortController): Promise<Uint8Array> {
    const { path, timeoutMs } = this.#work
    const deadline = setTimeout(() => abort.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    try {
      const { statusCode, body } = await this.#dispatcher.request({
        method: 'POST',
        path,
        headers: { 'content-type': 'application/octet-stream' },
        body: this.#work.encode(batch),
        signal: abort.signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs
      })
      if (statusCode !== 200) {
        await body.dump()
        throw new Error(`the peer answered ${statusCode}`)
      }
      return new Uint8Array(await body.arrayBuffer())
    } finally {
      clearTimeout(deadline)
    }
  }
}

const neverConnectedCodes = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT'])

/** Whether a failed request surely never left this node: no connection was made. */
export const neverLeft = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && neverConnectedCodes.has(cause.code)
