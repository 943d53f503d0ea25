import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from '../../gateway/internal.ts'
import { InvalidRequestError, LockFreeError } from '../../raft/index.ts'
import { indexText } from '../primitives/conditions.ts'
import { limits } from '../replicated/limits.ts'
import type { V1Options } from './options.ts'

const config = { clusterAccess: 'data' } as const
const closed = { additionalProperties: false }
const params = Type.Object({
  name: Type.String({ description: 'The lock, percent-encoded.', minLength: 1, maxLength: limits.maxLockNameLength })
}, closed)
const owner = Type.String({
  description: 'Name of the holder, for people to read. It proves nothing.',
  minLength: 1,
  maxLength: limits.maxOwnerLength
})
const ttlMs = Type.Integer({
  description: 'Time to live without a renewal, in milliseconds.',
  minimum: limits.minLockTtlMs,
  maximum: limits.maxLockTtlMs
})
const token = Type.String({ description: 'The token of the grant.', ...indexText })
const requestId = Type.String({
  description: 'Names this attempt: with the same one an attempt is repeated, or waits on in its place.',
  minLength: 1,
  maxLength: limits.maxRequestIdLength
})
/** How long one call may wait, in milliseconds. */
const maxWaitMs = 30_000
const acquisition = Type.Object({
  owner,
  ttlMs: Type.Optional(ttlMs),
  session: Type.Optional(
    Type.String({ description: 'The session that is to own the lock, in place of `ttlMs`.', ...indexText })
  ),
  waitMs: Type.Optional(Type.Integer({
    description:
      'Take a place in the queue, and wait for so long in this call. The answer 202 has the place: ask again with ' +
        'its `requestId` within `pollWithinMs`. Only an answer 200 is the lock.',
    minimum: 0,
    maximum: maxWaitMs,
    default: 0
  })),
  requestId: Type.Optional(requestId)
}, closed)
const listQuery = Type.Object({
  prefix: Type.Optional(Type.String()),
  after: Type.Optional(Type.String({ description: 'Only locks behind this one: `next` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 1_000 }))
}, closed)

/** `locks`: those of the cluster over HTTP. Any node serves them: what changes one travels to the leader inside. */
export const lockRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { locks }, done) => {
  scope.get('/locks', { config, schema: { querystring: listQuery } }, async ({ query }) =>
    await locks.list({ ...query, limit: query.limit ?? 1_000 }))

  scope.get('/locks/:name', { config, schema: { params } }, async (request) => {
    const held = await locks.get(request.params.name)
    if (held === null) throw new LockFreeError(request.params.name)
    return held
  })

  scope.post('/locks/:name/acquire', { config, schema: { params, body: acquisition } }, async (request, reply) => {
    const { waitMs = 0, ...asked } = request.body
    if ((asked.ttlMs === undefined) === (asked.session === undefined)) {
      throw new InvalidRequestError('body has either ttlMs or session')
    }
    const outcome = await locks.acquire({ ...request.params, ...asked, waitMs, signal: untilGone(reply) })
    return await reply.code(outcome.state === 'granted' ? 200 : 202).send(outcome)
  })

  const renewal = Type.Object({ token, ttlMs }, closed)
  scope.post('/locks/:name/renew', { config, schema: { params, body: renewal } }, async (request) => {
    const { params: { name }, body } = request
    const { expiresInMs } = await locks.renew(name, body.token, body.ttlMs)
    return { name, token: body.token, expiresInMs }
  })

  const release = Type.Object({ token }, closed)
  scope.post('/locks/:name/release', { config, schema: { params, body: release } }, async (request) => {
    const { params: { name }, body } = request
    await locks.release(name, body.token)
    return { name, token: body.token, released: true }
  })

  const withdrawal = Type.Object({ requestId }, closed)
  scope.post('/locks/:name/cancel', { config, schema: { params, body: withdrawal } }, async (request) => {
    const { params: { name }, body } = request
    await locks.cancel(name, body.requestId)
    return { name, requestId: body.requestId, cancelled: true }
  })
  done()
}

/** Aborts when the client leaves before its answer is written. */
function untilGone ({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => { if (!raw.writableEnded) gone.abort() })
  return gone.signal
}
