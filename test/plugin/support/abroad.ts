import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** An address that no machine has (RFC 5737). */
export const farAway = '192.0.2.99'

/** Lets everybody who calls this application seem to be on another machine. */
export function abroad (app: FastifyInstance, address = farAway): FastifyInstance {
  app.server.prependListener('connection', (socket: Socket) => {
    Object.defineProperty(socket, 'remoteAddress', { value: address, configurable: true })
  })
  return app
}
