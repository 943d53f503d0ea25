import { once } from 'node:events'
import { request as send } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

/** Requests that wait in their handler, by node, and how they go on. */
type Held = Map<string, Array<() => void>>

interface Copies {
  readonly leader: Node
  readonly followers: readonly Node[]
  /** Resolves when so many handlers wait on the node, and lets them go on. */
  readonly release: (node: Node, count?: number) => Promise<void>
  readonly whenHeld: (node: Node, count?: number) => Promise<void>
}

/** Three copies whose handlers wait until the test lets them go on, and then use the cluster. */
async function threeCopies (closeTimeoutMs = 60_000): Promise<Copies> {
  const held: Held = new Map()
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, { ...options, closeTimeoutMs })
    declare(app, held)
  })
  const leader = await agreedLeader(nodes)
  const whenHeld = async ({ id }: Node, count = 1): Promise<void> => {
    await until(`${count} handlers wait on ${id}`, () => held.get(id)?.length === count)
  }
  return {
    leader,
    followers: nodes.filter((node) => node !== leader),
    whenHeld,
    release: async (node, count = 1) => {
      await whenHeld(node, count)
      for (const go of held.get(node.id)?.splice(0) ?? []) go()
    }
  }
}

function declare (app: FastifyInstance, held: Held): void {
  const { nodeId } = app.cluster
  const turn = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      const waiting = held.get(nodeId) ?? []
      waiting.push(resolve)
      held.set(nodeId, waiting)
    })
  }
  const map = app.cluster.map('m')
  app.post('/write', async () => {
    await turn()
    return await map.set(`of ${nodeId}`, 1)
  })
  app.get('/read', async () => {
    await turn()
    return { entry: await map.get('a') }
  })
  app.get('/at-once', async () => ({ by: nodeId }))
  app.post('/forwarded', { forward: true }, async () => {
    await turn()
    await map.set('forwarded', nodeId)
    return { by: nodeId }
  })
}

describe.each(['leader', 'follower'] as const)('the %s that closes while a handler works', (role) => {
  it('writes, reads and is answered, on a connection that is said to close, and only then is gone', async () => {
    const copies = await threeCopies()
    const { leader, followers: [follower = leader] } = copies
    const closing = role === 'leader' ? leader : follower
    const other = role === 'leader' ? follower : leader
    await other.app.cluster.map('m').set('a', 'stored')
    const write = fetch(`${closing.url}/write`, { method: 'POST' })
    const read = fetch(`${closing.url}/read`)
    await copies.whenHeld(closing, 2)
    let isClosed = false
    const closed = closing.app.close().then(() => { isClosed = true })
    await until('another node leads', () => other.app.cluster.leader !== null && !closing.app.cluster.isLeader)
    // A new request is refused, and told that its connection ends; the listener is still there.
    const refused = await fetch(`${closing.url}/read`)
    expect([refused.status, refused.headers.get('connection')]).toEqual([503, 'close'])
    expect(isClosed).toBe(false)
    await copies.release(closing, 2)
    const [written, found] = await Promise.all([write, read])
    expect([written.status, written.headers.get('connection')]).toEqual([200, 'close'])
    expect([found.status, (await found.json() as { entry: { value: string } }).entry.value]).toEqual([200, 'stored'])
    await closed
    const stored = await other.app.cluster.map('m').get(`of ${closing.id}`)
    expect(stored?.value).toBe(1)
    await expect(fetch(`${closing.url}/read`)).rejects.toThrow('fetch failed')
  })
})

describe('a forwarded request', () => {
  it('is answered by a follower that closes meanwhile', async () => {
    const copies = await threeCopies()
    const { leader, followers: [follower = leader] } = copies
    const answer = fetch(`${follower.url}/forwarded`, { method: 'POST' })
    await copies.whenHeld(leader)
    const closed = follower.app.close()
    await until('it refuses new requests', async () => (await fetch(`${follower.url}/read`)).status === 503)
    await copies.release(leader)
    expect([(await answer).status, await (await answer).json()]).toEqual([200, { by: leader.id }])
    await closed
  })

  it('is answered by a leader that closes meanwhile, and the next one by the next leader', async () => {
    const copies = await threeCopies()
    const { leader, followers: [follower = leader] } = copies
    const answer = fetch(`${follower.url}/forwarded`, { method: 'POST' })
    await copies.whenHeld(leader)
    const closed = leader.app.close()
    const next = fetch(`${follower.url}/forwarded`, { method: 'POST' })
    const successor = await agreedLeader(copies.followers)
    await copies.release(successor)
    expect(await (await next).json()).toEqual({ by: successor.id })
    await copies.release(leader)
    expect([(await answer).status, await (await answer).json()]).toEqual([200, { by: leader.id }])
    await closed
  })

  it('whose body comes slowly is served by the leader that closes meanwhile', async () => {
    const copies = await threeCopies()
    const { leader } = copies
    const request = send(`${leader.url}/forwarded`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': 2 }
    })
    request.write('{')
    await until('it has arrived', () => request.socket?.writableLength === 0)
    await delay(50)
    const closed = leader.app.close()
    await until('it closes', async () => (await fetch(`${leader.url}/read`)).status === 503)
    request.end('}')
    await copies.release(leader)
    const [response] = await once(request, 'response') as [NodeJS.ReadableStream & { statusCode: number }]
    response.resume()
    expect(response.statusCode).toBe(200)
    await closed
  })
})

