import type { Leadership } from '../../raft/index.ts'
import { IdempotencyConflictError, isRaftError, OutcomeUnknownError } from '../../raft/index.ts'
import type { OnceCondition } from '../replicated/command.ts'
import { requestConflict } from '../replicated/idempotency-table.ts'
import type { RequestBegun, RequestDone, RequestReleased, RequestState } from '../replicated/keyed-request.ts'
import { idempotencyDefaults } from '../replicated/limits.ts'
import type { PrimitiveContext } from './context.ts'
import { DoubtfulBegins } from './doubtful-begins.ts'
import { proposeToRequest } from './propose.ts'

/** A request that carries an idempotency key. */
export interface KeyedRequest {
  /** Hash of the key and of whose key it is. */
  readonly key: string
  /** Hash of what the request asks for. */
  readonly fingerprint: string
}

/** How the requests of one route are remembered. */
export interface KeyedRules {
  /** How long an answer is remembered at least, in milliseconds of log time; null: as the options of the plugin say. */
  readonly ttlMs: number | null
  /** Room for an answer, in bytes. */
  readonly maxBytes: number
  /** Whether the handler may run again when nobody knows what an attempt did. */
  readonly mayRepeat: boolean
  /** How long a leader waits for the end of what began under an earlier one, in milliseconds. */
  readonly graceMs: number
}

/** What is to be done with a request. */
type Admission =
  /** The handler runs now; `attempt` has to be finished. */
  | { readonly kind: 'run', readonly attempt: number }
  | { readonly kind: 'replay', readonly answer: RequestDone }
  /** A handler is at work for the key. */
  | { readonly kind: 'pending' }
  /** A handler was at work for the key, and nobody knows what it did. */
  | { readonly kind: 'lost' }
  /** This node leads no more. No handler ran. */
  | { readonly kind: 'not-leader' }

/** What this node did with requests that carry an idempotency key, since its start. */
export interface KeyedRequestStats {
  /** Handlers at work. */
  readonly running: number
  /** Handlers that have answered, with an answer or an outcome that is remembered. */
  readonly executed: number
  /** Requests that were answered with what is remembered. */
  readonly replayed: number
  /** Requests that were refused, since a handler was at work for their key: 409. */
  readonly pending: number
  /** Requests that were refused, since their key belongs to another request: 422. */
  readonly conflicts: number
  /** Requests that were refused, since nobody knows what the handler for their key did: 409. */
  readonly lost: number
}

/**
 * Lets the handler of a request with an idempotency key run once, over nodes and leaders. The log decides: the entry
 * that begins an attempt carries the token of the leadership that it runs under, so that a deposed leader begins
 * nothing, and its index names the attempt, so that only the attempt under way can end with an answer.
 *
 * Whether an attempt without an end is still at work, the log cannot say. The leader looks: its own it knows, those of
 * an earlier leader get `graceMs` from the start of its leadership on. That is patience and no promise. Once the leader
 * has had the log decide, the attempt ends with nothing, however long its handler goes on.
 */
export class KeyedRequests {
  readonly #context: PrimitiveContext
  /** The requests that this node works on, from before their begin to their end, by key. */
  readonly #open = new Map<string, KeyedRequest>()
  readonly #doubtful = new DoubtfulBegins()
  #ledSinceMs = 0
  readonly #counts = { executed: 0, replayed: 0, pending: 0, conflicts: 0, lost: 0 }

  constructor (context: PrimitiveContext) {
    this.#context = context
    context.engine.events.on('leadership', (leadership) => {
      if (leadership !== null) this.#ledSinceMs = context.clock.monotonicMs()
    })
  }

