import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type { FastifyReply } from 'fastify'

/**
 * A sketch of a hop without an HTTP client: bytes to a kept socket, and as much of the answer's head read as it needs.
 * It bounds what a client of our own could gain over undici. It keeps no rule of HTTP that the comparison can do
 * without.
 */
export class WireSketch {
  readonly #port: number
  readonly #host: string
  readonly #idle: WireConnection[] = []
  readonly #all = new Set<WireConnection>()

  constructor (upstream: string) {
    const { hostname, port } = new URL(upstream)
    this.#host = hostname
    this.#port = Number(port)
  }

  forward (reply: FastifyReply, headers: readonly string[], body: Buffer | null): void {
    const { method = '', url = '' } = reply.request.raw
    let head = `${method} ${url} HTTP/1.1\r\n`
    for (let at = 0; at + 1 < headers.length; at += 2) head += `${headers[at] ?? ''}: ${headers[at + 1] ?? ''}\r\n`
    const connection = this.#idle.pop() ?? this.#connect()
    connection.send(reply, head, body)
  }

  close (): void {
    for (const connection of this.#all) connection.close()
  }

  #connect (): WireConnection {
    const connection = new WireConnection(connect(this.#port, this.#host), (idle) => { this.#idle.push(idle) })
    this.#all.add(connection)
    return connection
  }
}

class WireConnection {
  readonly #socket: Socket
  readonly #isIdle: (self: WireConnection) => void
  #reply: FastifyReply | null = null
  #received: Buffer | null = null

  constructor (socket: Socket, isIdle: (self: WireConnection) => void) {
    this.#socket = socket
    this.#isIdle = isIdle
    socket.setNoDelay(true)
    socket.on('data', (bytes) => { this.#read(bytes) })
    socket.on('error', () => { this.#reply?.raw.destroy() })
  }

  send (reply: FastifyReply, head: string, body: Buffer | null): void {
    this.#reply = reply
    // One write, as for our own hop: the head and a body that is there already.
    if (body === null) this.#socket.write(`${head}\r\n`, 'latin1')
    else this.#socket.write(Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), body]))
  }

  close (): void {
    this.#socket.destroy()
  }

  #read (bytes: Buffer): void {
    const all = this.#received === null ? bytes : Buffer.concat([this.#received, bytes])
    const headEnd = all.indexOf('\r\n\r\n')
    const lines = headEnd === -1 ? [] : all.toString('latin1', 0, headEnd).split('\r\n')
    const length = Number(lines.find((line) => line.startsWith('content-length: '))?.slice(16))
    if (headEnd === -1 || all.length < headEnd + 4 + length) {
      this.#received = all
      return
    }
    this.#received = null
    const reply = this.#reply
    this.#reply = null
    this.#isIdle(this)
    const headers: string[] = []
    for (const line of lines.slice(1)) {
      const at = line.indexOf(':')
      if (!line.startsWith('Connection') && !line.startsWith('Keep-Alive')) {
        headers.push(line.slice(0, at), line.slice(at + 2))
      }
    }
    reply?.raw.writeHead(Number(lines[0]?.slice(9, 12)), headers)
    reply?.raw.end(all.subarray(headEnd + 4))
  }
}
