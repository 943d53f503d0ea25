import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  preValidationHookHandler
} from 'fastify'
import { endResponse, hasArrived, RequestBody } from '../../gateway/internal.ts'
import type { Engine } from '../../raft/index.ts'
import { UnauthorizedError } from '../../raft/index.ts'
import { otherClusterError } from '../../raft/internal.ts'
import type { Access } from '../options/access.ts'
import { definedHeaders } from '../routes/answers.ts'
import { meantClusterOf } from '../routes/hop-guard.ts'
import { beginAudit, endAudits, refuseInAudit } from './audited.ts'
import type { Judgement } from './judge.ts'
import type { V1Options } from './options.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of the routes of fastify-raft alone: who may call it. */
    clusterAccess?: Access
    /** Of the routes of fastify-raft alone: gateways may ask it. */
    clusterGateways?: true
  }
}

/**
 * The one place that decides who may call a route of this scope, by the access that the route states. Decides before
 * anything is read of the request but its head.
 */
export function guardAccess (scope: FastifyInstance, options: V1Options): void {
  const { judge, audit, clients } = options
  type Done = Parameters<onRequestHookHandler>[2]
  const settle = (
    { request, reply, access }: { request: FastifyRequest, reply: FastifyReply, access: Access },
    judgement: Judgement,
    done: Done
  ): void => {
    if (judgement.kind === 'refused') {
      refuseInAudit(audit, request, judgement)
      refuse(request, reply, judgement.refusal)
      return
    }
    beginAudit(audit, request, access, judgement.caller)
    const misdirected = access === 'admin' ? misdirection(request, options) : null
    // Behind that: who is refused takes nothing that the others need. Probes have a place in any case.
    if (misdirected === null) clients.shared.call(scope, request, reply, done)
    else done(misdirected)
  }
  scope.addHook('onRequest', (request, reply, done) => {
    // Asked once: Fastify makes the options of the route anew each time. A route that says nothing is refused where it
    // is declared; all the same nobody gets in here by a slip.
    const access = request.routeOptions.config.clusterAccess ?? 'admin'
    if (access === 'open') {
      done()
      return
    }
    const call = { request, reply, access }
    const judgement = judge.judge(request, access)
    if (judgement instanceof Promise) {
      judgement.then((judged) => { settle(call, judged, done) }).catch((error: unknown) => { done(error as Error) })
    } else settle(call, judgement, done)
  })
  scope.addHook('onRoute', (route) => {
    if (route.config?.clusterAccess === 'admin') route.preValidation = mayLeaveOutBody
  })
  endAudits(scope, audit)
}

/** A body that says nothing may be left out. */
const mayLeaveOutBody: preValidationHookHandler = (request, _reply, done) => {
  request.body ??= {}
  done()
}

/** A caller that is not let in learns nothing of the cluster: not who answers, nor who leads. */
function refuse (
  { raw }: FastifyRequest,
  reply: FastifyReply,
  { statusCode, headers, text }: Extract<Judgement, { kind: 'refused' }>['refusal']
): void {
  reply.code(statusCode).headers(headers)
  if (!RequestBody.isPresent(raw) || hasArrived(raw)) {
    reply.send(text)
    return
  }
  // Its body is not worth waiting for, nor is the connection that it would come over.
  reply.hijack()
  reply.raw.writeHead(statusCode, definedHeaders(reply))
  endResponse(raw, reply.raw, Buffer.from(text))
}

/**
 * Why an admin route does not serve a caller that may call it. A page from anywhere can make the browser on this
 * machine send a request that needs no body of a special kind; browsers say so in Origin. And a node of another cluster
 * with the same name means that one, and names its UUID.
 */
function misdirection (request: FastifyRequest, { cluster, guards: { engine } }: V1Options): Error | null {
  if (request.headers.origin !== undefined) return new UnauthorizedError('This route does not answer web pages')
  return otherCluster(request, cluster, engine)
}

function otherCluster (
  request: FastifyRequest,
  { clusterId, nodeId }: Pick<V1Options['cluster'], 'clusterId' | 'nodeId'>,
  engine: Pick<Engine, 'clusterUuid'>
): Error | null {
  const own = engine.clusterUuid()
  const meant = meantClusterOf(request.raw)
  if (own === undefined || meant === undefined || meant === own) return null
  return otherClusterError(clusterId, ['the sender', meant], [`"${nodeId}"`, own])
}
