import websocket from '@fastify/websocket'
import type { FastifyInstance, RouteHandlerMethod } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { FakePeerEngine, threeMembers } from '../support/fake-app.ts'

async function appWith (order: 'before' | 'after'): Promise<FastifyInstance> {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  if (order === 'before') await app.register(websocket)
  await app.register(createClusterPlugin(async (request) => new FakePeerEngine(request)), threeMembers())
  if (order === 'after') await app.register(websocket)
  return app
}

/** What these tests use of a WebSocket; the package has its types elsewhere. */
interface Socket {
  send: (text: string) => void
  on: (event: 'message', listener: (data: Buffer) => void) => void
}

const refusal = expect.objectContaining({
  code: 'RAFT_INVALID_OPTIONS',
  message: expect.stringMatching(/GET \/live is a WebSocket route.*leave them out.*app\.cluster\.leaderEndpoint/) as string
}) as object

describe.each(['before', 'after'] as const)('@fastify/websocket registered %s the plugin', (order) => {
  const handler: RouteHandlerMethod = async () => 'plain'

  it.each([
    ['forward', { forward: true }],
    ['forward as an object', { forward: { timeoutMs: 1_000 } }],
    ['leaderOnly', { leaderOnly: true }]
  ])('%s of a WebSocket route is refused at its declaration, with what can be done', async (_what, marks) => {
    const app = await appWith(order)
    expect(() => app.get('/live', { ...marks, websocket: true }, () => {})).toThrow(refusal)
    expect(() => app.route({ method: 'GET', url: '/live', ...marks, wsHandler: () => {}, handler })).toThrow(refusal)
  })

  it('a mark of the scope is refused as well, and the route can set it to false', async () => {
    const app = await appWith(order)
    app.clusterRoutes({ forward: true })
    expect(() => app.get('/live', { websocket: true }, () => {})).toThrow(refusal)
    app.get('/own', { websocket: true, forward: false }, (socket: Socket) => { socket.send(app.cluster.nodeId) })
    await app.ready()
    const received = new Promise<string>((resolve, reject) => {
      const onInit = (client: Socket): void => { client.on('message', (data) => { resolve(String(data)) }) }
      app.injectWS('/own', {}, { onInit }).catch(reject)
    })
    expect(await received).toBe('n1')
  })
})

it('other options of these names are left alone', async () => {
  const app = Fastify()
  onTestFinished(async () => { await app.close() })
  await app.register(cluster)
  app.get('/x', { forward: true, websocket: false }, async () => 'x')
  expect((await app.inject('/x')).body).toBe('x')
})
