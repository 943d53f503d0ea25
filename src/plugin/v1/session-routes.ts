import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { indexText } from '../primitives/conditions.ts'
import { limits } from '../replicated/limits.ts'
import type { V1Options } from './options.ts'

const config = { clusterAccess: 'data' } as const
const closed = { additionalProperties: false }
const params = Type.Object(
  { session: Type.String({ description: 'The session, as it was opened.', ...indexText }) },
  closed
)
const opening = Type.Object({
  owner: Type.String({
    description: 'Name of who keeps it, for people to read. It proves nothing.',
    minLength: 1,
    maxLength: limits.maxOwnerLength
  }),
  ttlMs: Type.Optional(Type.Integer({
    description: 'How long it lives after a beat, in milliseconds.',
    minimum: limits.minSessionTtlMs,
    maximum: limits.maxSessionTtlMs,
    default: 10_000
  })),
  requestId: Type.Optional(Type.String({
    description: 'Names this attempt: with the same one it is repeated, and gets the same session.',
    minLength: 1,
    maxLength: limits.maxRequestIdLength
  }))
}, closed)
const listQuery = Type.Object({
  after: Type.Optional(
    Type.String({ description: 'Only sessions behind this one: `next` of the page before.', ...indexText })
  ),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 1_000 }))
}, closed)

/** `sessions`: what owns locks for callers that keep it alive over HTTP, and those of the copies. */
export const sessionRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { sessions }, done) => {
  scope.get('/sessions', { config, schema: { querystring: listQuery } }, async ({ query: { limit = 1_000, after } }) =>
    await sessions.list(limit, after))

  scope.post('/sessions', { config, schema: { body: opening } }, async ({ body }, reply) =>
    await reply.code(201).send(await sessions.open(body.owner, body.ttlMs ?? 10_000, body.requestId)))

  scope.post('/sessions/:session/keep-alive', { config, schema: { params } }, async (request) =>
    await sessions.keepAlive(request.params.session))

  scope.delete('/sessions/:session', { config, schema: { params } }, async ({ params: { session } }) => {
    await sessions.end(session)
    return { session, ended: true }
  })
  done()
}
