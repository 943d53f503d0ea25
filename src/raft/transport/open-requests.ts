import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Timers } from '../runtime/timers.ts'
import { systemTimers } from '../runtime/timers.ts'

/**
 * How long an idle connection of a client stays open at least once connections end, in milliseconds, so that its next
 * request is told so, and is not cut off on its way.
 */
const lingerMs = 100
/**
 * How long the idle connections of nodes and gateways that forwarded to this one may stay open once it leads no more,
 * in milliseconds. They close them when they hear of the next leader: until then one may be just about to forward.
 */
const forwarderLingerMs = 1_000

/**
 * The requests of a server that have no whole answer yet, and the connections that requests came on.
 *
 * Counts by the end of each response, which comes also when a client leaves or an answer is cut, whatever its method:
 * the hooks of Fastify are not told of all of these. Every request of the application passes here: it costs a look-up
 * and one listener.
 */
export class OpenRequests {
  /** Open connections, and what is open on each, in the order of the requests: one, unless they are pipelined. */
  readonly #connections = new Map<Socket, ServerResponse[]>()
  /** The open connections that forwarded requests came on. */
  readonly #ofForwarders = new Set<Socket>()
  #size = 0
  readonly #waiting = new Set<() => void>()
  #endsConnections = false
  readonly #timers: Timers

  constructor (timers: Timers = systemTimers) {
    this.#timers = timers
  }

  /** How many requests have no whole answer yet. */
  get size (): number {
    return this.#size
  }

  /** How many connections are open that a request came on. */
  get connections (): number {
    return this.#connections.size
  }

  /** Whether the body of some request has not arrived in full. */
  get isReceiving (): boolean {
    for (const open of this.#connections.values()) {
      if (open.some(({ req }) => !req.complete && !req.destroyed)) return true
    }
    return false
  }

  /** A request has arrived. Call it once for each, before anything answers. */
  add ({ socket }: IncomingMessage, response: ServerResponse): void {
    const open = this.#connections.get(socket) ?? this.#connect(socket)
    const before = open.at(-1)
    open.push(response)
    this.#size++
    response.on('close', () => { this.#ended(response, open) })
    if (!this.#endsConnections) return
    if (before?.headersSent === false) before.shouldKeepAlive = true
    response.shouldKeepAlive = false
  }

  /** A node or a gateway forwards on the connection of this request, which was added, and may do so again. */
  addForwarder ({ socket }: IncomingMessage): void {
    if (this.#connections.has(socket)) this.#ofForwarders.add(socket)
  }

  /**
   * From now on the last answer on each connection says that the connection closes (RFC 9112 section 9.6), also when
   * its request is open already: a client that believed otherwise could send its next request just when the connection
   * is closed.
   */
  endConnections (): void {
    this.#endsConnections = true
    for (const open of this.#connections.values()) {
      const last = open.at(-1)
      if (last?.headersSent === false) last.shouldKeepAlive = false
    }
  }

  /** Ends connections, and gives clients the time to notice, within `withinMs`. */
  async linger (withinMs: number): Promise<void> {
    this.endConnections()
    await this.until(() => this.connections === 0, Math.min(lingerMs, withinMs))
  }

  /** Waits, within `withinMs`, for those who forwarded to this node to turn to the next leader. */
  async lingerForForwarders (withinMs: number): Promise<void> {
    await this.until(() => this.#ofForwarders.size === 0, Math.min(forwarderLingerMs, withinMs))
  }

  /**
   * Resolves with true as soon as the condition holds, asked at each change. After `timeoutMs` it
   * resolves with whether the condition holds then.
   */
  async until (condition: () => boolean, timeoutMs: number): Promise<boolean> {
    if (condition()) return true
    return await new Promise((resolve) => {
      const end = (holds: boolean): void => {
        cancel()
        this.#waiting.delete(look)
        resolve(holds)
      }
      const look = (): void => { if (condition()) end(true) }
      // Behind what has already arrived: after a stall of the event loop that comes first.
      const over = (): void => { this.#timers.soon(() => { end(condition()) }) }
      const cancel = this.#timers.after(Math.max(0, timeoutMs), over)
      this.#waiting.add(look)
    })
  }

  #ended (response: ServerResponse, open: ServerResponse[]): void {
    // Most often it is the only one: that costs no array of what was taken out.
    if (open.length === 1 && open[0] === response) open.pop()
    else {
      const at = open.indexOf(response)
      if (at === -1) return
      open.splice(at, 1)
    }
    this.#size--
    this.#changed()
  }

  #connect (socket: Socket): ServerResponse[] {
    const open: ServerResponse[] = []
    this.#connections.set(socket, open)
    socket.once('close', () => {
      this.#connections.delete(socket)
      this.#ofForwarders.delete(socket)
      const left = open.splice(0)
      this.#size -= left.length
      for (const response of left) tellOfEnd(response)
      this.#changed()
    })
    return open
  }

  #changed (): void {
    if (this.#waiting.size > 0) for (const look of [...this.#waiting]) look()
  }
}

/**
 * Node.js 20 and 22 do not tell a response of the end of its connection that waits there behind another one (RFC 9112
 * section 9.3.2). What works for it would never end. Newer ones do, a tick later: then there is nothing left to tell.
 */
function tellOfEnd (response: ServerResponse): void {
  if (response.socket !== null || response.writableFinished) return
  response.destroy()
  process.nextTick(() => { if (!response.closed) response.emit('close') })
}
