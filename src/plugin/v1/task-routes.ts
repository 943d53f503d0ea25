import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { limits } from '../replicated/limits.ts'
import type { V1Options } from './options.ts'

const config = { clusterAccess: 'read' } as const
const closed = { additionalProperties: false }
const maxPage = 1_000
const listQuery = Type.Object({
  after: Type.Optional(Type.String({ description: 'Only what is behind this: `next` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: maxPage, default: maxPage }))
}, closed)
// Not a path: routers cut its parts at 100 characters.
const workQuery = Type.Object({
  name: Type.String({
    description: 'The name of the work.',
    minLength: 1,
    maxLength: limits.maxTaskNameLength
  }),
  version: Type.String({
    description: 'Its version.',
    minLength: 1,
    maxLength: limits.maxOnceVersionLength
  })
}, closed)

/**
 * `tasks`, `once` and `once-result`: which task runs where, and what was done once. Any node serves them; reads are
 * linearizable.
 */
export const taskRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { tasks }, done) => {
  scope.get('/tasks', { config, schema: { querystring: listQuery } }, async ({ query: { after, limit = maxPage } }) =>
    await tasks.list({ after, limit }))

  scope.get('/once', { config, schema: { querystring: listQuery } }, async ({ query: { after, limit = maxPage } }) =>
    await tasks.listOnce({ after, limit }))

  scope.get('/once-result', { config, schema: { querystring: workQuery } }, async ({ query: { name, version } }) =>
    await tasks.once(name, version))
  done()
}
