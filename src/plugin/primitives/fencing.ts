import { FencedError, InvalidRequestError } from '../../raft/index.ts'
import { isTokenText } from './conditions.ts'

/** The request field in which a holder shows its fencing token to another service. */
export const fencingField = 'x-fencing-token'

/**
 * Whether a resource may let a write under `token` follow what it has: `kept` is the highest token that it has let in,
 * as a decimal string; null or `'0'` before the first. The same holder may write again. What is not a token is never
 * let in. Throws a `RangeError` when `kept` is no number: the resource has lost its fence.
 *
 * Look, write and keep the token in one step: one statement, one transaction, or code without an `await`. Otherwise two
 * writers both look first.
 */
export function admitsToken (kept: string | null, token: unknown): token is string {
  if (kept !== null && !/^[0-9]{1,16}$/.test(kept)) throw new RangeError(`The token kept is not a number: ${kept}`)
  return isTokenText(token) && BigInt(token) >= BigInt(kept ?? 0)
}

/**
 * Throws unless {@link admitsToken}: `RAFT_FENCED` (412) when a later holder was let in already, `RAFT_INVALID_REQUEST`
 * (400) when there is no token or it is malformed. In a route of Fastify either one is the answer.
 */
export function assertToken (kept: string | null, token: unknown): asserts token is string {
  if (admitsToken(kept, token)) return
  if (isTokenText(token)) throw new FencedError(token)
  throw new InvalidRequestError(`${fencingField} is a decimal number without leading zeros`)
}
