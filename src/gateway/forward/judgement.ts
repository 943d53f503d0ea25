import type { Refusal } from '../../raft/internal.ts'
import type { Deadline } from './deadline.ts'
import type { ExchangeOutcome } from './exchange.ts'
import { refusals } from './refusals.ts'
import type { RequestBody } from './request-body.ts'
import type { ForwardPolicy } from './types.ts'
import type { AttemptFailure } from './upstreams.ts'

/** Lost connections after which even a repeatable request is given up: it may be what kills the nodes. */
const maxLostAttempts = 2

/** Methods that change nothing (RFC 9110 section 9.2.1). */
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Whether a method only reads (RFC 9110 section 9.2.1). */
export function isSafeMethod (method: string): boolean {
  return safeMethods.has(method)
}

/** What follows from an attempt that the client got no answer from. */
type Verdict =
  | { readonly kind: 'retry', readonly failure: AttemptFailure }
  | { readonly kind: 'refuse', readonly failure: AttemptFailure | null, readonly refusal: Refusal }

/** Decides after each attempt of one request whether it may be sent again, and else what the client is told. */
export class Judgement {
  readonly #body: RequestBody | null
  readonly #deadline: Deadline
  readonly #isRepeatable: boolean
  readonly #changesNothing: boolean
  #lostCount = 0

  constructor (method: string, { repeatable }: ForwardPolicy, body: RequestBody | null, deadline: Deadline) {
    this.#body = body
    this.#deadline = deadline
    this.#isRepeatable = repeatable ?? isSafeMethod(method)
    // A route that is not repeatable has effects, whatever its method promises.
    this.#changesNothing = isSafeMethod(method) && this.#isRepeatable
  }

  /** Null when the client has its answer, or is gone. */
  of (outcome: ExchangeOutcome): Verdict | null {
    switch (outcome.kind) {
      case 'answered':
      case 'client-gone':
        return null
      case 'unsendable':
        return { kind: 'refuse', failure: null, refusal: refusals.badRequest(outcome.message) }
      case 'unusable':
        return { kind: 'refuse', failure: null, refusal: this.#inDoubt(502, outcome.message) }
      case 'not-sent':
        return { kind: 'retry', failure: 'not-sent' }
      case 'not-executed':
        return this.#hasBody
          ? { kind: 'retry', failure: 'not-executed' }
          : { kind: 'refuse', failure: 'not-executed', refusal: refusals.bodyGone() }
      case 'lost': {
        this.#lostCount++
        const isTriedAgain = this.#isRepeatable && this.#hasBody && this.#lostCount < maxLostAttempts
        if (isTriedAgain && this.#deadline.remainingMs > 0) return { kind: 'retry', failure: 'lost' }
        const refusal = this.#inDoubt(
          outcome.timedOut ? 504 : 502,
          'The connection was lost before an answer came'
        )
        return { kind: 'refuse', failure: 'lost', refusal }
      }
    }
  }

  /** Whether all of the body can be sent again. */
  get #hasBody (): boolean {
    return this.#body === null || this.#body.replayable
  }

  #inDoubt (statusCode: 502 | 504, message: string): Refusal {
    const { elapsedMs } = this.#deadline
    if (!this.#changesNothing) return refusals.outcomeUnknown(statusCode, elapsedMs)
    return statusCode === 504 ? refusals.timeout(elapsedMs) : refusals.badGateway(message)
  }
}
