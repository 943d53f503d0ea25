import { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { InvalidOptionsError } from '../../raft/index.ts'

const withHttp1 = 'Fastify({ http2: true, https: { allowHTTP1: true, key, cert } })'

/**
 * Refuses a server that the other members cannot talk to at the URL they know: they speak HTTP/1.1, over TLS if the URL
 * starts with https. A server without TLS may have an https URL, since something in front of it may end TLS. `url` is
 * empty while the node has none. Throws `RAFT_INVALID_OPTIONS`.
 */
export function refuseUnreachableServer (app: FastifyInstance, url: string): void {
  const server: object = app.server
  const isTls = server instanceof TlsServer
  // Node has no public class of either server. Both have the method; one that falls back to HTTP/1.1 has its timeouts.
  if ('updateSettings' in server && !('headersTimeout' in server)) {
    throw new InvalidOptionsError(
      isTls
        ? 'the server speaks HTTP/2 alone, and members and gateways speak HTTP/1.1 to each other: add allowHTTP1, ' +
          `as in ${withHttp1}; clients may go on with HTTP/2`
        : 'the server speaks HTTP/2 without TLS, and members and gateways speak HTTP/1.1 to each other: leave out ' +
          `http2, or serve both over TLS, as in ${withHttp1}`
    )
  }
  if (isTls && url.startsWith('http:')) {
    throw new InvalidOptionsError(
      `the server speaks TLS, and the URL of this node is ${url}, where the others would call it without: let its ` +
        'URL start with https://, on all members alike'
    )
  }
}
