import type { WaitOptions } from '../../raft/index.ts'
import { FencedError, InvalidOptionsError } from '../../raft/index.ts'
import { limits } from '../replicated/limits.ts'
import { isIdempotencyKey } from '../replicated/validate.ts'

/** Conditions of a write or command, and how long it may take. */
export interface WriteOptions extends WaitOptions {
  /** Apply only while this fencing token, of a leadership or a lock, is valid; else `RAFT_FENCED`. */
  readonly fence?: string | undefined
  /**
   * 1 to 200 characters. The same key applies once for an hour; later calls, on any node, get the first answer, and
   * `RAFT_IDEMPOTENCY_CONFLICT` if they ask for something else.
   */
  readonly idempotencyKey?: string | undefined
}

/** The conditions as commands carry them. Throws `RAFT_INVALID_OPTIONS` or `RAFT_FENCED`. */
export function conditionsOf (
  { fence, idempotencyKey }: WriteOptions
): { readonly fence?: number, readonly idempotencyKey?: string } {
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) {
    throw new InvalidOptionsError(`an idempotency key has 1 to ${limits.maxIdempotencyKeyLength} characters`)
  }
  return {
    ...(fence === undefined ? {} : { fence: parseToken(fence) }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey })
  }
}

/** A fencing token as callers see it: a decimal string, because JSON readers may round large numbers. */
export function formatToken (token: number): string {
  return String(token)
}

/** Reads a fencing token. A text that is not a token is never valid: throws `RAFT_FENCED`. */
function parseToken (token: string): number {
  const index = /^[1-9][0-9]{0,15}$/.test(token) ? Number(token) : NaN
  if (!Number.isSafeInteger(index)) throw new FencedError(token)
  return index
}
