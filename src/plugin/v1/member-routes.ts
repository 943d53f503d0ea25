import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import type { Membership } from '../../raft/index.ts'
import { idRule, incarnationRule } from '../options/member-rules.ts'
import { checkApplicant } from '../routes/certificate-callers.ts'
import { onLeader } from './on-leader.ts'
import type { V1Options } from './options.ts'

const config = { clusterAccess: 'admin' } as const
const closed = { additionalProperties: false }
const id = Type.String({ description: 'Stable identity of the member.', ...idRule })
const ifVersion = Type.Optional(
  Type.Integer({
    description: 'Only if this is the version of the membership.',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER
  })
)
const params = Type.Object({ id }, closed)
const conditions = Type.Object({ ifVersion }, closed)
const url = Type.String({
  description: 'Where the others reach it: http or https, host and port, and nothing else.',
  minLength: 1,
  maxLength: 300
})
const incarnation = Type.Optional(Type.String({ description: 'Which log the member keeps.', ...incarnationRule }))
const newMember = Type.Object({ id, url, incarnation, ifVersion }, closed)
const removal = Type.Object({ ifVersion, ifIncarnation: incarnation }, closed)
const newUrl = Type.Object({ url, ifVersion, ifIncarnation: incarnation }, closed)
const listQuery = Type.Object(
  {
    read: Type.Optional(
      Type.Union([Type.Literal('local'), Type.Literal('linearizable')], {
        description:
          '`local` (default) is what this node knows; `linearizable` has every change completed before the request.'
      })
    )
  },
  closed
)

/** Who belongs to which cluster: its name, and the UUID that tells it from others of the name. */
function answerOf (
  { clusterId }: V1Options['cluster'],
  { engine }: V1Options['guards'],
  membership: Membership
): object {
  return { clusterId, clusterUuid: engine.clusterUuid() ?? null, ...membership }
}

/** `members`: who belongs, for reading. */
export const membersRoutes: FastifyPluginCallbackTypebox<V1Options> = (
  scope,
  { cluster, guards },
  done
) => {
  scope.get('/members', { config: { clusterAccess: 'read' }, schema: { querystring: listQuery } }, async (request) => {
    if (request.query.read === 'linearizable') await guards.engine.readBarrier({ timeoutMs: guards.waitForLeaderMs })
    return answerOf(cluster, guards, cluster.membership)
  })
  done()
}

/** Changes of who belongs: the leader makes them, whichever node is asked. */
export const memberAdminRoutes: FastifyPluginCallbackTypebox<V1Options> = (
  scope,
  { cluster, changes, guards, path },
  done
) => {
  const answer = (membership: Membership): object => answerOf(cluster, guards, membership)

  scope.post('/members', { config, schema: { body: newMember } }, async (request, reply) => {
    const { ifVersion, ...member } = request.body
    checkApplicant(request.raw, member.id)
    const call = { method: 'POST', path: `${path}/members`, body: request.body } as const
    return await onLeader(guards, request, reply, call, async () =>
      answer(await changes.add(member, { ifVersion }))
    )
  })

  for (const kind of ['promote', 'demote'] as const) {
    scope.post(`/members/:id/${kind}`, { config, schema: { params, body: conditions } }, async (request, reply) => {
      const call = {
        method: 'POST',
        path: `${path}/members/${encodeURIComponent(request.params.id)}/${kind}`,
        body: request.body
      } as const
      return await onLeader(guards, request, reply, call, async () =>
        answer(await changes.change(kind, request.params.id, request.body))
      )
    })
  }

  scope.post('/members/:id/url', { config, schema: { params, body: newUrl } }, async (request, reply) => {
    const { url, ...conditions } = request.body
    const call = {
      method: 'POST',
      path: `${path}/members/${encodeURIComponent(request.params.id)}/url`,
      body: request.body
    } as const
    return await onLeader(guards, request, reply, call, async () =>
      answer(await changes.changeUrl(request.params.id, url, conditions))
    )
  })

  scope.delete('/members/:id', { config, schema: { params, querystring: removal } }, async (request, reply) => {
    const conditions = Object.entries(request.query).map(([name, value]) => `${name}=${value}`)
    const query = conditions.length === 0 ? '' : `?${conditions.join('&')}`
    const call = {
      method: 'DELETE',
      path: `${path}/members/${encodeURIComponent(request.params.id)}${query}`,
      body: null
    } as const
    return await onLeader(guards, request, reply, call, async () =>
      answer(await changes.remove(request.params.id, request.query))
    )
  })
  done()
}
