import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { codeIn } from '../../raft/internal.ts'
import type { Audit, AuditedCall } from '../cluster/audit.ts'
import type { AuditCaller } from '../cluster/types.ts'
import type { Access } from '../options/access.ts'
import type { Judgement } from './judge.ts'

/** Who has made a call that is to be told; null once it was, and for all others. */
const openCaller = Symbol('fastify-raft: open caller')

/** A request of a scope of {@link endAudits}. A field of its own: a weak map would cost each write a fiftieth more. */
type AuditedRequest = FastifyRequest & { [openCaller]: AuditCaller | null }

/** Parameters of the routes that a record names. A list, so that neither values nor what is unknown is written down. */
const namedParameters = ['id', 'url', 'to', 'ifVersion', 'ifIncarnation', 'incarnation', 'ifRevision'] as const

/**
 * Notes a call that was let in, if it asks for a change: all admin calls do, and data calls that are no reads. Those
 * are noted only when somebody hears of them as they begin: a record that nobody gets would cost each write a twentieth
 * more.
 */
export function beginAudit (audit: Audit, request: FastifyRequest, access: Access, caller: AuditCaller): void {
  const isTold = access === 'admin' || (access === 'data' && audit.tellsData && !isRead(request))
  if (isTold) (request as AuditedRequest)[openCaller] = caller
}

function isRead ({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** Counts a call that was not let in. A failure to judge is none of the caller's. */
export function refuseInAudit (
  audit: Audit,
  request: FastifyRequest,
  { caller, refusal }: Extract<Judgement, { kind: 'refused' }>
): void {
  if (refusal.statusCode < 500) audit.refused(callOf(request, caller), refusal)
}

/**
 * Tells of a noted call once its answer is known: when that is about to be sent, whether the client is still there or
 * not, and at the end of an answer that another part of this node has written.
 */
export function endAudits (scope: FastifyInstance, audit: Audit): void {
  scope.decorateRequest(openCaller, null)
  scope.addHook('onSend', (request, reply, payload, done) => {
    end(audit, request, reply, payload)
    done(null, payload)
  })
  scope.addHook('onResponse', (request, reply, done) => {
    end(audit, request, reply, null)
    done()
  })
}

function end (audit: Audit, request: FastifyRequest, reply: FastifyReply, payload: unknown): void {
  const audited = request as AuditedRequest
  const caller = audited[openCaller]
  if (caller === null) return
  audited[openCaller] = null
  const { target, parameters } = aboutOf(request)
  audit.ended(callOf(request, caller), {
    target,
    parameters,
    statusCode: reply.raw.headersSent ? reply.raw.statusCode : reply.statusCode,
    // In the body of an error answer: ours, or that of the leader.
    code: reply.statusCode < 400 || typeof payload !== 'string' ? null : codeIn(payload),
    durationMs: reply.elapsedTime,
    isData: request.routeOptions.config.clusterAccess === 'data'
  })
}

function callOf (request: FastifyRequest, caller: AuditCaller): AuditedCall {
  const { url = '' } = request.routeOptions
  return { caller, address: request.raw.socket.remoteAddress, action: `${request.method} ${url}` }
}

/** What the call is about: the member, key, lock or session in its path, else the member in its body. */
function aboutOf (request: FastifyRequest): { readonly target: unknown, readonly parameters: Record<string, unknown> } {
  const [params, given] = [record(request.params), { ...record(request.query), ...record(request.body) }]
  const parameters = Object.fromEntries(namedParameters.map((name) => [name, given[name]]))
  const target = params['id'] ?? params['*'] ?? params['name'] ?? params['session']
  return { target: target ?? parameters['id'] ?? parameters['to'], parameters }
}

function record (value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : {}
}
