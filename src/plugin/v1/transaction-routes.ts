import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import { Type } from '../../gateway/internal.ts'
import { keyEndSchema } from '../primitives/key-end.ts'
import { transactionSchema } from '../primitives/transaction.ts'
import { keyIn, writeHeaders } from './map-routes.ts'
import type { V1Options } from './options.ts'

const summary = 'Makes the writes of `then` when all comparisons hold, and else those of `else`: all of them or none.'
const body = Type.Object({
  ...transactionSchema({ key: Type.String({ minLength: 1 }) }, keyEndSchema),
  fence: Type.Optional(Type.String({ description: 'Only while this fencing token is valid.', maxLength: 16 }))
}, { additionalProperties: false })

/** Transactions on the map `kv`. */
export const transactionRoutes: FastifyPluginCallbackTypebox<V1Options> = (scope, { transact }, done) => {
  const schema = { summary, headers: writeHeaders, body }
  scope.post('/kv-transaction', { config: { clusterAccess: 'data' }, schema }, async (request) => {
    const { compare = [], then = [], else: otherwise = [], fence } = request.body
    const ofMap = <Step extends object>(step: Step): Step & { readonly map: 'kv' } => ({ map: 'kv', ...step })
    return await transact({
      compare: compare.map(ofMap),
      then: then.map(ofMap),
      else: otherwise.map(ofMap),
      fence,
      idempotencyKey: keyIn(request.headers)
    })
  })
  done()
}