describe('a new request to a node that closes', () => {
  it('is told so although its body still comes', async () => {
    const copies = await threeCopies()
    const { followers: [follower = copies.leader] } = copies
    const held = fetch(`${follower.url}/write`, { method: 'POST' })
    await copies.whenHeld(follower)
    const closed = follower.app.close()
    const client = connect(Number(new URL(follower.url).port), '127.0.0.1')
    onTestFinished(() => { client.destroy() })
    let received = ''
    client.on('data', (bytes) => { received += bytes.toString() })
    client.write(`POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(100_000)}`)
    await until('it is answered', () => received.includes('\r\n\r\n'))
    client.write('x'.repeat(100_000))
    await once(client, 'close')
    expect(received).toMatch(/^HTTP\/1\.1 503 [^]*Connection: close[^]*"statusCode":503}$/)
    await copies.release(follower)
    expect((await held).status).toBe(200)
    await closed
  })

  it('goes on to another node when a gateway has sent it', async () => {
    const copies = await threeCopies()
    const { leader, followers } = copies
    const [follower = leader] = followers
    const urls = [leader, ...followers].map((node) => node.url)
    await until('all are ready', async () => {
      const answers = await Promise.all(urls.map(async (each) => await fetch(`${each}/_cluster/v1/readyz`)))
      return answers.every(({ status }) => status === 200)
    })
    // It looks once, and does not notice by itself that a node closes.
    const gateway = createGateway({ nodes: urls, pollMs: 60_000, reads: 'any' })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    await until('all are known', () => gateway.status().nodes.every(({ ready }) => ready))
    const held = fetch(`${follower.url}/write`, { method: 'POST' })
    await copies.whenHeld(follower)
    const closed = follower.app.close()
    for (let count = 0; count < 6; count++) expect((await fetch(`${url}/at-once`)).status).toBe(200)
    await copies.release(follower)
    expect((await held).status).toBe(200)
    await closed
  })
})

describe('closeTimeoutMs', () => {
  it('ends a request whose handler never ends, and one whose client has left holds nothing up', async () => {
    const copies = await threeCopies(400)
    const { followers: [follower = copies.leader, other = copies.leader] } = copies
    const client = new AbortController()
    const left = fetch(`${other.url}/write`, { method: 'POST', signal: client.signal })
    await copies.whenHeld(other)
    client.abort()
    await expect(left).rejects.toThrow()
    const endless = expect(fetch(`${follower.url}/write`, { method: 'POST' })).rejects.toThrow('fetch failed')
    await copies.whenHeld(follower)
    const startMs = performance.now()
    await other.app.close()
    expect(performance.now() - startMs).toBeLessThan(5_000)
    await follower.app.close()
    await endless
  })

  it('may be longer than Fastify lets a hook wait', async () => {
    const [port = 0] = await freePorts(1)
    const app = Fastify({ pluginTimeout: 200 })
    onTestFinished(async () => { await app.close() })
    await app.register(cluster, { id: 'n1', closeTimeoutMs: 60_000 })
    let hasArrived = false
    app.get('/slow', async () => {
      hasArrived = true
      await delay(1_000)
      return await app.cluster.map('m').set('a', 1)
    })
    const url = await app.listen({ port, host: '127.0.0.1' })
    const answer = fetch(`${url}/slow`)
    await until('it has arrived', () => hasArrived)
    const closed = app.close()
    await delay(500)
    expect(app.server.listening).toBe(true)
    expect((await answer).status).toBe(200)
    await closed
  })
})

describe('a node with nothing to do', () => {
  it('closes at once, whatever idle connections its clients keep', async () => {
    const copies = await threeCopies()
    const { leader, followers: [follower = leader] } = copies
    for (const node of [leader, follower]) {
      // One that has been used, and one that no request ever came on.
      expect((await fetch(`${node.url}/_cluster/v1/livez`)).status).toBe(200)
      const { port, hostname } = new URL(node.url)
      const unused = connect(Number(port), hostname)
      await once(unused, 'connect')
      const ended = once(unused, 'close')
      unused.resume()
      const startMs = performance.now()
      await node.app.close()
      expect(performance.now() - startMs).toBeLessThan(3_000)
      await ended
    }
  })
})
