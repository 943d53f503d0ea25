import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import type { LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { errorHeaders, errorText } from '../../raft/internal.ts'
import { http2StreamOf } from './http2-stream.ts'
import type { OwnHeaders } from './types.ts'

/** How long a client that still uploads is listened to after its answer was written. */
const lingerMs = 1_000

/** Response fields that describe or frame a body: those of the body that was to come do not fit a refusal. */
export const bodyFields: ReadonlySet<string> = new Set([
  'content-encoding', 'content-language', 'content-length', 'content-location', 'content-range', 'etag',
  'last-modified', 'trailer', 'transfer-encoding'
])

/**
 * Answers with a refusal instead of the leader: an `ErrorBody`. `ownHeaders` are response fields that this node adds,
 * by lower-case name; those of the refusal itself come first. Cuts the connection when an answer has begun already,
 * since a second one must not follow it.
 */
export function answerRefusal (
  req: IncomingMessage,
  res: ServerResponse,
  refusal: Refusal,
  leader: LeaderInfo | null,
  ownHeaders: OwnHeaders = {}
): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const body = Buffer.from(errorText(refusal, { leader, term: leader?.term ?? 0 }))
  const headers = { ...errorHeaders(refusal), 'content-length': String(body.length), 'cache-control': 'no-store' }
  const named = leader === null ? {} : { 'raft-leader': leader.url, 'raft-term': String(leader.term) }
  setOwnHeaders(res, ownHeaders)
  res.writeHead(refusal.statusCode, { ...headers, ...named })
  endResponse(req, res, req.method === 'HEAD' ? null : body)
}

function setOwnHeaders (res: ServerResponse, ownHeaders: OwnHeaders): void {
  for (const [name, value] of Object.entries(ownHeaders)) {
    if (value === undefined) continue
    try {
      res.setHeader(name, value)
    } catch {
      // The application has set a field that HTTP does not allow. Its client is answered all the same, without it.
      res.removeHeader(name)
    }
  }
  for (const name of bodyFields) res.removeHeader(name)
}

/**
 * Ends an answer with the last part of its body, null for none. While the client still uploads, its bytes are read and
 * thrown away for a moment first: a socket closed over unread bytes is reset, and the client would lose the answer (RFC
 * 9112 section 9.6).
 */
export function endResponse (req: IncomingMessage, res: ServerResponse, rest: Buffer | null = null): void {
  if (hasArrived(req) || req.destroyed || res.destroyed) {
    // Of HTTP/1.1, Node reads off by itself what nobody has begun to read.
    if (!req.destroyed && (req.readableDidRead || req.httpVersionMajor === 2)) req.resume()
    endWith(res, rest)
    return
  }
  const stream = http2StreamOf(req)
  if (stream !== null) {
    // The answer does not wait for the upload, and the client is asked to stop that (RFC 9113 section 8.1).
    stream.once('finish', () => { stream.close(constants.NGHTTP2_NO_ERROR) })
    endWith(res, rest)
    return
  }
  if (rest === null) res.flushHeaders()
  else res.write(rest)
  const timer = setTimeout(finish, lingerMs)
  function finish (): void {
    clearTimeout(timer)
    req.off('end', finish).off('close', finish).off('error', finish)
    // Without a callback for `end`: the response of `inject` takes it for a body (light-my-request before 6.8).
    if (!hasArrived(req)) res.once('finish', () => { req.socket.destroySoon() })
    res.end()
  }
  req.on('end', finish).on('close', finish).on('error', finish)
  req.resume()
}

function endWith (res: ServerResponse, rest: Buffer | null): void {
  if (rest === null) res.end()
  else res.end(rest)
}

/**
 * Whether all of a request has come in. Node says so in `complete`; requests made by `inject` have no such property and
 * no real socket, only a stream that ends. In HTTP/2 `complete` holds for a request that was cut off as well.
 */
export function hasArrived (req: IncomingMessage): boolean {
  const stream = http2StreamOf(req)
  return req.readableEnded || (stream === null ? req.complete : stream.endAfterHeaders)
}
