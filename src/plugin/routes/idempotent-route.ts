import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest, onSendHookHandler, RouteHandlerMethod, RouteOptions } from 'fastify'
import { isSafeMethod, RequestBody } from '../../gateway/internal.ts'
import {
  AnswerNotKeptError,
  BusyError,
  IdempotencyConflictError,
  InvalidOptionsError,
  InvalidRequestError,
  isRaftError,
  RequestLostError,
  RequestPendingError
} from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { defaults } from '../../raft/internal.ts'
import type { KeyedRequest, KeyedRequests } from '../primitives/keyed-requests.ts'
import type { RequestDone } from '../replicated/keyed-request.ts'
import { sendRefusal, withhold } from './answers.ts'
import type { GuardContext } from './hop-guard.ts'
import { isGivenUp, refuseHop } from './hop-guard.ts'
import { parseIdempotencyKey } from './idempotency-key.ts'
import type { IdempotencyRules } from './idempotent-mark.ts'
import { bodyOfKept, fieldsOfKept, keepAnswer, notKept } from './kept-answer.ts'
import { RequestNotes } from './request-notes.ts'
import { addFirstOnSend, refuseLate } from './route-guards.ts'

/** Says in an answer that it was given before. */
const replayedHeader = 'idempotent-replayed'

/** What the guard of an idempotent route works with. */
export interface IdempotentContext extends GuardContext {
  readonly keyed: KeyedRequests
}

/** One run of a handler for a key. */
interface Execution {
  readonly request: KeyedRequest
  readonly attempt: number
  /** `ending`: its answer is being remembered, or is. */
  state: 'running' | 'ending'
  /** The handler has not returned, or its promise is open. */
  isWorking: boolean
  /** It has returned, and neither it nor Fastify will send anything. */
  isSilent: boolean
  isClosed: boolean
}

const executions = new RequestNotes<Execution>('execution')

/**
 * Makes the handler of a route run once for all requests with the same Idempotency-Key. To be called by an onRoute
 * hook, before the handler is guarded otherwise. Requests without a key, and those that only read, are served as ever.
 */
export function guardIdempotent (context: IdempotentContext, rules: IdempotencyRules, route: RouteOptions): void {
  const guard = new IdempotentRoute(context, rules, route.handler)
  route.handler = guard.handler
  // Before the other onSend hooks of the route, which may compress; those run for an answer that is given again too.
  addFirstOnSend(route, guard.onSend)
}

type ServeParameters =
  readonly [request: FastifyRequest, reply: FastifyReply, field: string | string[], run: () => unknown]

class IdempotentRoute {
  readonly handler: RouteHandlerMethod
  readonly #context: IdempotentContext
  readonly #rules: IdempotencyRules

  constructor (context: IdempotentContext, rules: IdempotencyRules, handler: RouteHandlerMethod) {
    this.#context = context
    this.#rules = rules
    const serve = async (...parts: ServeParameters): Promise<unknown> => await this.#serve(...parts)
    this.handler = function (request, reply) {
      const run = (): unknown => handler.call(this, request, reply)
      if (isSafeMethod(request.method)) return run()
      const field = request.headers['idempotency-key']
      if (field !== undefined) return serve(request, reply, field, run)
      if (!rules.required) return run()
      sendRefusal(reply, context.cluster, new InvalidRequestError('this route needs the field Idempotency-Key'))
      return undefined
    }
  }

