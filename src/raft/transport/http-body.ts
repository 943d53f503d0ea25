import type { IncomingMessage, ServerResponse } from 'node:http'
import { RequestTimeoutError, TooLargeError } from '../errors.ts'
import type { Overdue } from './overdue.ts'

/**
 * Reads the whole body of a request. Rejects with `RAFT_TOO_LARGE` as soon as it is larger than allowed, with
 * `RAFT_REQUEST_TIMEOUT` when `overdue` ends it, and when the connection breaks.
 */
export function readBody (
  request: IncomingMessage,
  maxBytes: number,
  overdue: Overdue<() => void> | null = null
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = Number(request.headers['content-length'] ?? 0)
    const tooLate = (): void => { fail(new RequestTimeoutError()) }
    const fail = (error: Error): void => {
      overdue?.done(tooLate)
      request.removeAllListeners('data')
      reject(error)
    }
    const isTooLarge = (): boolean => {
      if (bytes <= maxBytes) return false
      fail(new TooLargeError(`The body is larger than ${maxBytes} bytes`))
      return true
    }
    if (isTooLarge()) return
    overdue?.begin(tooLate)
    bytes = 0
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.byteLength
      isTooLarge()
    })
    request.on('end', () => {
      overdue?.done(tooLate)
      const [first] = chunks
      resolve(first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks))
    })
    request.on('error', fail)
  })
}

/** Answers with a body, all at once. */
export function sendBody (response: ServerResponse, statusCode: number, type: string, body: Uint8Array): void {
  response.writeHead(statusCode, { 'content-type': type, 'content-length': body.byteLength })
  response.end(body)
}
