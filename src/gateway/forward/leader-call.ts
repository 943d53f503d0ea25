import type { IncomingMessage } from 'node:http'
import type { Clock, LeaderInfo } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { hashOfBody, Nonce, nonceField, proofField } from '../../raft/internal.ts'
import type { AdminAnswer, AdminCall, AdminClient } from './admin-client.ts'
import { AdminCallError } from './admin-client.ts'
import { Deadline } from './deadline.ts'
import { callHeaders } from './header-rules.ts'
import { judgeNotExecuted, notExecutedHeader } from './hop.ts'
import type { HopSender } from './hop-sender.ts'
import { createAttempt, ownFields } from './hop-sender.ts'
import type { LeaderSearch } from './leader-search.ts'
import { LeaderRetries } from './leader-search.ts'
import { refusals } from './refusals.ts'

/** Where a call for the leader stands. */
type LeaderCallOutcome =
  /** This node leads, so the caller does the work itself. */
  | { readonly kind: 'local' }
  | { readonly kind: 'answered', readonly answer: AdminAnswer }
  /** It surely did nothing (503), or may have been executed (502, 504). */
  | { readonly kind: 'refused', readonly refusal: Refusal }

/** What a {@link LeaderCall} works with. */
interface LeaderCallParts {
  readonly sender: HopSender
  readonly search: LeaderSearch
  readonly client: AdminClient
  readonly clock: Clock
  /** Deadline over all attempts. Milliseconds. */
  readonly timeoutMs: number
  /** Id of the node whose own call it is; undefined for a client's. */
  readonly caller: string | undefined
}

/**
 * A call of an admin route that belongs to the leader, made in the name of a client. It takes one hop, fenced as every
 * forwarded request is, and waits and retries by the same rules. Forwarded requests cannot reach these routes, since
 * there the path is the client's; here it is built by the route. The client's header fields go along, so that the
 * application can ask its callers for credentials on the leader as well.
 */
export class LeaderCall {
  readonly #parts: LeaderCallParts
  readonly #client: IncomingMessage
  readonly #call: AdminCall
  readonly #retries: LeaderRetries
  #deadline: Deadline | null = null
  #tried: LeaderInfo | 'self' | null = null
  #count = 0

  constructor (parts: LeaderCallParts, client: IncomingMessage, call: AdminCall) {
    this.#parts = parts
    this.#client = client
    this.#call = call
    this.#retries = new LeaderRetries(parts.search)
  }

  /**
   * Sends the call, and again while it surely was not executed and time is left. After `local` it may be called again:
   * this node has lost its leadership before it could do the work.
   */
  async next (): Promise<LeaderCallOutcome> {
    for (;;) {
      const found = await this.#find()
      if (found.kind === 'refused') return found
      this.#count++
      this.#tried = found.leader
      if (found.leader === 'self') return { kind: 'local' }
      const outcome = await this.#send(found.leader)
      if (outcome !== 'not-executed') return outcome
    }
  }

  async #find (): Promise<
    | { readonly kind: 'found', readonly leader: LeaderInfo | 'self' }
    | { readonly kind: 'refused', readonly refusal: Refusal }
  > {
    if (this.#count > 0) {
      const failed = { leader: this.#tried, count: this.#count, deadline: this.#startedDeadline() }
      const next = await this.#retries.nextOrSelf(failed)
      return next.kind === 'aborted' ? { kind: 'refused', refusal: refusals.closing() } : next
    }
    const { search } = this.#parts
    const target = await search.target()
    switch (target.kind) {
      case 'local': return { kind: 'found', leader: 'self' }
      case 'remote': return { kind: 'found', leader: target.leader }
      case 'none': return { kind: 'refused', refusal: search.refusalOf(target) }
    }
  }

  async #send (leader: LeaderInfo): Promise<LeaderCallOutcome | 'not-executed'> {
    const { sender, search, client, caller } = this.#parts
    const deadline = this.#startedDeadline()
    const attempt = createAttempt(sender, leader.url)
    const upstream = { url: leader.url, leader }
    const own = ownFields(sender, upstream, attempt, {
      method: this.#call.method,
      target: this.#call.path,
      client: this.#client,
      bodyHash: hashOfBody(this.#call.body === null ? '' : JSON.stringify(this.#call.body)),
      leftMs: deadline.remainingMs,
      ...(caller === undefined ? {} : { caller })
    })
    try {
      const answer = await client.call(leader.url, this.#call, {
        headers: callHeaders(this.#client.rawHeaders, own),
        memberId: leader.id,
        timeoutMs: Math.max(1, deadline.remainingMs)
      })
      const { statusCode, headers, text } = answer
      const { [notExecutedHeader]: marker, [nonceField]: told, [proofField]: proof } = headers
      const value = typeof marker === 'string' ? marker : undefined
      // One that says so and does not prove it proves its answer neither.
      if (judgeNotExecuted(statusCode, value, attempt, own.proof) === 'not-executed') {
        const nonce = Nonce.parse(told)
        if (nonce !== null) sender.nonces.learn(upstream, nonce)
        search.reportFailure(leader, 'not-executed')
        return 'not-executed'
      }
      if (own.proof?.isAnswered(proof, statusCode, text) !== false) return { kind: 'answered', answer }
      search.reportFailure(leader, 'lost')
      return { kind: 'refused', refusal: refusals.outcomeUnknown(502, deadline.elapsedMs) }
    } catch (error) {
      if (!(error instanceof AdminCallError)) throw error
      search.reportFailure(leader, error.failure === 'not-sent' ? 'not-sent' : 'lost')
      if (error.failure === 'not-sent') return 'not-executed'
      const statusCode = error.failure === 'timed-out' ? 504 : 502
      return { kind: 'refused', refusal: refusals.outcomeUnknown(statusCode, deadline.elapsedMs) }
    }
  }

  /** Runs from the moment that somebody to call is known, as it does for forwarded requests. */
  #startedDeadline (): Deadline {
    const { clock, timeoutMs } = this.#parts
    this.#deadline ??= new Deadline(clock, timeoutMs, timeoutMs)
    return this.#deadline
  }
}
