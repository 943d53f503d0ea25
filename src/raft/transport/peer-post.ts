import type { Dispatcher } from 'undici'

/** Bytes of an answer to a message that are taken; what peers answer is far below. */
const maxAnswerBytes = 33_554_432

export interface PeerPostOptions {
  readonly path: string
  readonly body: Buffer
  /** Deadline from now on until the whole answer is here, connecting included. Milliseconds. */
  readonly timeoutMs: number
  /** The body of a 200 answer. */
  readonly answered: (body: Uint8Array) => void
  /** No answer, or another one; the request may or may not have arrived. */
  readonly failed: (cause: unknown) => void
}

/**
 * One POST to a peer. Exactly one of `answered` and `failed` is called, and in a microtask of its own: neither within
 * whatever started the request nor within the parser of undici.
 *
 * Takes what undici dispatches as it comes, without streams, promises or signals: it happens with every batch of every
 * write, and they would cost more than all the rest of the round trip.
 */
export class PeerPost implements Dispatcher.DispatchHandler {
  readonly #options: PeerPostOptions
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #deadline: NodeJS.Timeout | null = null
  #controller: Dispatcher.DispatchController | null = null
  #isSettled = false

  constructor (options: PeerPostOptions) {
    this.#options = options
  }

  start (dispatcher: Dispatcher): void {
    const { path, body, timeoutMs } = this.#options
    this.#deadline = setTimeout(() => { this.abort(new Error(`no answer within ${timeoutMs} ms`)) }, timeoutMs)
    dispatcher.dispatch({
      method: 'POST',
      path,
      headers: ['content-type', 'application/octet-stream'],
      body,
      // The deadline covers both.
      headersTimeout: 0,
      bodyTimeout: 0
    }, this)
  }

  /** Ends it as failed, if it has not ended yet. */
  abort (cause: Error): void {
    if (this.#isSettled) return
    this.#fail(cause)
    this.#controller?.abort(cause)
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // Too late: the deadline passed while it waited for a connection.
    if (this.#isSettled) controller.abort(new Error('the request is over'))
  }

  onResponseStart (_controller: Dispatcher.DispatchController, statusCode: number): void {
    if (statusCode >= 200 && statusCode !== 200) this.abort(new Error(`the peer answered ${statusCode}`))
  }

  onResponseData (_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.byteLength
    if (this.#bytes > maxAnswerBytes) this.abort(new Error(`the peer answered more than ${maxAnswerBytes} bytes`))
    else this.#chunks.push(chunk)
  }

  onResponseEnd (): void {
    if (this.#isSettled) return
    this.#settle()
    const [first] = this.#chunks
    const answer = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks)
    queueMicrotask(() => { this.#options.answered(answer) })
  }

  onResponseError (_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.#isSettled) this.#fail(error)
  }

  #fail (cause: unknown): void {
    this.#settle()
    queueMicrotask(() => { this.#options.failed(cause) })
  }

  #settle (): void {
    this.#isSettled = true
    if (this.#deadline !== null) clearTimeout(this.#deadline)
  }
}
