import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import Type from 'typebox'
import { NotLeaderError } from '../../raft/index.ts'
import { defaults } from '../../raft/internal.ts'
import { sendRefusal } from '../routes/answers.ts'
import type { Health } from './health.ts'
import { liveness, readiness } from './health.ts'
import type { V1Options } from './options.ts'

const querystring = Type.Object({
  verbose: Type.Optional(Type.String({ description: 'Present: say what each check found.' }))
}, { additionalProperties: false })

function answer (reply: FastifyReply, { ok, checks }: Health, verbose: boolean): FastifyReply {
  const shown = Object.entries(checks).map(([name, check]) => [name, verbose ? check : check.ok])
  if (!ok) reply.header('retry-after', defaults.retryAfterSeconds)
  return reply
    .code(ok ? 200 : 503)
    .send({ status: ok ? 'ok' : 'unavailable', checks: Object.fromEntries(shown) as unknown })
}

/** `livez`, `readyz` and `leader/self`: for orchestrators and load balancers, and open to all. */
export const healthRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { cluster, catchUp, isJoining }, done) => {
  scope.get('/livez', { schema: { querystring }, exposeHeadRoute: true }, (request, reply) =>
    answer(reply, liveness(cluster), request.query.verbose !== undefined))

  scope.get('/readyz', { schema: { querystring }, exposeHeadRoute: true }, (request, reply) =>
    answer(reply, readiness(cluster, catchUp, isJoining()), request.query.verbose !== undefined))

  scope.get('/leader/self', { exposeHeadRoute: true }, (_request, reply) => {
    if (!cluster.isLeader) return sendRefusal(reply, cluster, new NotLeaderError(notLeading(cluster.leader?.id)))
    return reply.send(cluster.leader)
  })
  done()
}

function notLeading (leaderId: string | undefined): string {
  return leaderId === undefined ? 'no leader is known' : `${leaderId} leads`
}