  get stats (): KeyedRequestStats {
    return { running: this.#open.size, ...this.#counts }
  }

  /**
   * Decides about a request. Rejects with `RAFT_IDEMPOTENCY_CONFLICT`, and with `RAFT_BUSY` when there is no room for
   * its key; no handler ran then.
   */
  async admit (request: KeyedRequest, rules: KeyedRules): Promise<Admission> {
    try {
      const admission = await this.#admit(request, rules)
      if (admission.kind === 'replay') this.#counts.replayed++
      else if (admission.kind === 'pending' || admission.kind === 'lost') this.#counts[admission.kind]++
      return admission
    } catch (error) {
      if (error instanceof IdempotencyConflictError) this.#counts.conflicts++
      throw error
    }
  }

  /**
   * Remembers what an attempt ended with. False when it was decided otherwise meanwhile, or nobody knows whether it was
   * remembered: the answer must not go out as one then.
   */
  async finish (
    request: KeyedRequest,
    attempt: number,
    outcome: RequestDone | RequestReleased,
    rules: KeyedRules
  ): Promise<boolean> {
    try {
      const once = this.#onceOf(request, rules)
      const answer = await proposeToRequest(this.#context, { kind: 'request-finish', once, attempt, outcome })
      if (answer.kind === 'request-finished' && outcome.kind === 'request-done') this.#counts.executed++
      return answer.kind === 'request-finished'
    } catch (error) {
      if (!isRaftError(error)) throw error
      const { logger } = this.#context
      logger.warn({ err: error, attempt }, 'the end of a request with an idempotency key is not remembered')
      return false
    } finally {
      this.#open.delete(request.key)
    }
  }

  async #admit (request: KeyedRequest, rules: KeyedRules): Promise<Admission> {
    const { engine, machine } = this.#context
    const leadership = engine.currentLeadership()
    if (leadership === null) return { kind: 'not-leader' }
    const open = this.#open.get(request.key)
    const known = open === undefined ? machine.answers.request(this.#onceOf(request, rules)) : null
    const { fingerprint } = open ?? known ?? request
    if (fingerprint !== request.fingerprint && known?.state.kind !== 'request-released') throw conflict()
    if (open !== undefined) return { kind: 'pending' }
    // What is decided stays so: no entry of the log is needed to say it again.
    const decided = known === null ? null : decidedBy(known.state)
    if (decided !== null) return decided
    this.#open.set(request.key, request)
    let isRunning = false
    try {
      const admission = await this.#begin(request, rules, leadership)
      isRunning = admission.kind === 'run'
      this.#doubtful.delete(request.key)
      return admission
    } catch (error) {
      const isFree = known === null || known.state.kind === 'request-released'
      if (isFree && error instanceof OutcomeUnknownError) this.#doubtful.add(request.key, leadership.token)
      throw error
    } finally {
      if (!isRunning) this.#open.delete(request.key)
    }
  }

  async #begin (request: KeyedRequest, rules: KeyedRules, leadership: Leadership): Promise<Admission> {
    const { engine } = this.#context
    let lost: number | null = null
    let { mayRepeat } = rules
    for (;;) {
      const answer = await proposeToRequest(this.#context, {
        kind: 'request-begin',
        once: this.#onceOf(request, rules),
        fingerprint: request.fingerprint,
        answerBytes: rules.maxBytes,
        fence: leadership.token,
        ...(lost === null ? {} : { lost }),
        mayRepeat
      })
      switch (answer.kind) {
        case 'request-started': {
          const { attempt } = answer
          // The entry was written under this leadership; the handler has to run under it as well.
          if (engine.currentLeadership()?.token === leadership.token) return { kind: 'run', attempt }
          await this.finish(request, attempt, { kind: 'request-released' }, rules)
          return { kind: 'not-leader' }
        }
        case 'request-begun':
          if (lost !== null || !this.#isOver(answer, leadership, rules)) return { kind: 'pending' }
          lost = answer.attempt
          mayRepeat ||= answer.token === leadership.token && this.#doubtful.has(request.key, leadership.token)
          break
        case 'request-done':
        case 'request-lost':
          return decidedBy(answer) ?? { kind: 'pending' }
        case 'fenced':
        case 'request-finished':
        case 'request-stale':
          return { kind: 'not-leader' }
      }
    }
  }

  /**
   * Whether an attempt of a key that this node does not work on is taken for over. One of this leadership is: this node
   * began it, and has given it up. One of an earlier leadership may still be at work on another node.
   */
  #isOver ({ token }: RequestBegun, leadership: Leadership, { graceMs }: KeyedRules): boolean {
    return token === leadership.token || this.#context.clock.monotonicMs() - this.#ledSinceMs >= graceMs
  }

  #onceOf ({ key }: KeyedRequest, { ttlMs }: KeyedRules): OnceCondition {
    const { horizonMs, maxBytes } = this.#context.idempotency ?? idempotencyDefaults
    return { key, origin: 'http', horizonMs: ttlMs ?? horizonMs, maxBytes }
  }
}

function decidedBy (state: RequestState): Admission | null {
  switch (state.kind) {
    case 'request-done': return { kind: 'replay', answer: state }
    case 'request-lost': return { kind: 'lost' }
    case 'request-begun':
    case 'request-released': return null
  }
}

function conflict (): Error {
  return new IdempotencyConflictError(requestConflict.message)
}
