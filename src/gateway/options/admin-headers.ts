import { Type } from './schema.ts'
import type { Fault } from './schema-reader.ts'

/** Header fields by name. */
export type AdminHeaders = Readonly<Record<string, string>>

/** Header fields of the calls of the cluster's own routes on other nodes; {@link checkAdminHeaders} has the rules. */
export const adminHeadersSchema = Type.Record(Type.String(), Type.String({ maxLength: 8_192 }), {
  description:
    'Header fields to send with calls of the routes under the prefix of other nodes, for a proxy in front of them ' +
      'that asks for credentials.'
})

/** Fields of the connection, of the message and of the cluster itself. */
const taken: ReadonlySet<string> = new Set([
  'connection', 'content-encoding', 'content-length', 'content-type', 'expect', 'forwarded', 'host', 'keep-alive',
  'origin', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'via', 'x-real-ip'
])

/** Refuses names and values that no field has (RFC 9110 section 5), and fields that are not the caller's to set. */
export function checkAdminHeaders (headers: AdminHeaders | undefined, faults: Fault[]): void {
  if (typeof headers !== 'object' || headers === null) return
  for (const [name, value] of Object.entries(headers)) {
    const message = faultOf(name.toLowerCase(), value)
    if (message !== null) faults.push({ path: `adminHeaders[${JSON.stringify(name)}]`, message })
  }
}

/** Without the value: it may be a secret. */
function faultOf (name: string, value: unknown): string | null {
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return 'is not the name of a header field'
  if (taken.has(name) || name.startsWith('raft-') || name.startsWith('x-forwarded-')) return 'cannot be set'
  if (typeof value === 'string' && !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return 'has a value that no field can have'
  return null
}

/** Names and values in turn, as undici takes them. */
export function flatHeaders (headers: AdminHeaders): string[] {
  return Object.entries(headers).flat()
}
