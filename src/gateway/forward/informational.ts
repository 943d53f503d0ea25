import type { IncomingMessage, ServerResponse } from 'node:http'
import { responseHeaders } from './header-rules.ts'

/** A part of a Link field: commas within targets and quotes separate nothing (RFC 8288 section 3). */
const linkValue = /(?:<[^>]*>|"(?:[^"\\]|\\.)*"|[^,<"])+/g

/**
 * Passes an informational answer on to the client: 102 and 103. Of the others, 100 has been given here, and 101 belongs
 * to upgrades (RFC 9110 section 15.2). A proxy may leave them out, so one that Node does not write is left out; to
 * clients of HTTP/1.0 none may be sent.
 */
export function passInformational (
  req: IncomingMessage,
  res: ServerResponse,
  statusCode: number,
  raw: ReadonlyArray<string | Buffer>
): void {
  // What `inject` makes has no socket, and takes these lines for the answer.
  if (req.httpVersion === '1.0' || !('complete' in req) || res.headersSent || res.destroyed) return
  if (statusCode === 102 && 'writeProcessing' in res) res.writeProcessing()
  if (statusCode === 103) passEarlyHints(res, responseHeaders(raw, statusCode))
}

function passEarlyHints (res: ServerResponse, lines: readonly string[]): void {
  const hints: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const name = (lines[index] ?? '').toLowerCase()
    const value = lines[index + 1] ?? ''
    if (name.startsWith('raft-')) continue
    const values = name === 'link' ? (value.match(linkValue) ?? []).map((part) => part.trim()) : [value]
    hints[name] = [...hints[name] ?? [], ...values.filter((part) => part !== '')]
  }
  try {
    res.writeEarlyHints(hints)
  } catch {
    // Node writes no links of another form than it knows. It is a hint, and the answer has them too.
  }
}
