import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AdminAnswer, AdminCall } from '../../gateway/internal.ts'
import { NotLeaderError } from '../../raft/index.ts'
import { defaults } from '../../raft/internal.ts'
import { sendRefusal, setClusterHeaders } from '../routes/answers.ts'
import { cameByHop, refuseHop } from '../routes/hop-guard.ts'
import { provenCallerOf } from '../routes/proven-caller.ts'
import type { ForwardContext } from '../routes/route-guards.ts'

/**
 * Serves a request on the leader: here if that is this node, and else through one hop, by the rules of forwarded
 * requests. The request has been validated; `call` says the same to the leader.
 */
export async function onLeader (
  context: ForwardContext,
  request: FastifyRequest,
  reply: FastifyReply,
  call: AdminCall,
  work: () => Promise<unknown>
): Promise<unknown> {
  const { engine, cluster, forwarder } = context
  const caller = provenCallerOf(request.raw)
  // This node has let the client in and answers for it: the leader need not know its token.
  const answersForIt = caller?.kind === 'member' ? caller.id : cluster.nodeId
  const leaderCall = forwarder.callLeader(request.raw, call, answersForIt)
  for (;;) {
    if (engine.currentLeadership() !== null) {
      const done = await attempt(work)
      if (done.kind === 'done') return send(reply, context, done.value)
    }
    // Leadership has moved since. Never a second hop.
    if (cameByHop(request.raw)) {
      reply.hijack()
      refuseHop(context, request.raw, reply.raw)
      return reply
    }
    const outcome = await leaderCall.next()
    switch (outcome.kind) {
      case 'local': break
      case 'answered': return passOn(reply, outcome.answer)
      case 'refused': return sendRefusal(reply, cluster, outcome.refusal)
    }
  }
}

/** A refusal for want of leadership changed nothing: another node may do it. */
async function attempt (
  work: () => Promise<unknown>
): Promise<{ readonly kind: 'done'; readonly value: unknown } | { readonly kind: 'not-leader' }> {
  try {
    return { kind: 'done', value: await work() }
  } catch (error) {
    if (error instanceof NotLeaderError) return { kind: 'not-leader' }
    throw error
  }
}

function send (reply: FastifyReply, { cluster }: ForwardContext, value: unknown): FastifyReply {
  // Once more: the work may have changed who leads.
  setClusterHeaders(reply, cluster)
  return reply.send(value)
}

/** The leader's answer as the answer of this node: it has the same form already. */
function passOn (reply: FastifyReply, { statusCode, headers, text }: AdminAnswer): FastifyReply {
  for (const name of ['raft-node', 'raft-leader', 'raft-term']) {
    const value = headers[name]
    if (typeof value === 'string') reply.header(name, value)
  }
  if (statusCode === 503) reply.header('retry-after', defaults.retryAfterSeconds)
  return reply.code(statusCode).type('application/json; charset=utf-8').send(text)
}
