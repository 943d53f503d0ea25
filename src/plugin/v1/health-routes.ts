import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from '../../gateway/internal.ts'
import { InvalidRequestError, NotLeaderError } from '../../raft/index.ts'
import { defaults } from '../../raft/internal.ts'
import { sendRefusal } from '../routes/answers.ts'
import type { Health } from './health.ts'
import { liveness, readiness, readinessChecks, without } from './health.ts'
import type { V1Options } from './options.ts'

const verboseFlag = Type.Optional(Type.String({ description: 'Present: say what each check found.' }))
const livezQuery = Type.Object({ verbose: verboseFlag }, { additionalProperties: false })
const readyzQuery = Type.Object({
  verbose: verboseFlag,
  exclude: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 16 })], {
    description: 'Name of a check that is left out of the judgement; may be repeated.'
  }))
}, { additionalProperties: false })

const open = { clusterAccess: 'open' } as const

function answer (reply: FastifyReply, { ok, checks }: Health, verbose: boolean): FastifyReply {
  const shown = Object.entries(checks).map(([name, check]) => [name, verbose ? check : check.ok])
  if (!ok) reply.header('retry-after', defaults.retryAfterSeconds)
  return reply
    .code(ok ? 200 : 503)
    .send({ status: ok ? 'ok' : 'unavailable', checks: Object.fromEntries(shown) as unknown })
}

/** `livez`, `readyz` and `leader/self`: for orchestrators and load balancers, and open to all. */
export const healthRoutes: FastifyPluginCallbackTypebox<V1Options> = (
  scope,
  { cluster, catchUp, isJoining, isDraining },
  done
) => {
  const livez = { config: open, schema: { querystring: livezQuery }, exposeHeadRoute: true }
  scope.get('/livez', livez, (request, reply) =>
    answer(reply, liveness(cluster), request.query.verbose !== undefined))

  const readyz = { config: open, schema: { querystring: readyzQuery }, exposeHeadRoute: true }
  scope.get('/readyz', readyz, (request, reply) => {
    const { verbose, exclude } = request.query
    const health = without(readiness(cluster, catchUp, isJoining(), isDraining()), namesOf(exclude))
    return answer(reply, health, verbose !== undefined)
  })

  scope.get('/leader/self', { config: open, exposeHeadRoute: true }, (_request, reply) => {
    if (!cluster.isLeader) return sendRefusal(reply, cluster, new NotLeaderError(notLeading(cluster.leader?.id)))
    return reply.send(cluster.leader)
  })
  done()
}

/** A name that means nothing is refused: a probe with a slip in it would judge by what it was to leave out. */
function namesOf (exclude: string | readonly string[] = []): readonly string[] {
  const names = typeof exclude === 'string' ? [exclude] : exclude
  const unknown = names.find((name) => !readinessChecks.some((known) => known === name))
  if (unknown === undefined) return names
  throw new InvalidRequestError(
    `there is no check ${JSON.stringify(unknown)} to exclude: the checks are ${readinessChecks.join(', ')}`
  )
}

function notLeading (leaderId: string | undefined): string {
  return leaderId === undefined ? 'no leader is known' : `${leaderId} leads`
}