  /** Remembers an answer before it goes out: what a client has seen is never executed again. */
  readonly onSend: onSendHookHandler = (request, reply, payload, done) => {
    const execution = executions.of(request.raw)
    if (execution?.state !== 'running') {
      done(null, payload)
      return
    }
    const answer = keepAnswer(reply, payload, this.#rules)
    this.#end(execution, answer).then((isRemembered) => {
      // Another handler may run for the key, or none.
      const { headers } = this.#rules
      done(null, isRemembered ? payload : withhold(reply, this.#context.cluster, payload, [...headers, ...ofAnswer]))
    }, (error: unknown) => { done(error as Error) })
  }

  async #serve (...[request, reply, field, run]: ServeParameters): Promise<unknown> {
    const { keyed, cluster } = this.#context
    let admission, keyedRequest
    try {
      keyedRequest = this.#identify(request, field)
      admission = await keyed.admit(keyedRequest, this.#rules)
    } catch (error) {
      if (!isRaftError(error)) throw error
      if (error instanceof InvalidOptionsError) throw error
      if (isRefusal(error)) {
        sendRefusal(reply, cluster, error)
      } else {
        // Nobody took the entry that begins it, or nobody knows: the handler did not run.
        refuseLate(this.#context, request, reply)
      }
      return await nothing()
    }
    switch (admission.kind) {
      case 'run':
        if (!isGivenUp(request.raw, reply.raw)) {
          return await this.#run({ request: keyedRequest, attempt: admission.attempt }, request, reply, run)
        }
        // The entry took longer than its sender waits. The key first: what is refused here may be sent again.
        await keyed.finish(keyedRequest, admission.attempt, { kind: 'request-released' }, this.#rules)
        reply.hijack()
        refuseHop(this.#context, request.raw, reply.raw)
        break
      case 'replay':
        this.#replay(reply, admission.answer)
        break
      case 'pending':
        reply.header('retry-after', defaults.retryAfterSeconds)
        sendRefusal(reply, cluster, new RequestPendingError())
        break
      case 'lost':
        sendRefusal(reply, cluster, new RequestLostError())
        break
      case 'not-leader':
        refuseLate(this.#context, request, reply)
    }
    return await nothing()
  }

  async #run (
    { request: keyedRequest, attempt }: Pick<Execution, 'request' | 'attempt'>,
    request: FastifyRequest,
    reply: FastifyReply,
    run: () => unknown
  ): Promise<unknown> {
    const execution: Execution = {
      request: keyedRequest, attempt, state: 'running', isWorking: true, isSilent: false, isClosed: false
    }
    executions.set(request.raw, execution)
    reply.raw.once('close', () => {
      execution.isClosed = true
      this.#endUnseen(execution, reply)
    })
    const rest = async (isSilent: boolean): Promise<never> => {
      Object.assign(execution, { isWorking: false, isSilent })
      this.#endUnseen(execution, reply)
      return await nothing()
    }
    const waitsForReply = watchThen(reply)
    try {
      const returned = run()
      // A callback calls `reply.send` later.
      if (returned === undefined) return await rest(false)
      const payload: unknown = await Promise.resolve(returned)
      // The same, and the client left before that: Fastify gives the reply up, and the callback knows nothing of it.
      if (payload === undefined && waitsForReply()) return await rest(false)
      // It has called `reply.send` itself, or taken the response over, or nobody is there any more.
      if (payload === undefined && (isEnding(execution) || reply.sent || execution.isClosed)) return await rest(true)
      return payload
    } catch (error) {
      if (reply.sent) return await rest(true)
      throw error
    }
  }

  /** The handler has answered over the raw response, which nobody can see, or not at all. */
  #endUnseen (execution: Execution, reply: FastifyReply): void {
    const { state, isWorking, isSilent, isClosed } = execution
    if (state !== 'running' || isWorking || !isClosed || !(isSilent || reply.sent)) return
    this.#end(execution, notKept(reply, 'unseen')).catch((err: unknown) => { reply.log.error({ err }, 'unexpected') })
  }

  async #end (execution: Execution, answer: RequestDone): Promise<boolean> {
    execution.state = 'ending'
    const { request, attempt } = execution
    // Nobody knows what a handler has done that failed.
    const isReleased = this.#rules.mayRepeat && answer.statusCode >= 500
    const outcome = isReleased ? { kind: 'request-released' } as const : answer
    return await this.#context.keyed.finish(request, attempt, outcome, this.#rules)
  }

  #replay (reply: FastifyReply, answer: RequestDone): void {
    reply.header(replayedHeader, 'true')
    const body = bodyOfKept(answer)
    if (body === null) {
      const why = notKeptReasons[answer.encoding as keyof typeof notKeptReasons]
      sendRefusal(reply, this.#context.cluster, new AnswerNotKeptError(answer.statusCode, why))
      return
    }
    reply.code(answer.statusCode)
    for (const [name, values] of fieldsOfKept(answer)) reply.header(name, values.length === 1 ? values[0] : values)
    reply.send(body.length === 0 ? undefined : body)
  }

  #identify (request: FastifyRequest, field: string | string[]): KeyedRequest {
    const key = parseIdempotencyKey(field)
    const { caller, route } = this.#rules
    const whose = caller === null ? null : caller(request)
    if (whose !== null && (typeof whose !== 'string' || whose === '')) {
      throw new InvalidOptionsError(`idempotent.caller of ${route} must return a text, and returned ${typeof whose}`)
    }
    return { key: hashOf(whose, key), fingerprint: fingerprintOf(request, caller === null) }
  }
}

/** Whether a request is refused for itself; any other error of the cluster is about the leader. */
function isRefusal (error: Error): error is Error & Refusal {
  return [InvalidRequestError, IdempotencyConflictError, BusyError].some((ErrorClass) => error instanceof ErrorClass)
}

/** Fields that tell what an answer has brought about. */
const ofAnswer = ['location', 'set-cookie']

const notKeptReasons = {
  'too-large': 'it is larger than idempotent.maxBytes of the route',
  stream: 'it was a stream',
  unseen: 'the handler wrote it to the raw response, or gave none'
} as const

/** Nothing for Fastify to send. A promise of its own: one for all would keep every reply that waits for it. */
async function nothing (): Promise<never> {
  return await new Promise<never>(() => {})
}

/** Looked up again: a hook may have changed it meanwhile. */
function isEnding ({ state }: Execution): boolean {
  return state === 'ending'
}

/** Whether somebody has waited for the reply, as handlers do that return it. */
function watchThen (reply: FastifyReply): () => boolean {
  let isWaitedFor = false
  const then = reply.then.bind(reply)
  const watched: FastifyReply['then'] = (fulfilled, rejected) => {
    isWaitedFor = true
    then(fulfilled, rejected)
  }
  Object.assign(reply, { then: watched })
  return () => isWaitedFor
}

/** What a request asks for: method, target and body, and with whose credentials where nobody says whose key it is. */
function fingerprintOf (request: FastifyRequest, withCredentials: boolean): string {
  const { authorization, cookie } = request.headers
  return hashOf(
    request.method,
    request.originalUrl,
    withCredentials ? [authorization ?? null, cookie ?? null] : null,
    contentOf(request)
  )
}

/** The body as the handler sees it. One that the handler reads itself cannot be told from another of its length. */
function contentOf (request: FastifyRequest): unknown {
  const { body, raw } = request
  if (typeof body === 'string') return ['text', body]
  if (body instanceof Uint8Array) return ['bytes', createHash('sha256').update(body).digest('base64')]
  if (body !== undefined && body !== null) {
    try {
      return ['json', JSON.stringify(body, withEntries)]
    } catch {
      // Parts of a form that are streams, for instance.
    }
  }
  return RequestBody.isPresent(raw) ? ['unread', request.headers['content-length'] ?? null] : null
}

/** What parsers may make of a form, and JSON knows nothing of: to JSON all of them are equal, whatever they hold. */
function withEntries (_name: string, value: unknown): unknown {
  const isCollection = [URLSearchParams, FormData, Map, Set].some((Collection) => value instanceof Collection)
  if (isCollection) return [...value as Iterable<unknown>]
  return value instanceof Blob ? ['blob', value.type, value.size] : value
}

function hashOf (...texts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('base64url')
}
