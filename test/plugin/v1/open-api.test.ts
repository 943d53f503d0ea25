import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { makeToken } from '../../../src/raft/internal.ts'

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

  it('shows who may call ours, and how a token is shown, beside the schemes of the application', async () => {
    const token = { token: makeToken(), role: 'admin', name: 'ops' } as const
    const own = { type: 'apiKey', in: 'header', name: 'x-key' } as const
    const components = { securitySchemes: { own } }
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(swagger, { openapi: { components } })
    await app.register(cluster, { openApi: true, tokens: [token] })
    app.get('/orders', { schema: { security: [{ own: [] }] } }, async () => 'x')
    await app.ready()
    const document = JSON.parse(JSON.stringify(app.swagger())) as {
      readonly components: { readonly securitySchemes: object }
      readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>
    }
    expect(document.components.securitySchemes).toEqual({
      own,
      clusterToken: { type: 'http', scheme: 'bearer', description: expect.any(String) as string }
    })
    expect(components.securitySchemes).toEqual({ own })
    const operation = (path: string, method: string): object | undefined =>
      document.paths[path === '/orders' ? path : `/_cluster/v1/${path}`]?.[method]
    const withToken = [{ clusterToken: [] }]
    expect(operation('/orders', 'get')).toMatchObject({ security: [{ own: [] }] })
    expect(operation('livez', 'get')).toMatchObject({ 'x-access': 'open', security: [] })
    expect(operation('status', 'get')).toMatchObject({ 'x-access': 'read', security: withToken })
    expect(operation('kv/{*}', 'put')).toMatchObject({ 'x-access': 'data', security: withToken })
    expect(operation('members/{id}', 'delete')).toMatchObject({ 'x-access': 'admin', security: withToken })
  })

  it.each([['OpenAPI without tokens', {}, { openapi: {} }], ['Swagger 2 with tokens', { tokens: [] }, { swagger: {} }]])(
    'shows access alone in %s',
    async (_what, options, form) => {
      const app = Fastify()
      onTestFinished(async () => { await app.close() })
      await app.register(swagger, form)
      await app.register(cluster, { openApi: true, ...options })
      await app.ready()
      const text = JSON.stringify(app.swagger())
      expect(text).toContain('"x-access":"admin"')
      expect(text).not.toContain('security')
    }
  )
})
