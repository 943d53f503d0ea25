import type { AddressInfo } from 'node:net'
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { RawClient, until } from '../../gateway/support/servers.ts'
import { WebSocketClient } from '../../gateway/support/web-socket-client.ts'
import { FakePeerEngine } from '../support/fake-app.ts'

/** What these tests use of a WebSocket of the server; the package has its types elsewhere. */
interface ServerSocket {
  readonly readyState: number
  send: (text: string) => void
  terminate: () => void
  on: (event: 'message', listener: (data: Buffer) => void) => void
}

/** The state of a WebSocket whose connection is closed. */
const closed = 3

/** The connections that a copy has taken. */
function socketsOf (app: FastifyInstance): readonly ServerSocket[] {
  interface WithClients { readonly websocketServer: { readonly clients: Iterable<ServerSocket> } }
  const { websocketServer } = app as unknown as WithClients
  return [...websocketServer.clients]
}

interface Pair {
  readonly leader: FastifyInstance
  readonly leaderEngine: FakePeerEngine
  readonly follower: FastifyInstance
  readonly urls: readonly string[]
  /** Names of the copies whose handler ran. */
  readonly served: string[]
}

/** Two copies of one app, each on its port, of which the first leads. */
async function startPair (order: 'before' | 'after', close = { closeTimeoutMs: 500 }): Promise<Pair> {
  const served: string[] = []
  const engines = new Map<string, FakePeerEngine>()
  const ids = ['n1', 'n2'] as const
  const apps = await Promise.all(ids.map(async () => Fastify()))
  const ports = await Promise.all(apps.map(async () => {
    const probe = Fastify()
    await probe.listen({ port: 0, host: '127.0.0.1' })
    const { port } = probe.server.address() as AddressInfo
    await probe.close()
    return port
  }))
  const members = ids.map((id, at) => ({ id, url: `http://127.0.0.1:${ports[at]}` }))
  for (const [at, app] of apps.entries()) {
    const id = ids[at] ?? 'n1'
    onTestFinished(async () => { await app.close() })
    if (order === 'before') await app.register(websocket)
    await app.register(createClusterPlugin(async (request) => {
      const engine = new FakePeerEngine(request)
      engines.set(id, engine)
      return engine
    }), { id, members, dataDir: import.meta.dirname, ...close })
    if (order === 'after') await app.register(websocket)
    app.get('/live', { websocket: true, forward: true }, (socket: ServerSocket, request) => {
      served.push(`${id} for ${request.ip}, ${String(request.headers['raft-hop'])}`)
      socket.on('message', (data: Buffer) => { socket.send(`${id} heard ${String(data)}`) })
    })
    app.get('/closed', {
      websocket: true,
      forward: true,
      onRequest: async (_request, reply) => {
        if (app.cluster.isLeader) await reply.code(403).send({ by: id })
      }
    }, () => { served.push(`${id} closed`) })
    app.get('/led', { websocket: true, leaderOnly: true }, (socket: ServerSocket) => {
      served.push(`${id} led`)
      socket.send(id)
    })
    await app.listen({ port: ports[at] ?? 0, host: '127.0.0.1' })
  }
  const [leader, follower] = apps
  const leaderEngine = engines.get('n1')
  const followerEngine = engines.get('n2')
  if (leader === undefined || follower === undefined || leaderEngine === undefined || followerEngine === undefined) {
    throw new Error('two copies')
  }
  leaderEngine.lead()
  followerEngine.lose('n1')
  return { leader, leaderEngine, follower, urls: members.map(({ url }) => url), served }
}

