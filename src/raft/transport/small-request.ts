import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'
import { RequestStart } from './not-sent.ts'
import type { Sender } from './renewed-pool.ts'

/** A request whose body and answer fit into memory. */
interface SmallRequestOptions {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** Field names and values in turn. */
  readonly headers: string[]
  readonly body: Buffer | string | null
  /** Deadline from now on until the whole answer is here, connecting included. Milliseconds. */
  readonly timeoutMs: number
  /** The timers of this process when left out. */
  readonly timers?: Timers
  /** A larger answer counts as none. */
  readonly maxAnswerBytes: number
  /** Takes the answer, whatever its status. */
  readonly answered: (answer: SmallAnswer) => void
  /** Told that no answer came; a `NotSentError` when surely nothing was sent. */
  readonly failed: (cause: Error) => void
}

/** The whole answer to a {@link SmallRequest}. */
export interface SmallAnswer {
  readonly statusCode: number
  /** Fields by lower-case name; repeated ones as arrays. */
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

/** The deadline of a {@link SmallRequest} passed. */
export class NoAnswerInTimeError extends Error {}

/**
 * One small request. Exactly one of `answered` and `failed` is called, and in a microtask of its own: neither within
 * the call that started the request nor within the parser of undici.
 *
 * Takes what undici dispatches as it comes, without streams, promises or signals: peers send one with every batch of
 * every write, and they would cost more than all the rest of the round trip.
 */
export class SmallRequest implements Dispatcher.DispatchHandler {
  readonly #options: SmallRequestOptions
  readonly #start = new RequestStart()
  readonly #chunks: Buffer[] = []
  #statusCode = 0
  #headers: IncomingHttpHeaders = {}
  #bytes = 0
  #cancelDeadline: (() => void) | null = null
  #isSettled = false

  constructor (options: SmallRequestOptions) {
    this.#options = options
  }

  /** `servername`: the name to check the certificate against; null for that of the URL, or without TLS. */
  start (dispatcher: Sender, servername: string | null = null): void {
    const { method, path, headers, body, timeoutMs, timers = systemTimers } = this.#options
    this.#cancelDeadline = timers.after(timeoutMs, () => {
      this.abort(new NoAnswerInTimeError(`no answer within ${timeoutMs} ms`))
    })
    const options: Dispatcher.DispatchOptions & { servername?: string } = {
      method,
      path,
      headers,
      body,
      // The deadline covers both.
      headersTimeout: 0,
      bodyTimeout: 0
    }
    if (servername !== null) options.servername = servername
    dispatcher.dispatch(options, this)
  }

  /** Ends it as failed, if it has not ended yet. Returns the cause as `failed` is told it. */
  abort (cause: Error): Error {
    const explained = this.#start.explain(cause)
    if (this.#isSettled) return explained
    this.#fail(explained)
    this.#start.cancel(cause)
    return explained
  }

  onRequestStart (controller: Dispatcher.DispatchController): void {
    this.#start.begin(controller)
  }

  onResponseStart (
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: IncomingHttpHeaders
  ): void {
    this.#statusCode = statusCode
    this.#headers = headers
  }

  onResponseData (_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { maxAnswerBytes } = this.#options
    this.#bytes += chunk.byteLength
    if (this.#bytes > maxAnswerBytes) this.abort(new Error(`the answer has more than ${maxAnswerBytes} bytes`))
    else this.#chunks.push(chunk)
  }

  onResponseEnd (): void {
    if (this.#isSettled) return
    this.#settle()
    const [first] = this.#chunks
    const body = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks)
    const answer = { statusCode: this.#statusCode, headers: this.#headers, body }
    queueMicrotask(() => { this.#options.answered(answer) })
  }

  onResponseError (_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.#isSettled) this.#fail(this.#start.explain(error))
  }

  #fail (cause: Error): void {
    this.#settle()
    queueMicrotask(() => { this.#options.failed(cause) })
  }

  #settle (): void {
    this.#isSettled = true
    this.#cancelDeadline?.()
  }
}
