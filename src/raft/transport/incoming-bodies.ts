import type { IncomingMessage } from 'node:http'
import { BusyError, MalformedMessageError, TooLargeError } from '../errors.ts'
import { readBody } from './http-body.ts'
import { Overdue } from './overdue.ts'
import type { BodyLimits } from './peer-limits.ts'
import { Shares } from './shares.ts'

/**
 * The bodies that peers send, bounded before they are read: each by its size and by the time that it may take, those of
 * one sender and of all by what they take in memory together.
 */
export class IncomingBodies {
  readonly #limits: BodyLimits
  readonly #shares: Shares
  readonly #overdue: Overdue<() => void>

  constructor (limits: BodyLimits) {
    this.#limits = limits
    this.#shares = new Shares({ total: limits.maxBytesOfAll, each: limits.maxBytesOfSender })
    this.#overdue = new Overdue(limits.bodyTimeoutMs, (tooLate) => { tooLate() })
  }

  /** What the bodies in memory count, in bytes. */
  get bytes (): number { return this.#shares.taken }

  /**
   * Reads the body of a request and resolves with what `use` makes of it; the body counts for its sender until then.
   * Rejects, before a byte is read, with `RAFT_MALFORMED_MESSAGE` when the request does not say how long it is,
   * `RAFT_TOO_LARGE`, and `RAFT_BUSY` when there is no room; later with `RAFT_REQUEST_TIMEOUT`, or when the connection
   * breaks.
   */
  async take<T> (
    request: IncomingMessage,
    sender: string,
    maxBytes: number,
    use: (body: Uint8Array) => T | Promise<T>
  ): Promise<T> {
    const length = request.headers['content-length']
    // Peers always say it. Room would have to be kept for the largest body otherwise.
    if (length === undefined) throw new MalformedMessageError('its length is not given')
    if (Number(length) > maxBytes) throw new TooLargeError(`The body is larger than ${maxBytes} bytes`)
    const bytes = Math.max(this.#limits.leastBytes, Number(length))
    if (!this.#shares.take(sender, bytes)) {
      throw new BusyError(`peers send more at once than this node takes, and ${sender} is one of them`)
    }
    try {
      return await use(await readBody(request, maxBytes, this.#overdue))
    } finally {
      this.#shares.give(sender, bytes)
    }
  }
}
