import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { hasArrived } from './answer.ts'
import { http2StreamOf } from './http2-stream.ts'

/**
 * The body of a client's request, handed to one attempt after another. A small one that came with its head is one
 * buffer. Otherwise each attempt gets a stream of its own, because the HTTP client destroys the stream of a failed
 * attempt, and that must not destroy the client's socket.
 *
 * The first bytes are kept, up to a bound, so that an attempt which was surely not executed can be made again; past the
 * bound nothing is kept, and nothing is read before an attempt reads.
 */
export class RequestBody {
  readonly #req: IncomingMessage
  readonly #replayBytes: number
  readonly #onProgress: () => void
  /** Bytes of the body when that is known and it may be one buffer; -1 otherwise. */
  readonly #wholeBytes: number
  #kept: Buffer[] = []
  #readBytes = 0
  #ended = false
  #stream: Readable | null = null
  /** Called once all of it is here, or cannot be at once. */
  #onGathered: (() => void) | null = null
  #isListening = false

  constructor (req: IncomingMessage, replayBytes: number, onProgress: () => void) {
    this.#req = req
    this.#replayBytes = replayBytes
    this.#onProgress = onProgress
    this.#wholeBytes = wholeBytesOf(req, replayBytes)
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

  /** Whether another attempt can be given the whole body. */
  get replayable (): boolean {
    return this.#readBytes <= this.#replayBytes
  }

  /** Whether all of it has arrived from the client. */
  get ended (): boolean {
    return this.#ended
  }

  /**
   * Reads what has come with the head, and then calls back. That is all of a small body as a rule, and then an attempt
   * can send it in one piece; the rest of any other waits for the attempt.
   */
  gather (onGathered: () => void): void {
    if (this.#wholeBytes === -1) {
      onGathered()
      return
    }
    this.#onGathered = onGathered
    this.#listen()
    // Behind the tick in which the stream hands over what the server's parser has given to it.
    process.nextTick(this.#gathered)
  }

  readonly #gathered = (): void => {
    const onGathered = this.#onGathered
    this.#onGathered = null
    if (onGathered === null) return
    if (!this.#ended) this.#unlisten()
    onGathered()
  }

  /** Whether it is a small one, and all of it is here. */
  get isWhole (): boolean {
    return this.#readBytes === this.#wholeBytes
  }

  /** All of a small body once it is here; null: an attempt takes a stream of it. */
  get whole (): Buffer | null {
    if (!this.isWhole) return null
    const [only] = this.#kept
    return this.#kept.length === 1 && only !== undefined ? only : Buffer.concat(this.#kept)
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
    this.#unlisten()
    stream.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#readBytes += chunk.length
    if (this.replayable) this.#kept.push(chunk)
    else this.#kept = []
    this.#onProgress()
    if (this.#stream?.push(chunk) === false) this.#req.pause()
    if (this.#readBytes === this.#wholeBytes && this.#onGathered !== null) {
      this.#ended = true
      // What is left is the end, which nobody waits for.
      this.#removeListeners()
      this.#gathered()
    }
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
    this.#listen()
  }

  #listen (): void {
    this.#isListening = true
    this.#req.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onClose).on('close', this.#onClose)
    this.#req.resume()
  }

  /** The client's bytes wait in its socket from here on. */
  #unlisten (): void {
    if (!this.#isListening) return
    this.#req.pause()
    this.#removeListeners()
  }

  #removeListeners (): void {
    this.#isListening = false
    this.#req.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onClose).off('close', this.#onClose)
  }
}

/** Bytes of a body that may be handed over as one buffer, by its length (RFC 9110 section 8.6); -1 for any other. */
function wholeBytesOf (req: IncomingMessage, maxBytes: number): number {
  const length = Number(req.headers['content-length'] ?? -1)
  return http2StreamOf(req) === null && length > 0 && length <= maxBytes ? length : -1
}