describe.each(['before', 'after'] as const)('a WebSocket route with forward, @fastify/websocket registered %s', (order) => {
  it('is served by the leader, whichever copy the client calls, and both directions flow', async () => {
    const { urls: [leaderUrl, followerUrl], served } = await startPair(order)
    for (const url of [leaderUrl, followerUrl]) {
      const client = await new WebSocketClient(`${url}/live`).opened()
      for (const text of ['one', 'two', 'x'.repeat(300_000)]) client.send(text)
      await until(() => client.received.length === 3, 'all came back')
      expect(client.received).toEqual(['n1 heard one', 'n1 heard two', `n1 heard ${'x'.repeat(300_000)}`])
    }
    expect(served).toEqual(['n1 for 127.0.0.1, undefined', 'n1 for 127.0.0.1, undefined'])
  })

  it('closes both sides when one closes', async () => {
    const { leader, urls: [, followerUrl] } = await startPair(order)
    const client = await new WebSocketClient(`${followerUrl}/live`).opened()
    const [ofLeader] = socketsOf(leader)
    client.close()
    await until(() => client.closed && ofLeader?.readyState === closed, 'both are closed')
    const other = await new WebSocketClient(`${followerUrl}/live`).opened()
    for (const socket of socketsOf(leader)) socket.terminate()
    await until(() => other.closed, 'the client is told')
  })

  it('answers in HTTP what the leader refuses, and when nobody leads', async () => {
    const { leaderEngine, urls: [, followerUrl], served } = await startPair(order)
    const refused = new WebSocketClient(`${followerUrl}/closed`)
    await until(() => refused.status !== null, 'it is refused')
    expect(refused.status).toBe(403)
    leaderEngine.lose(null)
    const late = new WebSocketClient(`${followerUrl}/live`)
    await until(() => late.status !== null, 'it is refused')
    expect(late.status).toBe(503)
    expect(served).toEqual([])
  })

  it('is cut when the copy closes, after the time for that', async () => {
    const { follower, urls: [, followerUrl] } = await startPair(order)
    const client = await new WebSocketClient(`${followerUrl}/live`).opened()
    await follower.close()
    await until(() => client.closed, 'the client is told')
  })
})

it.each(['before', 'after'] as const)(
  'a WebSocket route with leaderOnly is served by the leader alone, @fastify/websocket registered %s',
  async (order) => {
    const { urls: [leaderUrl, followerUrl], served } = await startPair(order)
    const client = await new WebSocketClient(`${leaderUrl}/led`).opened()
    await until(() => client.received.length === 1, 'it is served')
    const refused = new WebSocketClient(`${followerUrl}/led`)
    await until(() => refused.status !== null, 'it is refused')
    expect(refused.status).toBe(503)
    expect(served).toEqual(['n1 led'])
  }
)

it('a hop for another term, and one whose time is over, never reach the handler of a WebSocket', async () => {
  const { leader, served } = await startPair('before')
  const { port } = leader.server.address() as AddressInfo
  for (const hop of ['v=1;from=n2;to=n1;term=9', 'v=1;from=n2;to=n1;term=1;left=0']) {
    const head = 'GET /live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n' +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'a'.repeat(22)}==\r\nraft-hop: ${hop}\r\n\r\n`
    expect(await new RawClient(port).send(head).untilClosed()).toMatch(/^HTTP\/1\.1 503 /)
  }
  expect(served).toEqual([])
})

/** A request for a WebSocket that announces a body. */
const withBody = 'GET /live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n' +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'a'.repeat(22)}==\r\nContent-Length: 4\r\n\r\nabcd`

it('a WebSocket that announces a body is not passed on to the leader', async () => {
  const { follower, served } = await startPair('before')
  const { port } = follower.server.address() as AddressInfo
  const answer = await new RawClient(port).send(withBody).untilClosed()
  expect(answer).toMatch(/^HTTP\/1\.1 501 /)
  expect(answer).toContain('"code":"RAFT_NOT_IMPLEMENTED"')
  expect(served).toEqual([])
})

describe('a gateway', () => {
  it('sends WebSockets to the leader, refuses other protocols, and ignores the offer of h2c, body included', async () => {
    const { urls, served } = await startPair('after')
    const gateway = createGateway({ nodes: urls, pollMs: 20, closeTimeoutMs: 200 })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    await until(() => gateway.status().leader !== null, 'the leader is known')
    const client = await new WebSocketClient(`${url}/live`).opened()
    client.send('hello')
    await until(() => client.received.length === 1, 'it came back')
    expect([client.received, served.length]).toEqual([['n1 heard hello'], 1])
    const port = Number(new URL(url).port)
    const other = new RawClient(port).send('GET /live HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: irc\r\n\r\n')
    expect(await other.untilClosed()).toMatch(/^HTTP\/1\.1 501 /)
    expect(await new RawClient(port).send(withBody).untilClosed()).toMatch(/^HTTP\/1\.1 501 /)
    const h2c = new RawClient(port).send(
      'POST /none HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 4\r\n\r\nabcd'
    )
    expect(await h2c.untilClosed()).toMatch(/^HTTP\/1\.1 404 /)
    await gateway.close()
    await until(() => client.closed, 'the client is told')
  })
})
