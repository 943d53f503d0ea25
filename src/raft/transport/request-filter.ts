import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/** A listener for the requests of a Node HTTP server. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/**
 * Asks `answers` first about every request of a server. What it has answered (true) goes to none of the listeners that
 * were there when it was put in front of them.
 */
export const filterRequests = (server: Server, answers: (request: IncomingMessage, response: ServerResponse) => boolean): void => {
  const others = server.listeners('request') as RequestHandler[]
  const [only, ...more] = others
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (answers(request, response)) return
    only?.call(server, request, response)
    for (const other of more) other.call(server, request, response)
  })
}

/**
 * Takes all requests below a path prefix off an HTTP server before Fastify sees them, whatever hooks the application
 * has and in whatever order its plugins were registered.
 */
export const interceptPeerRequests = (server: Server, pathPrefix: string, handler: RequestHandler): void => {
  filterRequests(server, (request, response) => {
    if (request.url?.startsWith(pathPrefix) !== true) return false
    handler(request, response)
    return true
  })
}
