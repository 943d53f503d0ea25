import type { WaitOptions } from '../../raft/index.ts'
import { FencedError, InvalidOptionsError } from '../../raft/index.ts'
import type { OnceCondition } from '../replicated/command.ts'
import { idempotencyDefaults, limits } from '../replicated/limits.ts'
import { isIdempotencyKey } from '../replicated/validate.ts'
import type { IdempotencyRules, PrimitiveContext } from './context.ts'

/** Conditions of a write or command, and how long it may take. */
export interface WriteOptions extends WaitOptions {
  /** Apply only while this fencing token, of a leadership or a lock, is valid; else `RAFT_FENCED`. */
  readonly fence?: string | undefined
  /**
   * 1 to 200 characters. Calls with the same key on the same map or machine apply once within the horizon
   * (`idempotency.horizonMs` of the options, 10 minutes by default); later calls, on any node, get the first answer,
   * and `RAFT_IDEMPOTENCY_CONFLICT` if they ask for something else. `RAFT_BUSY` when there is no room for a new key.
   */
  readonly idempotencyKey?: string | undefined
}

const defaultRules: IdempotencyRules = { origin: 'api', ...idempotencyDefaults }

/** The conditions as commands carry them. Throws `RAFT_INVALID_OPTIONS` or `RAFT_FENCED`. */
export function conditionsOf (
  { idempotency = defaultRules }: PrimitiveContext,
  { fence, idempotencyKey }: WriteOptions
): { readonly fence?: number, readonly once?: OnceCondition } {
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) {
    throw new InvalidOptionsError(`an idempotency key has 1 to ${limits.maxIdempotencyKeyLength} characters`)
  }
  return {
    ...(fence === undefined ? {} : { fence: parseToken(fence) }),
    ...(idempotencyKey === undefined ? {} : { once: { key: idempotencyKey, ...idempotency } })
  }
}

/** A fencing token as callers see it: a decimal string, because JSON readers may round large numbers. */
export function formatToken (token: number): string {
  return String(token)
}

/** Fencing tokens and sessions are indexes of the log, as text: their form in schemas. */
export const indexText = { pattern: '^[1-9][0-9]{0,14}$' }

/** Whether this is a fencing token as {@link formatToken} writes it. */
export function isTokenText (value: unknown): value is string {
  return typeof value === 'string' && /^[1-9][0-9]{0,15}$/.test(value) && Number.isSafeInteger(Number(value))
}

/** Reads a fencing token. A text that is not a token is never valid: throws `RAFT_FENCED`. */
function parseToken (token: string): number {
  if (!isTokenText(token)) throw new FencedError(token)
  return Number(token)
}
