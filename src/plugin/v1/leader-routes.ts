import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import { idRule } from '../options/member-rules.ts'
import { onLeader } from './on-leader.ts'
import type { V1Options } from './options.ts'

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
  { cluster, guards, path },
  done
) => {
  scope.post('/leader/transfer', { schema: { body: transferBody } }, async (request, reply) => {
    const call = { method: 'POST', path: `${path}/leader/transfer`, body: request.body } as const
    return await onLeader(
      guards,
      request,
      reply,
      call,
      async () => await cluster.transferLeadership(request.body.to)
    )
  })

  scope.post('/leader/step-down', { schema: { body: Type.Object({}, closed) } }, async (request, reply) => {
    const call = { method: 'POST', path: `${path}/leader/step-down`, body: {} } as const
    return await onLeader(guards, request, reply, call, async () => {
      const { nodeId, term } = cluster
      await cluster.stepDown()
      return { nodeId, term }
    })
  })
  done()
}
