import type {
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  onSendHookHandler,
  RouteHandlerMethod,
  RouteOptions
} from 'fastify'
import type { Forwarder, ForwardPolicy, ForwardRequest, OwnHeaders, Target } from '../../gateway/internal.ts'
import { notExecutedHeader, RequestBody } from '../../gateway/internal.ts'
import type { LeaderInfo } from '../../raft/index.ts'
import { BodyConsumedError, NotLeaderError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { confirmsLeadership } from '../cluster/confirm.ts'
import type { PublicUrls } from '../cluster/public-urls.ts'
import { sendRefusal } from './answers.ts'
import type { GuardContext } from './hop-guard.ts'
import { attemptOf, cameByHop, isGivenUp, notExecutedValue, refuseHop } from './hop-guard.ts'
import type { RedirectStatus } from './redirect.ts'
import { redirectionOf, sendRedirect } from './redirect.ts'
import { requestIdForOthers } from './request-id.ts'
import { continueTrace } from './trace-context.ts'
import { upgradeHeadOf } from './upgrades.ts'

/** What the guard of a forwarded route works with. */
export interface ForwardContext extends GuardContext {
  readonly forwarder: Forwarder
  readonly waitForLeaderMs: number
  readonly publicUrls: PublicUrls
}

/**
 * Gives a route a hook behind all its other onRequest hooks, whatever plugins add theirs in which order: authentication
 * and rate limits have run, and no preParsing hook has touched the body. To be called by an onRoute hook.
 */
export function addLastOnRequest (route: RouteOptions, hook: onRequestHookHandler): void {
  // Behind the onRoute hooks of plugins that were registered later, which run in this very call of Fastify. Fastify
  // looks at the hooks when the application gets ready. A new array: the user's own may be shared by routes.
  queueMicrotask(() => { route.onRequest = [...[route.onRequest ?? []].flat(), hook] })
}

/**
 * Gives a route an onSend hook before its other ones, so that they work on what the client gets.
 */
export function addFirstOnSend (route: RouteOptions, hook: onSendHookHandler): void {
  // As above: a new array, and behind the hooks of other plugins, in front of which this one goes.
  queueMicrotask(() => { route.onSend = [hook, ...[route.onSend ?? []].flat()] })
}

/**
 * Refuses a request on a node that does not lead, or sends its client to the leader. To be the last onRequest hook of
 * its route.
 */
export function guardLeaderOnly (context: ForwardContext, redirect?: RedirectStatus): onRequestHookHandler {
  const { cluster } = context
  return guardOr(context, (request, reply) => {
    // A gateway that has asked this node by chance asks the leader itself: its client may reach nobody else.
    if (redirect !== undefined && attemptOf(request.raw) === null) {
      redirectToLeader(context, redirect, request, reply)
      return
    }
    const { leader } = cluster
    const detail = leader === null || leader.id === cluster.nodeId ? 'no leader is known' : `${leader.id} leads`
    refuseAsNotLeader(context, request, reply, detail)
  })
}

function redirectToLeader (
  context: ForwardContext,
  status: RedirectStatus,
  request: FastifyRequest,
  reply: FastifyReply
): void {
  const redirection = redirectionOf(context, request)
  switch (redirection.kind) {
    case 'to':
      sendRedirect(context, reply, status, redirection.location)
      return
    case 'nowhere':
      refuseAsNotLeader(context, request, reply, redirection.detail)
      return
    case 'refused':
      sendRefusal(reply, context.cluster, redirection.refusal)
  }
}

/** Passes a request on to the leader, unless that is this node. Otherwise as {@link guardLeaderOnly}. */
export function guardForward (context: ForwardContext, policy: ForwardPolicy): onRequestHookHandler {
  return guardOr(context, (request, reply, done) => {
    passToLeader(context, policy, request, reply, done)
  })
}

/** Serves on the leader; elsewhere `otherwise`, but for a request that has its hop behind it. */
function guardOr (context: GuardContext, otherwise: onRequestHookHandler): onRequestHookHandler {
  const { engine, cluster: { nodeId } } = context
  return function (request, reply, done) {
    // Every request on the leader comes through here: no promise, no allocation.
    if (engine.currentLeadership() !== null) {
      reply.header('raft-node', nodeId)
      done()
    } else if (cameByHop(request.raw)) {
      // It lost the leadership since the hop was checked. Never a second hop.
      reply.hijack()
      refuseHop(context, request.raw, reply.raw)
    } else {
      otherwise.call(this, request, reply, done)
    }
  }
}

/**
 * Judges once more, right before the handler of a marked route: the leadership may have ended while the body came in or
 * hooks ran, and so may the time of a forwarded request. No handler has run, so the answer is "not executed"; the body
 * is gone, so this node cannot forward it. Where only the lease has lapsed a majority is asked first, for a client that
 * came here: it may have nobody who tries again.
 *
 * Wraps the handler instead of adding a preHandler hook, so that no hook comes in between.
 */
export function guardHandler (context: ForwardContext, handler: RouteHandlerMethod): RouteHandlerMethod {
  const { engine, waitForLeaderMs: timeoutMs } = context
  return function (request, reply) {
    // As above: no promise, no allocation.
    if (isGivenUp(request.raw, reply.raw)) {
      reply.hijack()
      refuseHop(context, request.raw, reply.raw)
      return undefined
    }
    if (engine.currentLeadership() !== null) return handler.call(this, request, reply)
    const open = cameByHop(request.raw) || attemptOf(request.raw) !== null ? null : engine.openLeadership()
    if (open === null) {
      refuseLate(context, request, reply)
      return undefined
    }
    return new Promise((resolve, reject) => {
      confirmsLeadership(engine, open.token, { timeoutMs }).then((isConfirmed) => {
        // Not once the `handlerTimeout` of the route has answered.
        if (reply.sent) return
        if (!isConfirmed) {
          refuseLate(context, request, reply)
          return
        }
        const result: unknown = handler.call(this, request, reply)
        // One that returns nothing sends its answer when it has it.
        if (result !== undefined) resolve(result)
      }).catch(reject)
    })
  }
}

/** Says on a node that has just lost its leadership that the handler did not run. */
export function refuseLate (context: GuardContext, request: FastifyRequest, reply: FastifyReply): void {
  refuseAsNotLeader(context, request, reply, 'its leadership ended before the handler ran; nothing was executed')
}

function refuseAsNotLeader (
  context: GuardContext,
  request: FastifyRequest,
  reply: FastifyReply,
  detail: string
): void {
  refuseUnexecuted(context, request, reply, new NotLeaderError(detail))
}

/** Refuses a request whose handler has not run. With 503, forwarders and gateways send it to another node. */
export function refuseUnexecuted (
  context: GuardContext,
  request: FastifyRequest,
  reply: FastifyReply,
  refusal: Refusal
): void {
  if (refusal.statusCode === 503) {
    if (cameByHop(request.raw)) {
      reply.hijack()
      refuseHop(context, request.raw, reply.raw)
      return
    }
    // A gateway that sent a read to any node sends it to the leader next, if it can trust that nothing was executed.
    const attempt = attemptOf(request.raw)
    if (attempt !== null) reply.header(notExecutedHeader, notExecutedValue(context, request.raw, attempt))
  }
  sendRefusal(reply, context.cluster, refusal)
}

function passToLeader (
  context: ForwardContext,
  policy: ForwardPolicy,
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void
): void {
  const target = context.forwarder.targetNow()
  if (target !== null) {
    pass(context, policy, target, request, reply, done)
    return
  }
  waitForTarget(context, reply).then((found) => {
    // Not once the `handlerTimeout` of the route has answered: nothing may be executed any more.
    if (!reply.sent) pass(context, policy, found, request, reply, done)
  }).catch((err: unknown) => { done(err as Error) })
}

async function waitForTarget ({ forwarder }: ForwardContext, reply: FastifyReply): Promise<Target> {
  const clientGone = new AbortController()
  const onClose = (): void => {
    clientGone.abort()
  }
  reply.raw.once('close', onClose)
  const target = await forwarder.target(clientGone.signal)
  reply.raw.off('close', onClose)
  return target
}

function pass (
  { cluster, forwarder }: ForwardContext,
  policy: ForwardPolicy,
  target: Target,
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void
): void {
  switch (target.kind) {
    case 'local':
      reply.header('raft-node', cluster.nodeId)
      done()
      return
    case 'remote':
      if (isUpgrade(request)) {
        passUpgrade(forwarder, target.leader, request, reply, new RoutedRequest(policy, reply, cluster.nodeId))
        return
      }
      // What is gone cannot be sent, and an empty body in its place would be executed.
      if (RequestBody.isPresent(request.raw) && request.raw.readableDidRead) {
        done(new BodyConsumedError())
        return
      }
      reply.hijack()
      // Fastify's `rewriteUrl` has replaced it: the leader gets what the client sent, and rewrites it itself.
      request.raw.url = request.originalUrl
      continueTrace(request)
      forwarder.forward(request.raw, reply.raw, target.leader, new RoutedRequest(policy, reply, cluster.nodeId))
      return
    case 'none':
      sendRefusal(reply, cluster, forwarder.refusalOf(target))
  }
}

/** Whether a request is to switch protocols, by @fastify/websocket, which takes its connection from the server. */
function isUpgrade (request: FastifyRequest & { readonly ws?: unknown }): boolean {
  return request.ws === true || upgradeHeadOf(request.raw) !== undefined
}

function passUpgrade (
  forwarder: Forwarder,
  leader: LeaderInfo,
  request: FastifyRequest,
  reply: FastifyReply,
  policy: ForwardRequest
): void {
  const head = upgradeHeadOf(request.raw)
  reply.hijack()
  if (head === undefined) {
    // Made by `injectWS`: there is no connection that could be passed on.
    reply.raw.writeHead(501, { connection: 'close' }).end()
    return
  }
  request.raw.url = request.originalUrl
  forwarder.forwardUpgrade({ req: request.raw, res: reply.raw, head }, leader, policy)
}

/** A request with the policy of its route. What only a failure asks for is looked up then. */
class RoutedRequest implements ForwardRequest {
  readonly repeatable: boolean | undefined
  readonly idempotent: boolean | undefined
  readonly timeoutMs: number | undefined
  readonly requestId: string
  readonly #reply: FastifyReply

  constructor ({ repeatable, idempotent, timeoutMs }: ForwardPolicy, reply: FastifyReply, nodeId: string) {
    this.repeatable = repeatable
    this.idempotent = idempotent
    this.timeoutMs = timeoutMs
    this.requestId = requestIdForOthers(reply.request.id, nodeId)
    this.#reply = reply
  }

  get ownHeaders (): OwnHeaders {
    return this.#reply.getHeaders()
  }
}
