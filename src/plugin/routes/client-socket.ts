import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { ClientView } from '../../raft/internal.ts'

/**
 * Lets a forwarded request look as it did on the node that the client called: its socket has that client's address, and
 * is encrypted if that connection was. All that Fastify and its plugins make of a request (`ip`, `ips`, `protocol`,
 * `host`, and what `trustProxy` says about them) follows from the socket and the fields: it is the same on every node.
 */
export function showClient (req: IncomingMessage, view: ClientView): void {
  const socket = new Proxy(req.socket, new ClientSocket(view))
  // A request over HTTP/2 has it from its stream, and does not let it be set.
  if (!Reflect.set(req, 'socket', socket)) {
    Object.defineProperty(req, 'socket', { value: socket, configurable: true, writable: true })
  }
  // Node's other name for it, by which examples for certificates of clients ask.
  Reflect.set(req, 'client', socket)
}

/** What only sockets with TLS have, and would say something of the hop. */
const tlsNames: ReadonlySet<string> = new Set([
  'encrypted', 'authorized', 'authorizationError', 'getPeerCertificate', 'getPeerX509Certificate'
])

/** The socket of the hop, with the face of the client's. One for each request: the connection serves many clients. */
class ClientSocket implements ProxyHandler<IncomingMessage['socket']> {
  readonly #view: ClientView

  constructor (view: ClientView) {
    this.#view = view
  }

  get (socket: IncomingMessage['socket'], name: string | symbol): unknown {
    const { address, port, isTls } = this.#view
    switch (name) {
      case 'remoteAddress': return address === '' ? undefined : address
      case 'remotePort': return address === '' ? undefined : port
      case 'remoteFamily': return address === '' ? undefined : `IPv${isIP(address)}`
      case 'encrypted': return isTls ? true : undefined
      // The certificate of the connection is that of the node that forwarded the request, and the client's is not here.
      case 'authorized': return isTls ? false : undefined
      case 'authorizationError': return isTls ? 'FORWARDED' : undefined
      case 'getPeerCertificate': return isTls ? () => ({}) : undefined
      case 'getPeerX509Certificate': return isTls ? () => undefined : undefined
      // With the socket itself as receiver: its accessors know no proxy.
      default: return Reflect.get(socket, name, socket)
    }
  }

  has (socket: IncomingMessage['socket'], name: string | symbol): boolean {
    return typeof name === 'string' && tlsNames.has(name) ? this.#view.isTls : Reflect.has(socket, name)
  }
}
