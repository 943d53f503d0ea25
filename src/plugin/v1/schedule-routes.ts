import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { limits } from '../replicated/limits.ts'
import type { V1Options } from './options.ts'

const closed = { additionalProperties: false }
const reading = { clusterAccess: 'read' } as const
const changing = { clusterAccess: 'admin' } as const
const params = Type.Object({
  name: Type.String({ description: 'The name of the schedule, percent-encoded.', minLength: 1 })
}, closed)
const nothing = Type.Object({}, closed)
function instant (description: string) {
  return Type.String({ description, minLength: 1, maxLength: 64 })
}
const pauseBody = Type.Object({
  reason: Type.Optional(Type.String({ description: 'For people to read.', maxLength: limits.maxPauseReasonLength }))
}, closed)
const backfillBody = Type.Object({
  from: instant('The first instant that counts, with an offset: 2027-03-14T00:00:00Z.'),
  to: instant('The first instant that counts no more.')
}, closed)
const previewQuery = Type.Object({
  count: Type.Optional(Type.Integer({ description: 'How many slots.', minimum: 1, maximum: 1_000, default: 10 }))
}, closed)

/** The schedules of the cluster. Any node serves them: reads are linearizable, and changes travel to the leader. */
export const scheduleRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { schedules }, done) => {
  scope.get('/schedules', { config: reading }, async () => ({ schedules: await schedules.list() }))

  scope.get('/schedules/:name', { config: reading, schema: { params } }, async ({ params: { name } }) =>
    await schedules.status(name))

  scope.get('/schedules/:name/history', { config: reading, schema: { params } }, async ({ params: { name } }) =>
    ({ runs: await schedules.history(name) }))

  const preview = { params, querystring: previewQuery }
  scope.get('/schedules/:name/preview', { config: reading, schema: preview }, async ({ params: { name }, query }) =>
    ({ slots: await schedules.preview(name, query.count ?? 10) }))

  const bare = { params, body: nothing }
  scope.post('/schedules/:name/run', { config: changing, schema: bare }, async ({ params: { name } }, reply) => {
    await schedules.run(name)
    return await reply.code(202).send({ name })
  })

  const pause = { params, body: pauseBody }
  scope.post('/schedules/:name/pause', { config: changing, schema: pause }, async ({ params: { name }, body }) => {
    await schedules.pause(name, body.reason)
    return await schedules.status(name)
  })

  scope.post('/schedules/:name/resume', { config: changing, schema: bare }, async ({ params: { name } }) => {
    await schedules.resume(name)
    return await schedules.status(name)
  })

  const backfill = { params, body: backfillBody }
  scope.post('/schedules/:name/backfill', { config: changing, schema: backfill }, async (request, reply) => {
    const { params: { name }, body } = request
    return await reply.code(202).send({ name, slots: await schedules.backfill(name, body) })
  })

  scope.delete('/schedules/:name', { config: changing, schema: { params } }, async ({ params: { name } }) => {
    await schedules.remove(name)
    return { name }
  })
  done()
}
