import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { NoLeaderError } from '../../raft/index.ts'
import type { V1Options } from './options.ts'
import { watchLimits } from './watch.ts'

const watchQuery = Type.Object({
  after: Type.Optional(Type.String({ description: '`tag` of the last answer; none: answer at once.', maxLength: 64 })),
  waitMs: Type.Optional(Type.Integer({
    description: 'How long to wait for another answer than that. Milliseconds.',
    minimum: 0,
    maximum: watchLimits.maxWatchMs,
    default: watchLimits.maxWatchMs
  }))
}, { additionalProperties: false })

const forGateways = { clusterAccess: 'read', clusterGateways: true } as const

/** `leader`, `status` and `watch`. */
export const statusRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { cluster, watch }, done) => {
  scope.get('/leader', { config: forGateways }, async () => {
    const leader = cluster.leader
    if (leader === null) throw new NoLeaderError(0)
    return leader
  })

  scope.get('/status', { config: { clusterAccess: 'read' } }, async () => cluster.status)

  scope.get('/watch', { config: forGateways, schema: { querystring: watchQuery } }, async (request, reply) => {
    const { after = '', waitMs = watchLimits.maxWatchMs } = request.query
    return await watch.next(after, waitMs, (forget) => { reply.raw.once('close', forget) })
  })
  done()
}
