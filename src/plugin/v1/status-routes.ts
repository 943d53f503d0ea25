import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { NoLeaderError } from '../../raft/index.ts'
import type { V1Options } from './options.ts'

/** `leader` and `status`. */
export const statusRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { cluster }, done) => {
  scope.get('/leader', { config: { clusterAccess: 'read', clusterGateways: true } }, async () => {
    const leader = cluster.leader
    if (leader === null) throw new NoLeaderError(0)
    return leader
  })

  scope.get('/status', { config: { clusterAccess: 'read' } }, async () => cluster.status)
  done()
}
