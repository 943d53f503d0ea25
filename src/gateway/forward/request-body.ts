import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { hasArrived } from './answer.ts'
import { http2StreamOf } from './http2-stream.ts'

/**
 * The body of a client's request, handed to one attempt after another. Each attempt gets a stream of its own, because
 * the HTTP client destroys the stream of a failed attempt, and that must not destroy the client's socket.
 *
 * Nothing is read before an attempt reads. The first bytes are kept, up to a bound, so that an attempt which was surely
 * not executed can be made again; past the bound nothing is kept.
 */
export class RequestBody {
  readonly #req: IncomingMessage
  readonly #replayBytes: number
  readonly #onProgress: () => void
  #kept: Buffer[] = []
  #readBytes = 0
  #ended = false
  #stream: Readable | null = null

  constructor (req: IncomingMessage, replayBytes: number, onProgress: () => void) {
    this.#req = req
    this.#replayBytes = replayBytes
    this.#onProgress = onProgress
  }

  /**
   * Whether the request announces a body at all (RFC 9112 section 6.3). In HTTP/2 its end does, not a field (RFC 9113
   * section 8.1).
   */
  static isPresent (req: IncomingMessage): boolean {
    const stream = http2StreamOf(req)
    if (stream !== null) return !stream.endAfterHeaders
    const length = req.headers['content-length']
    return req.headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) !== 0)
  }

  /** Whether any of it was read: then an attempt may have passed bytes on. */
  get consumed (): boolean {
    return this.#readBytes > 0
  }

  /** Whether another attempt can be given the whole body. */
  get replayable (): boolean {
    return this.#readBytes <= this.#replayBytes
  }

  /** Whether all of it has arrived from the client. */
  get ended (): boolean {
    return this.#ended
  }

  /** A stream of the whole body for the next attempt; the stream before it is detached. */
  open (): Readable {
    this.detach()
    const req = this.#req
    let flowing = false
    const stream = new Readable({
      read: () => {
        if (flowing) {
          req.resume()
          return
        }
        flowing = true
        if (this.#ended) stream.push(null)
        else this.#attach(stream)
      }
    })
    // The attempt listens for its own errors; without it, a late one must not be fatal.
    stream.on('error', () => {})
    for (const chunk of this.#kept) stream.push(chunk)
    this.#stream = stream
    return stream
  }

  /** Takes the body away from the attempt that has it; the client's bytes wait in its socket. */
  detach (): void {
    const stream = this.#stream
    if (stream === null) return
    this.#stream = null
    this.#req.pause()
    this.#unlisten()
    stream.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#readBytes += chunk.length
    if (this.replayable) this.#kept.push(chunk)
    else this.#kept = []
    this.#onProgress()
    if (this.#stream?.push(chunk) === false) this.#req.pause()
  }

  readonly #onEnd = (): void => {
    // In HTTP/2 an upload that the client has cut off ends like any other.
    if (http2StreamOf(this.#req)?.aborted === true) {
      this.#onClose()
      return
    }
    this.#ended = true
    this.#stream?.push(null)
  }

  readonly #onClose = (): void => {
    if (!this.#ended) this.#stream?.destroy(new Error('the client closed the connection'))
  }

  #attach (stream: Readable): void {
    const req = this.#req
    if (req.destroyed && !hasArrived(req)) {
      stream.destroy(new Error('the client closed the connection'))
      return
    }
    req.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onClose).on('close', this.#onClose)
    req.resume()
  }

  #unlisten (): void {
    this.#req.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onClose).off('close', this.#onClose)
  }
}
