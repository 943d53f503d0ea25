import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { idRule } from '../options/member-rules.ts'
import { onLeader } from './on-leader.ts'
import type { V1Options } from './options.ts'

const config = { clusterAccess: 'admin' } as const
const closed = { additionalProperties: false }
const transferBody = Type.Object(
  {
    to: Type.Optional(
      Type.String({ description: 'The member that is to lead; the most caught-up one when left out.', ...idRule })
    )
  },
  closed
)

/** `leader/transfer` and `leader/step-down`: the leader does them, whichever node is asked. */
export const leaderAdminRoutes: FastifyPluginCallbackTypebox<V1Options> = (
  scope,
  { cluster, changes, guards, path },
  done
) => {
  scope.post('/leader/transfer', { config, schema: { body: transferBody } }, async (request, reply) => {
    const call = { method: 'POST', path: `${path}/leader/transfer`, body: request.body } as const
    return await onLeader(
      guards,
      request,
      reply,
      call,
      async () => await changes.transfer(request.body.to ?? null)
    )
  })

  scope.post('/leader/step-down', { config, schema: { body: Type.Object({}, closed) } }, async (request, reply) => {
    const call = { method: 'POST', path: `${path}/leader/step-down`, body: {} } as const
    return await onLeader(guards, request, reply, call, async () => {
      const { nodeId, term } = cluster
      await changes.stepDown()
      return { nodeId, term }
    })
  })
  done()
}
