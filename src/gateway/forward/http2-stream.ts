import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest, ServerHttp2Stream } from 'node:http2'

/**
 * The stream of a request that came over HTTP/2, null for HTTP/1.1. Node's compatibility API gives such a request the
 * face of an `IncomingMessage`, and some of its parts another meaning.
 */
export function http2StreamOf (req: IncomingMessage): ServerHttp2Stream | null {
  return req.httpVersionMajor === 2 ? (req as unknown as Http2ServerRequest).stream : null
}
