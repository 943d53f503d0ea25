import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * The requests of a server that have no whole answer yet, and the connections that requests came on.
 *
 * Counts by the end of each response, which comes also when a client leaves or an answer is cut, whatever its method:
 * the hooks of Fastify are not told of all of these.
 */
export class OpenRequests {
  readonly #responses = new Set<ServerResponse>()
  /** Open connections, and what is open on each. */
  readonly #connections = new Map<Socket, Set<ServerResponse>>()
  readonly #waiting = new Set<() => void>()
  #endsConnections = false

  /** How many requests have no whole answer yet. */
  get size (): number {
    return this.#responses.size
  }

  /** How many connections are open that a request came on. */
  get connections (): number {
    return this.#connections.size
  }

  /** Whether the body of some request has not arrived in full. */
  get isReceiving (): boolean {
    for (const { req } of this.#responses) if (!req.complete && !req.destroyed) return true
    return false
  }

  /** A request has arrived. Call it once for each, before anything answers. */
  add ({ socket }: IncomingMessage, response: ServerResponse): void {
    const open = this.#connections.get(socket) ?? this.#connect(socket)
    const before = this.#endsConnections ? [...open].at(-1) : undefined
    open.add(response)
    this.#responses.add(response)
    response.once('close', () => {
      open.delete(response)
      this.#responses.delete(response)
      this.#changed()
    })
    if (!this.#endsConnections) return
    if (before?.headersSent === false) before.shouldKeepAlive = true
    response.shouldKeepAlive = false
  }

  /**
   * From now on the last answer on each connection says that the connection closes (RFC 9112 section 9.6), also when
   * its request is open already: a client that believed otherwise could send its next request just when the connection
   * is closed.
   */
  endConnections (): void {
    this.#endsConnections = true
    for (const open of this.#connections.values()) {
      const last = [...open].at(-1)
      if (last?.headersSent === false) last.shouldKeepAlive = false
    }
  }

  /**
   * Resolves with true as soon as the condition holds, asked at each change. After `timeoutMs` it
   * resolves with whether the condition holds then.
   */
  async until (condition: () => boolean, timeoutMs: number): Promise<boolean> {
    if (condition()) return true
    return await new Promise((resolve) => {
      const end = (holds: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(holds)
      }
      const look = (): void => { if (condition()) end(true) }
      // Behind what has already arrived: after a stall of the event loop that comes first.
      const timer = setTimeout(() => { setImmediate(() => { end(condition()) }) }, Math.max(0, timeoutMs))
      this.#waiting.add(look)
    })
  }

  #connect (socket: Socket): Set<ServerResponse> {
    const open = new Set<ServerResponse>()
    this.#connections.set(socket, open)
    socket.once('close', () => {
      this.#connections.delete(socket)
      // A response that waits behind another one on its connection (RFC 9112 section 9.3.2) is not told of the end.
      for (const response of open) this.#responses.delete(response)
      open.clear()
      this.#changed()
    })
    return open
  }

  #changed (): void {
    for (const look of [...this.#waiting]) look()
  }
}
