import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'

/** Bytes of an HMAC-SHA256. */
export const macBytes = 32

/** HMAC-SHA256 (RFC 2104) over parts that are told apart by what stands before them, never by where they end. */
export function macOf (key: KeyObject, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const hmac = createHmac('sha256', key)
  for (const part of parts) hmac.update(part)
  return hmac.digest()
}

/** Compares in a time that does not depend on where they differ. */
export function isSameMac (expected: Buffer, given: Uint8Array): boolean {
  return given.byteLength === expected.byteLength && timingSafeEqual(expected, given)
}

/** What a message of a session is, apart from its body. */
type Sealed =
  | { readonly kind: 'request', readonly counter: number, readonly path: string }
  | { readonly kind: 'answer', readonly counter: number, readonly path: string, readonly statusCode: number }

/**
 * The MAC of a message of one session. The session's key stands for version, cluster, sender and receiver. The kind
 * stands first: a request that is sent back is no answer. The counter ties an answer to its request.
 */
export function sealOf (key: KeyObject, sealed: Sealed, body: Uint8Array): Buffer {
  const status = sealed.kind === 'answer' ? sealed.statusCode : ''
  return macOf(key, `${sealed.kind} ${sealed.counter} ${status} ${sealed.path}\n`, body)
}
