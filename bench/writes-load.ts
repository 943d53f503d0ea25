import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'

/** One kind of write, ready to be sent: requests for the keys in turn, each the bytes of a whole HTTP/1.1 request. */
export interface WriteTarget {
  readonly url: string
  readonly requests: readonly Buffer[]
}

/** The result of one turn of load. Times in milliseconds. */
export interface Load {
  readonly writes: number
  readonly elapsedMs: number
  readonly latenciesMs: readonly number[]
}

/** The bytes of a request with a JSON body. */
export function requestBytes (method: string, url: URL, body: string): Buffer {
  const head = [
    `${method} ${url.pathname} HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/**
 * Writes from a number of clients at once. Each has its own connection and sends its next write when the previous one
 * is acknowledged. Rejects when a connection fails or an answer is not 200: a benchmark of refusals means nothing.
 *
 * It writes HTTP/1.1 itself, because this process shares the processors with the servers that it measures.
 */
export async function writeFor (target: WriteTarget, clients: number, milliseconds: number): Promise<Load> {
  const { hostname, port } = new URL(target.url)
  const connections = await Promise.all(Array.from({ length: clients }, async () => {
    const socket = createConnection({ host: hostname, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    return socket
  }))
  const latenciesMs: number[] = []
  let next = 0
  const start = performance.now()
  const end = start + milliseconds
  try {
    await Promise.all(connections.map((socket) => new Promise<void>((resolve, reject) => {
      const exchange = new Exchange(socket, reject, () => {
        latenciesMs.push(performance.now() - sentAt)
        send()
      })
      let sentAt = 0
      const send = (): void => {
        sentAt = performance.now()
        if (sentAt >= end) {
          resolve()
          return
        }
        const request = target.requests[next++ % target.requests.length]
        if (request === undefined) throw new Error('there is nothing to write')
        exchange.send(request)
      }
      send()
    })))
    return { writes: latenciesMs.length, elapsedMs: performance.now() - start, latenciesMs }
  } finally {
    for (const socket of connections) socket.destroy()
  }
}

const endOfHead = '\r\n\r\n'

/** One connection, one request at a time. */
class Exchange {
  readonly #socket: Socket
  readonly #answered: () => void
  readonly #failed: (reason: Error) => void
  #received = ''

  constructor (socket: Socket, failed: (reason: Error) => void, answered: () => void) {
    this.#socket = socket
    this.#failed = failed
    this.#answered = answered
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => { this.#take(text) })
    socket.on('error', failed)
    socket.on('close', () => { failed(new Error('the server closed a connection')) })
  }

  send (request: Buffer): void {
    this.#socket.write(request)
  }

  #take (text: string): void {
    this.#received += text
    const headEnds = this.#received.indexOf(endOfHead)
    if (headEnds === -1) return
    const head = this.#received.slice(0, headEnds)
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
    if (length === undefined) {
      this.#failed(new Error(`an answer without a length: ${head}`))
      return
    }
    if (this.#received.length < headEnds + endOfHead.length + Number(length)) return
    const answer = this.#received
    this.#received = ''
    if (answer.startsWith('HTTP/1.1 200 ')) this.#answered()
    else this.#failed(new Error(`a write was refused: ${answer}`))
  }
}
