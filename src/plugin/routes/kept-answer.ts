import type { FastifyReply } from 'fastify'
import type { NotKeptReason, RequestDone } from '../replicated/keyed-request.ts'

/** Fields without which a body means something else. */
const ofBody = ['content-type', 'content-encoding', 'content-language']

/** Which part of an answer is kept. */
export interface KeepingRules {
  /** Names of fields, in lower case, beside those that tell of the body. */
  readonly headers: readonly string[]
  /** Size of fields and body together, in bytes. */
  readonly maxBytes: number
}

/** The answer of a handler as it is remembered. `payload` is what a hook `onSend` is given. */
export function keepAnswer (reply: FastifyReply, payload: unknown, { headers, maxBytes }: KeepingRules): RequestDone {
  const kept = [...ofBody, ...headers].flatMap((name) => linesOf(reply, name))
  const body = bodyOf(payload)
  const bytes = kept.reduce((sum, text) => sum + Buffer.byteLength(text), body?.length ?? 0)
  if (body === null) return notKept(reply, 'stream')
  if (bytes > maxBytes) return notKept(reply, 'too-large')
  return { kind: 'request-done', statusCode: reply.statusCode, headers: kept, ...encode(body) }
}

/** An answer of which only the status is known, if that. */
export function notKept ({ statusCode }: FastifyReply, reason: NotKeptReason): RequestDone {
  return { kind: 'request-done', statusCode, headers: [], body: null, encoding: reason }
}

/** The body as it was; null when it was not kept. */
export function bodyOfKept ({ body, encoding }: RequestDone): Buffer | null {
  return body === null ? null : Buffer.from(body, encoding === 'base64' ? 'base64' : 'utf8')
}

/** The fields with all values of each. */
export function fieldsOfKept ({ headers }: RequestDone): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>()
  for (let at = 0; at < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2)
    fields.set(name, [...fields.get(name) ?? [], value])
  }
  return fields
}

function linesOf (reply: FastifyReply, name: string): string[] {
  const value = reply.getHeader(name)
  if (value === undefined) return []
  return [value].flat().flatMap((item) => [name, String(item)])
}

/** Null for a body that is not there as a whole. */
function bodyOf (payload: unknown): Buffer | null {
  if (payload === undefined || payload === null) return Buffer.alloc(0)
  if (typeof payload === 'string') return Buffer.from(payload, 'utf8')
  return payload instanceof Uint8Array ? Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength) : null
}

/** As text where that is shorter in a command, which is JSON. */
function encode (body: Buffer): { readonly body: string, readonly encoding: 'utf8' | 'base64' } {
  const text = body.toString('utf8')
  const base64 = body.toString('base64')
  const isText = JSON.stringify(text).length <= base64.length + 2 && Buffer.from(text, 'utf8').equals(body)
  return isText ? { body: text, encoding: 'utf8' } : { body: base64, encoding: 'base64' }
}
