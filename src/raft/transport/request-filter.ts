import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/** A listener for the requests of a Node HTTP server. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Answers a request and returns true, or leaves it alone and returns false. */
type RequestFilter = (request: IncomingMessage, response: ServerResponse) => boolean

/**
 * Asks `answers` first about every request of a server. What it has answered goes to none of the listeners that were
 * there when it was put in front of them.
 */
export function filterRequests (server: Server, answers: RequestFilter): void {
  const others = server.listeners('request') as RequestHandler[]
  const [only] = others
  // With every request: a call costs less than a loop.
  const passOn: RequestHandler = others.length === 1 && only !== undefined
    ? only
    : function (this: Server, request, response) { for (const other of others) other.call(this, request, response) }
  server.removeAllListeners('request')
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!answers(request, response)) passOn.call(server, request, response)
  })
}

/**
 * A filter that gives all requests below a path prefix to `handler`: before Fastify sees them, whatever hooks the
 * application has and in whatever order its plugins were registered. While `exists` says no, there is no such prefix.
 */
export function peerRequestFilter (
  pathPrefix: string,
  handler: RequestHandler,
  exists: () => boolean = () => true
): RequestFilter {
  return (request, response) => {
    if (request.url?.startsWith(pathPrefix) !== true || !exists()) return false
    handler(request, response)
    return true
  }
}
