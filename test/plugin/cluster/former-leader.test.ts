import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer, get as httpGet } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { OpenRequests } from '../../../src/raft/internal.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

/** How each connection that a request for the leader came on was ended; null while it is open. */
type Ends = Map<Socket, 'by its client' | 'by the node' | null>

async function three (): Promise<{ readonly nodes: readonly Node[], readonly leader: Node, readonly ends: Ends }> {
  const ends: Ends = new Map()
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, options)
    const work = async (request: FastifyRequest): Promise<object> => {
      if (app.cluster.isLeader) follow(ends, request.raw)
      // Long enough for the next request to need a connection of its own.
      await new Promise((resolve) => { setTimeout(resolve, 20) })
      return { by: app.cluster.nodeId }
    }
    app.post('/work', { forward: true }, work)
    app.get('/work', work)
  })
  return { nodes, leader: await agreedLeader(nodes), ends }
}

function follow (ends: Ends, { socket }: IncomingMessage): void {
  if (ends.has(socket)) return
  ends.set(socket, null)
  socket.once('end', () => { ends.set(socket, 'by its client') })
  socket.once('close', () => { ends.set(socket, ends.get(socket) ?? 'by the node') })
}

/** Sends many requests at once, and keeps none of the connections to the node or gateway that they go to. */
async function work (url: string, method = 'POST'): Promise<readonly number[]> {
  return await Promise.all(Array.from({ length: 12 }, async () => {
    const answer = await fetch(`${url}/work`, { method, headers: { connection: 'close' } })
    await answer.arrayBuffer()
    return answer.status
  }))
}

async function throughGateway (nodes: readonly Node[]): Promise<string> {
  const gateway = createGateway({ nodes: nodes.map(({ url }) => url), waitForLeaderMs: 10_000, reads: 'any' })
  onTestFinished(async () => { await gateway.close() })
  return (await gateway.listen({ port: 0 })).url
}

describe.each(['follower', 'gateway'] as const)('idle connections of a %s to the leader', (from) => {
  it.each([
    ['is transferred', async ({ app }: Node) => { await app.cluster.transferLeadership() }],
    ['closes', async ({ app }: Node) => { await app.close() }]
  ] as const)('are closed from there when it %s', async (_, end) => {
    const { nodes, leader, ends } = await three()
    const follower = nodes.find((node) => node !== leader) ?? leader
    const url = from === 'follower' ? follower.url : await throughGateway(nodes)
    expect(new Set(await work(url))).toEqual(new Set([200]))
    expect(ends.size).toBeGreaterThan(1)
    expect(new Set(ends.values())).toEqual(new Set([null]))
    const before = [...ends.keys()]
    await end(leader)
    await until('the connections to the former leader are closed', () => before.every((socket) => socket.closed))
    expect(before.map((socket) => ends.get(socket))).toEqual(before.map(() => 'by its client'))
    expect(new Set(await work(url))).toEqual(new Set([200]))
  })
})

describe('connections on which a gateway has only read from the leader', () => {
  it('are closed from there as well when the leader closes: the next request on one could be a write', async () => {
    const { nodes, leader, ends } = await three()
    const url = await throughGateway(nodes)
    await until('the leader is read from', async () => {
      expect(new Set(await work(url, 'GET'))).toEqual(new Set([200]))
      return ends.size > 1
    })
    const before = [...ends.keys()]
    await leader.app.close()
    expect(before.map((socket) => ends.get(socket))).toEqual(before.map(() => 'by its client'))
  })
})

describe('the wait of a former leader for those who forwarded to it', () => {
  it('ends with their connections, and takes a second where they stay', async () => {
    const requests = new OpenRequests()
    const server = createServer((request, response) => {
      requests.add(request, response)
      if (request.url === '/hop') requests.addForwarder(request)
      response.end('ok')
    }).listen(0, '127.0.0.1')
    onTestFinished(() => { server.close().closeAllConnections() })
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const open = async (path: string): Promise<Socket> => {
      const request = httpGet({ port, path, headers: { connection: 'keep-alive' } })
      const [answer] = await once(request, 'response') as [IncomingMessage]
      const { socket } = answer
      await once(answer.resume(), 'end')
      return socket
    }
    await open('/plain')
    await requests.lingerForForwarders(60_000)
    const forwarder = await open('/hop')
    await requests.lingerForForwarders(10)
    expect(forwarder.destroyed).toBe(false)
    const startedMs = performance.now()
    await requests.lingerForForwarders(60_000)
    expect(performance.now() - startedMs).toBeGreaterThan(900)
    expect(requests.connections).toBeGreaterThan(0)
    const ended = requests.lingerForForwarders(60_000)
    forwarder.destroy()
    await ended
  })
})
