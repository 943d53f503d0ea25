import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, ServerHttp2Stream } from 'node:http2'

/**
 * The stream of a request that came over HTTP/2, null for HTTP/1.1. Node's compatibility API gives such a request the
 * face of an `IncomingMessage`, and some of its parts another meaning.
 */
export function http2StreamOf (req: IncomingMessage): ServerHttp2Stream | null {
  return req.httpVersionMajor === 2 ? (req as unknown as Http2ServerRequest).stream : null
}

/**
 * Whether a response has closed already, so that nobody will be told of it any more. In HTTP/2 the response itself does
 * not say so.
 */
export function hasClosed (req: IncomingMessage, res: ServerResponse): boolean {
  const stream = http2StreamOf(req)
  return stream === null ? res.destroyed || res.closed : stream.destroyed
}
