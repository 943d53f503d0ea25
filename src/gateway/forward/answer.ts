import type { IncomingMessage, ServerResponse } from 'node:http'
import { STATUS_CODES } from 'node:http'
import type { Refusal } from './refusals.ts'
import type { LeaderTarget } from './types.ts'

/** How long a client that still uploads is listened to after its answer was written. */
const lingerMs = 1_000

/** Seconds in the retry-after of a 503: elections take about one. */
const retryAfterSeconds = '1'

/**
 * Answers with a refusal of our own: `{statusCode, code, error, message, leader, term}`. Cuts the connection instead
 * when an answer has begun already, since a second one must not follow it.
 */
export function answerRefusal (
  req: IncomingMessage,
  res: ServerResponse,
  refusal: Refusal,
  leader: LeaderTarget | null
): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const body = Buffer.from(
    JSON.stringify({
      statusCode: refusal.statusCode,
      code: refusal.code,
      error: STATUS_CODES[refusal.statusCode] ?? 'Error',
      message: refusal.message,
      leader,
      term: leader?.term ?? 0
    })
  )
  const headers = [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(body.length),
    'cache-control',
    'no-store'
  ]
  if (refusal.statusCode === 503) headers.push('retry-after', retryAfterSeconds)
  if (leader !== null) headers.push('raft-leader', leader.url, 'raft-term', String(leader.term))
  res.writeHead(refusal.statusCode, headers)
  res.write(req.method === 'HEAD' ? '' : body)
  endResponse(req, res)
}

/**
 * Ends an answer whose body has been written. While the client still uploads, its bytes are read and thrown away for a
 * moment first: a socket closed over unread bytes is reset, and the client would lose the answer (RFC 9112 section
 * 9.6).
 */
export function endResponse (req: IncomingMessage, res: ServerResponse): void {
  if (hasArrived(req) || req.destroyed || res.destroyed) {
    if (!req.destroyed) req.resume()
    res.end()
    return
  }
  res.flushHeaders()
  const timer = setTimeout(finish, lingerMs)
  function finish (): void {
    clearTimeout(timer)
    req.off('end', finish).off('close', finish).off('error', finish)
    const cut = !hasArrived(req)
    res.end(() => { if (cut) req.socket.destroySoon() })
  }
  req.on('end', finish).on('close', finish).on('error', finish)
  req.resume()
}

/**
 * Whether all of a request has come in. Node says so in `complete`; requests made by `inject` have no such property and
 * no real socket, only a stream that ends.
 */
export function hasArrived (req: IncomingMessage): boolean {
  return req.complete || req.readableEnded
}
