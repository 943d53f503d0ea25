import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { InvalidRequestError } from '../../raft/index.ts'
import { followedKeys } from '../primitives/map-watch.ts'
import type { V1Options } from './options.ts'

const closed = { additionalProperties: false }
const querystring = Type.Object({
  key: Type.Optional(Type.String({ description: 'Only this key; not together with `prefix`.', minLength: 1 })),
  prefix: Type.Optional(Type.String({ description: 'Only keys that start with it.' })),
  afterRevision: Type.Optional(Type.Integer({
    description: 'Only changes behind this revision; without it, from now on.',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER
  }))
}, closed)
const headers = Type.Object({
  'last-event-id': Type.Optional(Type.String({
    description: 'The id of the last event seen, as browsers send it. It counts before `afterRevision`.',
    maxLength: 16
  }))
})
const summary = 'An event stream: `data` of an event is `{revision, events: [{kind, key, value?}]}`, its id the ' +
  'revision; `kind` is `set`, `deleted` or `expired`. ' +
  'The event `compacted` says that changes are forgotten: read the keys anew. Empty events come every 15 s.'

/** The revision that a client has seen. Throws `RAFT_INVALID_REQUEST`. */
function lastEventIdIn ({ 'last-event-id': id = '' }: { readonly 'last-event-id'?: string }): number | undefined {
  if (id === '') return undefined
  if (!/^(0|[1-9][0-9]{0,15})$/.test(id) || !Number.isSafeInteger(Number(id))) {
    throw new InvalidRequestError('last-event-id is a revision')
  }
  return Number(id)
}

/** Changes of the map `kv`, as this node applies them. */
export const changeRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, options, done) => {
  const { history, streams, guards: { engine, waitForLeaderMs } } = options
  const schema = { summary, querystring, headers }
  scope.get('/kv-changes', { config: { clusterAccess: 'data' }, schema }, async (request, reply) => {
    const afterRevision = lastEventIdIn(request.headers) ?? request.query.afterRevision
    const keys = followedKeys(request.query)
    await engine.waitForState({ timeoutMs: waitForLeaderMs })
    if (!reply.raw.destroyed) streams.open(reply, history.follow('kv', keys, afterRevision))
    return reply
  })
  done()
}
