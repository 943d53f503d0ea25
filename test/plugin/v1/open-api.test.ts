import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'

async function documented (options: ClusterOptions, order: 'before' | 'after'): Promise<FastifyInstance> {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  if (order === 'before') await app.register(swagger, { openapi: {} })
  await app.register(cluster, options)
  if (order === 'after') await app.register(swagger, { openapi: {} })
  app.post('/orders', { forward: true, schema: { summary: 'an order' } }, async () => 'x')
  await app.ready()
  return app
}

describe('the OpenAPI document of the application', () => {
  it.each(['before', 'after'] as const)('has its own routes alone, with @fastify/swagger %s', async (order) => {
    const app = await documented({}, order)
    expect(Object.keys(app.swagger().paths ?? {})).toEqual(['/orders'])
    await expect.poll(async () => (await app.inject('/_cluster/v1/readyz')).statusCode).toBe(200)
    expect((await app.inject('/_cluster/v1/kv?limit=none')).json()).toMatchObject({ code: 'RAFT_INVALID_REQUEST' })
  })

  it('has ours as well with openApi: true, as plain JSON', async () => {
    const app = await documented({ openApi: true, prefix: '/internal' }, 'before')
    const document = app.swagger()
    expect(Object.keys(document.paths ?? {})).toEqual(
      expect.arrayContaining(['/orders', '/internal/v1/readyz', '/internal/v1/members/{id}/promote', '/internal/v1/kv/{*}'])
    )
    expect(JSON.parse(JSON.stringify(document))).toMatchObject({
      paths: { '/internal/v1/leader/transfer': { post: { requestBody: { content: { 'application/json': {} } } } } }
    })
    await expect.poll(async () => (await app.inject('/internal/v1/readyz')).statusCode).toBe(200)
  })
})
