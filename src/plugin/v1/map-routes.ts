import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { KeyNotFoundError } from '../../raft/index.ts'
import { keyEndSchema } from '../primitives/key-end.ts'
import { limits } from '../replicated/limits.ts'
import { parseIdempotencyKey } from '../routes/idempotency-key.ts'
import type { V1Options } from './options.ts'

const config = { clusterAccess: 'data' } as const
const closed = { additionalProperties: false }
// A wildcard, because Fastify caps the length of named parameters (100 unless told otherwise) below that of our keys.
const params = Type.Object({ '*': Type.String({ description: 'The key, percent-encoded.', minLength: 1 }) }, closed)
const read = Type.Optional(
  Type.Union([Type.Literal('linearizable'), Type.Literal('lease'), Type.Literal('local')], {
    description:
      '`linearizable` (default) sees every write acknowledged before the request; `lease` sees the same while ' +
        'clocks agree, and needs no round of heartbeats on the leader; `local` may be stale.'
  })
)
const revision = Type.Integer({
  description: 'Only if the key is at this revision; 0: only if it does not exist.',
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER
})
const readHeaders = Type.Object({
  'if-none-match': Type.Optional(Type.String({
    description: '`etag` of an earlier answer: 304 without a body when the key is at the same revision.'
  }))
})
/** Header fields of requests that write. */
export const writeHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'Requests with the same key apply once within the horizon (`idempotency.horizonMs` of the options), on ' +
          'whichever node they arrive; later ones get the first answer, and 503 when there is no room for a new key.',
      minLength: 1,
      // In quotes, and each character escaped.
      maxLength: 2 * limits.maxIdempotencyKeyLength + 2
    })
  )
})
const listQuery = Type.Object({
  prefix: Type.Optional(Type.String()),
  after: Type.Optional(Type.String({ description: 'Only keys behind this one: `next` of the page before.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 1_000 })),
  read
}, closed)
const putBody = Type.Object({ value: Type.Unknown(), ifRevision: Type.Optional(revision), ...keyEndSchema }, closed)

/** Whether a field if-none-match names the tag, by weak comparison (RFC 9110 section 13.1.2). */
function matches (field: string | undefined, tag: string): boolean {
  if (field === undefined) return false
  const strong = (one: string): string => one.trim().replace(/^W\//, '')
  return field.split(',').some((one) => strong(one) === strong(tag))
}

/** The idempotency key of a request. Throws `RAFT_INVALID_REQUEST`. */
export function keyIn ({ 'idempotency-key': field }: { readonly 'idempotency-key'?: string }): string | undefined {
  return field === undefined ? undefined : parseIdempotencyKey(field)
}

/**
 * The replicated map `kv` over HTTP. Any node serves it: writes travel to the leader inside the cluster, and reads are
 * linearizable wherever they arrive.
 */
export const mapRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { kv }, done) => {
  scope.get('/kv', { config, schema: { querystring: listQuery } }, async (request) => await kv.list(request.query))

  const reading = { params, headers: readHeaders, querystring: Type.Object({ read }, closed) }
  scope.get('/kv/*', { config, schema: reading }, async (request, reply) => {
    const key = request.params['*']
    const entry = await kv.get(key, request.query)
    if (entry === null) throw new KeyNotFoundError(key)
    // Weak: what compresses the answer changes its bytes. A cache has to ask, and for each caller anew.
    const tag = `W/"${entry.revision}"`
    reply.headers({ etag: tag, 'cache-control': 'no-cache', vary: 'authorization' })
    if (!matches(request.headers['if-none-match'], tag)) return entry
    return reply.code(304).send()
  })

  scope.put('/kv/*', { config, schema: { params, headers: writeHeaders, body: putBody } }, async (request) => {
    const { value, ...conditions } = request.body
    return kv.set(request.params['*'], value, { ...conditions, idempotencyKey: keyIn(request.headers) })
  })

  const deleteQuery = Type.Object({ ifRevision: Type.Optional(revision) }, closed)
  const deletion = { params, headers: writeHeaders, querystring: deleteQuery }
  scope.delete('/kv/*', { config, schema: deletion }, async (request) => {
    const key = request.params['*']
    const { existed, revision } = await kv.delete(key, {
      ifRevision: request.query.ifRevision,
      idempotencyKey: keyIn(request.headers)
    })
    if (!existed) throw new KeyNotFoundError(key)
    return { key, revision }
  })
  done()
}
