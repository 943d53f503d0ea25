import { InvalidRequestError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'

/** A string of RFC 9651 section 3.3.3, with parameters, which mean nothing here. */
const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"(?:;[ ]*[a-z*][a-z0-9_.*-]*(?:=(?:"[^"]*"|[^",; ]*))?)*$/
/** What most clients send: the key as it is. Without what a list or parameters would be made of. */
const bare = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+$/

/**
 * The key in the field Idempotency-Key: a string in quotes, as draft-ietf-httpapi-idempotency-key-header section 2.1
 * has it, or the same key without them. Throws `RAFT_INVALID_REQUEST` for everything else, two fields included.
 */
export function parseIdempotencyKey (value: string | readonly string[]): string {
  const text = typeof value === 'string' ? value.trim() : value.join()
  const key = quoted.exec(text)?.[1]?.replace(/\\(.)/g, '$1') ?? bare.exec(text)?.[0] ?? ''
  if (key.length === 0 || key.length > limits.maxIdempotencyKeyLength) {
    throw new InvalidRequestError(
      `the Idempotency-Key is one string of 1 to ${limits.maxIdempotencyKeyLength} visible ASCII characters, in ` +
        'double quotes or, without quotes, commas, semicolons and spaces, as it is'
    )
  }
  return key
}
