import type { Server } from 'node:http'
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { endAfterAnswer } from '../../gateway/internal.ts'
import { RequestNotes } from './request-notes.ts'

const heads = new RequestNotes<Buffer>('upgrade')

/** What came behind a request to switch protocols; undefined for any other request, and for one made by `injectWS`. */
export function upgradeHeadOf (req: IncomingMessage): Buffer | undefined {
  return heads.of(req)
}

type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Buffer) => void

/**
 * Judges requests to switch protocols as others, before what listens for them: the internal fields are taken off, and
 * what `isRefused` answers goes to nobody else. A server on which nobody listens goes on to take them for requests of
 * HTTP. To be called once everybody listens.
 */
export function filterUpgrades (
  server: Server,
  isRefused: (req: IncomingMessage, res: ServerResponse) => boolean
): void {
  const others = server.listeners('upgrade') as UpgradeListener[]
  if (others.length === 0) return
  server.removeAllListeners('upgrade')
  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    // `injectWS` emits the event with something like a request, which no hop has behind it.
    if (req instanceof IncomingMessage) {
      if (isAnswered(req, socket, isRefused)) return
      heads.set(req, head)
    }
    for (const other of others) other.call(server, req, socket, head)
  })
}

function isAnswered (
  req: IncomingMessage,
  socket: Duplex,
  isRefused: (req: IncomingMessage, res: ServerResponse) => boolean
): boolean {
  const res = new ServerResponse(req)
  // Node's own has its socket in the same way; the types know connections of TCP alone.
  res.assignSocket(req.socket)
  endAfterAnswer(res, socket)
  const answered = isRefused(req, res)
  if (answered) socket.on('error', () => { socket.destroy() })
  else res.detachSocket(req.socket)
  return answered
}
