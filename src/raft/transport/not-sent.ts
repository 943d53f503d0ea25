import type { Dispatcher } from 'undici'

/** A request of which no byte left this process: it may be sent again, whatever it asks for. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError'
}

/**
 * The one judgement of whether a request was sent. undici hands over its controller right before it writes the first
 * byte to a connected socket, and writes nothing when it is told to abort there. Until then nothing was sent, whatever
 * the error is; from then on the request may have arrived. Error codes are not asked: the same code can mean both.
 */
export class RequestStart {
  #controller: Dispatcher.DispatchController | null = null
  #cancelled: Error | null = null

  /** False as long as surely nothing was sent. */
  get isSent (): boolean {
    return this.#controller !== null
  }

  /** To be called by `onRequestStart` of the handler. */
  begin (controller: Dispatcher.DispatchController): void {
    if (this.#cancelled === null) this.#controller = controller
    else controller.abort(this.#cancelled)
  }

  /** Ends the request: it will not be sent if it has not been, and its connection is cut if it has. */
  cancel (reason: Error): void {
    this.#cancelled = reason
    this.#controller?.abort(reason)
  }

  /** Stops to read the answer, after a piece of it that is already here. */
  pause (): void {
    this.#controller?.pause()
  }

  /** Goes on to read an answer that was paused. */
  resume (): void {
    this.#controller?.resume()
  }

  /** The error to report for a request that failed: a {@link NotSentError} when it was not sent. */
  explain (cause: Error): Error {
    return this.isSent || cause instanceof NotSentError ? cause : new NotSentError(cause.message, { cause })
  }
}
