import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import type { V1Options } from './options.ts'

/** `snapshot`: taken by the node that is called; it need not lead. */
export const snapshotRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { cluster }, done) => {
  const schema = { body: Type.Object({}, { additionalProperties: false }) }
  scope.post('/snapshot', { config: { clusterAccess: 'admin' }, schema }, async () => {
    const { index, term, bytes } = await cluster.takeSnapshot()
    return { nodeId: cluster.nodeId, index, term, bytes }
  })
  done()
}
