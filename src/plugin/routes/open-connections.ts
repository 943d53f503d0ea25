import type { Server as HttpServer } from 'node:http'
import type { Http2Session } from 'node:http2'
import type { Socket } from 'node:net'

/**
 * The connections of the servers, whatever is spoken on them. Node keeps a list for HTTP/1.1 alone, and a server waits
 * for all of them when it closes: sessions of HTTP/2, connections that have not begun TLS, upgraded ones.
 */
export class OpenConnections {
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<Http2Session>()

  watch (server: HttpServer): void {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => { this.#sockets.delete(socket) })
    })
    server.on('session', (session: Http2Session) => {
      this.#sessions.add(session)
      session.once('close', () => { this.#sessions.delete(session) })
    })
  }

  /** Ends the sessions of HTTP/2 as soon as their streams are over, and tells the clients. */
  endSessions (): void {
    for (const session of this.#sessions) if (!session.closed) session.close()
  }

  /** Cuts all connections. */
  cut (): void {
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#sockets) socket.destroy()
  }
}
