import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { NoLeaderError, OutcomeUnknownError } from '../../raft/index.ts'
import type { Refusal } from '../../raft/internal.ts'
import { retryAfterSeconds, systemClock } from '../../raft/internal.ts'
import type { AdminAnswer, AdminCall, AdminClient } from '../routes/admin-client.ts'
import { sendRefusal, setClusterHeaders } from '../routes/answers.ts'
import { cameByHop, refuseHop } from '../routes/hop-guard.ts'
import { callLeader } from '../routes/leader-client.ts'
import type { ForwardContext } from '../routes/route-guards.ts'
import { refusalOfTarget } from '../routes/route-guards.ts'

/** Pause before another look at who leads, after a leader that did not execute a call. */
const retryPauseMs = 50

/** What admin routes for the leader work with. */
export interface LeaderRouteContext {
  readonly guards: ForwardContext
  readonly client: AdminClient
  /** Deadline of a call that was sent on. Milliseconds. */
  readonly timeoutMs: number
}

/**
 * Serves a request on the leader: here if that is this node, and else through one hop. Waits for a leader as forwarded
 * routes do. The request has been validated; `call` says the same to the leader.
 */
export async function onLeader (
  context: LeaderRouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
  call: AdminCall,
  work: () => Promise<unknown>
): Promise<unknown> {
  const { guards, client, timeoutMs } = context
  const { engine, cluster, forwarder } = guards
  const endsAtMs = systemClock.monotonicMs() + guards.waitForLeaderMs
  for (;;) {
    if (engine.currentLeadership() !== null) {
      const done = await attempt(work)
      if (done.kind === 'done') return send(reply, guards, done.value)
    }
    // Leadership has moved since. Never a second hop.
    if (cameByHop(request.raw)) {
      reply.hijack()
      refuseHop(guards, request.raw, reply.raw)
      return reply
    }
    const target = await forwarder.target()
    if (target.kind === 'none') return sendRefusal(reply, cluster, refusalOfTarget(target, guards.waitForLeaderMs))
    if (target.kind === 'remote') {
      const outcome = await callLeader(client, cluster.nodeId, target.leader, call, request.headers, timeoutMs)
      if (outcome.kind === 'answered') return passOn(reply, outcome.answer)
      if (outcome.kind === 'lost') return sendRefusal(reply, cluster, lost(outcome.timedOut, timeoutMs))
    }
    if (systemClock.monotonicMs() >= endsAtMs) {
      return sendRefusal(reply, cluster, new NoLeaderError(guards.waitForLeaderMs))
    }
    await delay(retryPauseMs)
  }
}

/** A refusal for want of leadership changed nothing: another node may do it. */
async function attempt (
  work: () => Promise<unknown>
): Promise<{ readonly kind: 'done'; readonly value: unknown } | { readonly kind: 'not-leader' }> {
  try {
    return { kind: 'done', value: await work() }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'RAFT_NOT_LEADER') return { kind: 'not-leader' }
    throw error
  }
}

function send (reply: FastifyReply, { cluster }: ForwardContext, value: unknown): FastifyReply {
  // Once more: the work may have changed who leads.
  setClusterHeaders(reply, cluster)
  return reply.send(value)
}

/** The leader's answer as the answer of this node: it has the form of ours already. */
function passOn (reply: FastifyReply, { statusCode, headers, text }: AdminAnswer): FastifyReply {
  for (const name of ['raft-node', 'raft-leader', 'raft-term']) {
    const value = headers[name]
    if (typeof value === 'string') reply.header(name, value)
  }
  if (statusCode === 503) reply.header('retry-after', retryAfterSeconds)
  return reply.code(statusCode).type('application/json; charset=utf-8').send(text)
}

function lost (timedOut: boolean, timeoutMs: number): Refusal {
  const { code, message } = new OutcomeUnknownError(timedOut ? timeoutMs : 0)
  return { statusCode: timedOut ? 504 : 502, code, message }
}
