import { setMaxListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { hasClosed, http2StreamOf } from '../../gateway/internal.ts'

const signals = new WeakMap<ServerResponse, AbortSignal>()

/**
 * A signal that aborts when the client has gone before its answer was complete. Built on the close of the response:
 * the request closes as soon as its body was read, so that `request.signal` of Fastify aborts at once, or never, on a
 * request with a body.
 */
export function clientSignalOf (reply: FastifyReply): AbortSignal {
  const { raw } = reply
  const known = signals.get(raw)
  if (known !== undefined) return known
  const controller = new AbortController()
  const { signal } = controller
  // One signal serves everything that works for the request.
  setMaxListeners(0, signal)
  signals.set(raw, signal)
  const judge = (): void => { if (isCut(reply)) controller.abort() }
  if (hasClosed(reply.request.raw, raw)) judge()
  else raw.once('close', judge)
  return signal
}

/** Whether a response that is closed was cut. In HTTP/2 one that the client has reset counts as finished. */
function isCut ({ raw, request }: FastifyReply): boolean {
  return !raw.writableFinished || http2StreamOf(request.raw)?.aborted === true
}
