import type { AdminClient } from '../../gateway/internal.ts'
import { UnprovenAnswerError } from '../../gateway/internal.ts'
import { OtherSecretError } from '../../raft/index.ts'
import { readErrorAnswer, readMembersAnswer } from './members-answer.ts'

/** What came of asking a node for the members of its cluster. */
export type AskedMembers =
  | {
    readonly kind: 'known'
    readonly url: string
    readonly known: NonNullable<ReturnType<typeof readMembersAnswer>>
  }
  /** Nobody was there, or nobody who knows. */
  | { readonly kind: 'no-answer', readonly url: string, readonly reason: string }
  /** Somebody was there, and did not let this node ask: who belongs may well be known there. */
  | { readonly kind: 'refused', readonly url: string, readonly reason: string, readonly statusCode: number }
  /** Somebody was there who has another secret than this node. */
  | { readonly kind: 'other-secret', readonly url: string, readonly reason: string, readonly error: Error }

/** How to ask. */
interface Question {
  readonly client: AdminClient
  /** Path and query of `members`. */
  readonly path: string
  /** Deadline of the answer. Milliseconds. */
  readonly timeoutMs: number
}

/** Authentication, permission, authentication of a proxy, and too many requests. */
const refusals: ReadonlySet<number> = new Set([401, 403, 407, 429])

/** Asks one node who belongs. Never rejects. */
export async function askMembers (url: string, { client, path, timeoutMs }: Question): Promise<AskedMembers> {
  try {
    const { statusCode, text } = await client.call(url, { method: 'GET', path, body: null }, { timeoutMs })
    const known = statusCode === 200 ? readMembersAnswer(text) : null
    if (known !== null) return { kind: 'known', url, known }
    const error = readErrorAnswer(text)
    const reason = `it answered ${statusCode}${error === null ? '' : ` ${error.code}: ${error.message}`}`
    if (refusals.has(statusCode)) return { kind: 'refused', url, reason, statusCode }
    return { kind: 'no-answer', url, reason: `${reason}, and not with members` }
  } catch (error) {
    const reason = reasonOf(error)
    if (error instanceof OtherSecretError) return { kind: 'other-secret', url, reason, error }
    if (error instanceof UnprovenAnswerError && isAnswerOfNode(error.statusCode)) {
      return { kind: 'refused', url, reason, statusCode: error.statusCode }
    }
    return { kind: 'no-answer', url, reason }
  }
}

/** A proxy answers in place of a node that is not there, with other statuses. */
function isAnswerOfNode (statusCode: number): boolean {
  return statusCode < 300 || refusals.has(statusCode)
}

/** The first cause: that the connection was refused says more than that there was no answer. */
function reasonOf (error: unknown): string {
  let reason = error
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause
  return reason instanceof Error ? reason.message : String(reason)
}
