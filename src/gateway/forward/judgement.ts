import type { Refusal } from '../../raft/internal.ts'
import type { ExchangeOutcome } from './exchange.ts'
import { refusals } from './refusals.ts'
import type { AttemptFailure } from './upstreams.ts'

/** Lost connections after which even a repeatable request is given up: it may be what kills the nodes. */
const maxLostAttempts = 2

/** Methods that change nothing (RFC 9110 section 9.2.1). */
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Whether a method only reads (RFC 9110 section 9.2.1). */
export function isSafeMethod (method: string): boolean {
  return safeMethods.has(method)
}

/** How an attempt ended that the client got no answer from. */
export type FailedOutcome = Exclude<ExchangeOutcome, { readonly kind: 'answered' | 'client-gone' }>

/** What is known after such an attempt, as far as it decides what comes next. */
export interface AttemptFacts {
  readonly outcome: FailedOutcome
  readonly method: string
  /** What the route says; see ForwardPolicy. */
  readonly repeatable: boolean | undefined
  /** Whether it has a key, by which the leader may know it: only a leader that does will take it again. */
  readonly isKeyed: boolean
  /** Whether all of the body can be sent again; a request without one has it. */
  readonly isBodyAtHand: boolean
  /** Attempts whose connection was lost, this one included. */
  readonly lostAttempts: number
  /** Time left until the deadline of the request, and taken since it came. Milliseconds. */
  readonly remainingMs: number
  readonly elapsedMs: number
  /** Whether the budget allows to send one more request that may have been executed. */
  readonly hasBudget: boolean
}

/** What follows from an attempt that the client got no answer from. */
type Verdict =
  | { readonly kind: 'retry', readonly failure: AttemptFailure }
  | { readonly kind: 'refuse', readonly failure: AttemptFailure | null, readonly refusal: Refusal }

/**
 * Whether a request may be sent again, and else what the client is told.
 *
 * What surely was not executed is sent again whatever its method, as long as its body is at hand: who looks for the
 * next node keeps to the deadline and pauses. What may have been executed is sent again once at most, in time, within
 * the budget, and only if it changes nothing, its route is repeatable, or the leader knows it by its key.
 */
export function judge (facts: AttemptFacts): Verdict {
  const { outcome, isBodyAtHand } = facts
  switch (outcome.kind) {
    case 'unsendable':
      return { kind: 'refuse', failure: null, refusal: refusals.badRequest(outcome.message) }
    case 'unusable':
      return { kind: 'refuse', failure: null, refusal: inDoubt(facts, 502, outcome.message) }
    case 'not-sent':
      return { kind: 'retry', failure: 'not-sent' }
    case 'not-executed':
      return isBodyAtHand
        ? { kind: 'retry', failure: 'not-executed' }
        : { kind: 'refuse', failure: 'not-executed', refusal: refusals.bodyGone() }
    case 'lost': {
      if (mayRepeat(facts)) return { kind: 'retry', failure: 'lost' }
      const statusCode = outcome.timedOut ? 504 : 502
      const refusal = inDoubt(facts, statusCode, 'The connection was lost before an answer came')
      return { kind: 'refuse', failure: 'lost', refusal }
    }
  }
}

/** What the client is told of a request that may have been executed. */
function inDoubt (facts: AttemptFacts, statusCode: 502 | 504, message: string): Refusal {
  const { method, repeatable, elapsedMs } = facts
  // A route that is not repeatable has effects, whatever its method promises.
  const changesNothing = isSafeMethod(method) && repeatable !== false
  if (!changesNothing) return refusals.outcomeUnknown(statusCode, elapsedMs)
  return statusCode === 504 ? refusals.timeout(elapsedMs) : refusals.badGateway(message)
}

/** Whether a request may run twice, whatever its key. */
export function isHarmless (method: string, repeatable: boolean | undefined): boolean {
  return repeatable ?? isSafeMethod(method)
}

function mayRepeat (facts: AttemptFacts): boolean {
  const { method, repeatable, isKeyed, isBodyAtHand, lostAttempts, remainingMs, hasBudget } = facts
  const isAllowed = isKeyed || isHarmless(method, repeatable)
  return isAllowed && isBodyAtHand && lostAttempts < maxLostAttempts && remainingMs > 0 && hasBudget
}
