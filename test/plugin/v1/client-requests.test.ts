import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectTo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { limits } from '../../../src/plugin/replicated/limits.ts'
import type { ClientLimits } from '../../../src/plugin/v1/client-requests.ts'
import { clientLimits, ClientRequests } from '../../../src/plugin/v1/client-requests.ts'
import { until } from '../../support/until.ts'
import { fakeApp } from '../support/fake-app.ts'

/** A connection of a client, and what it has read. */
class Client {
  readonly socket: Socket
  read = ''

  constructor (socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => { this.read += chunk.toString() })
    socket.on('error', () => {})
  }

  get status (): string { return /^HTTP\/1\.1 (\d+)/.exec(this.read)?.[1] ?? '' }
}

async function connect (app: FastifyInstance): Promise<Client> {
  const socket = connectTo((app.server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => { socket.destroy() })
  await once(socket, 'connect')
  return new Client(socket)
}

async function send (app: FastifyInstance, head: string, ...fields: readonly string[]): Promise<Client> {
  const client = await connect(app)
  client.socket.write([`${head} HTTP/1.1`, 'host: a', ...fields, '', ''].join('\r\n'))
  return client
}

const json = 'content-type: application/json'
const largeAnswer = 'x'.repeat(16_777_216)

interface Limited {
  readonly app: FastifyInstance
  readonly clients: ClientRequests
  /** Lets the handlers go on. */
  readonly release: () => void
}

/** A route that answers when it is told to, one that answers at once, and one with a large answer, all under limits. */
async function limited (given: Partial<ClientLimits>): Promise<Limited> {
  const clients = new ClientRequests({ ...clientLimits, leastBytes: 100, ...given })
  const app = Fastify()
  const held: Array<() => void> = []
  app.addHook('onRequest', clients.bounded)
  app.addHook('onSend', clients.answered)
  app.addHook('onRequest', clients.shared)
  app.put('/held', async () => { await new Promise<void>((resolve) => { held.push(resolve) }) })
  app.get('/quick', async () => ({}))
  app.get('/large', async () => largeAnswer)
  onTestFinished(async () => { await app.close() })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, clients, release: () => { for (const resolve of held.splice(0)) resolve() } }
}

describe('requests of clients', () => {
  it('count until they are answered, each as much as it takes, and the next one is refused unread', async () => {
    const { app, clients, release } = await limited({ maxBytesOfClient: 1_000 })
    const first = await send(app, 'PUT /held', json, 'content-length: 901')
    await until('it counts', () => clients.bytes === 901)
    const second = await send(app, 'PUT /held', json, 'content-length: 2')
    await until('the next one is refused', () => second.status === '503')
    expect(second.read).toContain('RAFT_BUSY')
    first.socket.write(JSON.stringify('x'.repeat(899)))
    await until('it is there', () => { release(); return first.status === '200' })
    await until('it counts no more', () => clients.bytes === 0)
    expect((await app.inject('/quick')).statusCode).toBe(200)
  })

  it('of one client leave room for another, up to what all may have', async () => {
    const { app, clients, release } = await limited({ maxBytesOfClient: 1_000, maxBytesOfAll: 1_050 })
    const first = await send(app, 'PUT /held', json, 'content-length: 950')
    await until('it counts', () => clients.bytes === 950)
    const statusOf = async (remoteAddress: string): Promise<number> =>
      (await app.inject({ url: '/quick', remoteAddress })).statusCode
    expect(await statusOf('127.0.0.1')).toBe(503)
    expect(await statusOf('10.0.0.2')).toBe(200)
    const third = app.inject({ method: 'PUT', url: '/held', remoteAddress: '10.0.0.3' })
    await until('it counts', () => clients.bytes === 1_050)
    expect(await statusOf('10.0.0.2')).toBe(503)
    first.socket.destroy()
    release()
    await third
    await until('there is room again', () => clients.bytes === 0)
    expect(await statusOf('127.0.0.1')).toBe(200)
  })

  it('count as the largest when they do not say how large they are', async () => {
    const { app, clients } = await limited({ maxBodyBytes: 5_000 })
    const client = await send(app, 'PUT /held', json, 'transfer-encoding: chunked')
    await until('it counts', () => clients.bytes === 5_000)
    client.socket.destroy()
    await until('it is gone', () => clients.bytes === 0)
  })

  it('are cut off when their bodies do not come, one byte after another too', async () => {
    const { app, clients } = await limited({ bodyTimeoutMs: 50 })
    const slow = await send(app, 'PUT /held', json, 'content-length: 100000')
    const trickling = await send(app, 'PUT /held', json, 'content-length: 100000')
    const trickle = setInterval(() => { trickling.socket.write('1') }, 10)
    onTestFinished(() => { clearInterval(trickle) })
    await until('both are cut off', () => slow.socket.closed && trickling.socket.closed)
    // The other one may lose its answer: bytes of its own were on the way when the connection was closed.
    expect(slow.status).toBe('408')
    expect(slow.read).toContain('"code":"RAFT_REQUEST_TIMEOUT"')
    expect(clients.bytes).toBe(0)
  })

  it('are left alone while their handler works', async () => {
    const { app, clients, release } = await limited({ bodyTimeoutMs: 20, answerTimeoutMs: 20 })
    const client = await send(app, 'PUT /held', json, 'content-length: 2')
    client.socket.write('{}')
    const other = await send(app, 'PUT /held', json, 'content-length: 2')
    await until('the other one is cut off', () => other.socket.closed)
    expect(clients.bytes).toBe(100)
    release()
    await until('it is answered', () => client.status === '200')
  })

  it('count with large answers until those are read, and are cut off when they are not', async () => {
    const { app, clients } = await limited({ maxBytesOfClient: 20_000_000, answerTimeoutMs: 300 })
    const unread = await connect(app)
    unread.socket.pause()
    unread.socket.write('GET /large HTTP/1.1\r\nhost: a\r\n\r\n')
    await until('it counts', () => clients.bytes === largeAnswer.length + 100)
    const refused = await app.inject('/large')
    expect(refused.statusCode).toBe(503)
    expect(refused.json()).toMatchObject({ code: 'RAFT_BUSY' })
    await until('it is cut off', () => clients.bytes === 0)
    expect((await app.inject('/large')).body.length).toBe(largeAnswer.length)
  })

  it('cost their responses one listener, whatever of them is watched', async () => {
    const clients = new ClientRequests({ ...clientLimits, leastBytes: 1 })
    const counts: number[] = []
    for (const isWatched of [false, true]) {
      const app = Fastify()
      onTestFinished(async () => { await app.close() })
      if (isWatched) {
        app.addHook('onRequest', clients.shared)
        app.addHook('onRequest', clients.bounded)
        app.addHook('onSend', clients.answered)
      }
      app.addHook('onSend', async (_request, reply) => { counts.push(reply.raw.listenerCount('close')) })
      app.put('/', async () => 'an answer of more than the least')
      expect((await app.inject({ method: 'PUT', url: '/', payload: { some: 'body' } })).statusCode).toBe(200)
    }
    expect(counts).toHaveLength(2)
    expect((counts[1] ?? 0) - (counts[0] ?? 0)).toBe(1)
    await until('nothing is kept of them', () => clients.bytes === 0)
  })
})

describe('the routes under v1', () => {
  async function listening (): Promise<FastifyInstance> {
    const { app } = await fakeApp({})
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app
  }

  it('refuse bodies by their announced size: values of the map by one, changes of members and leaders by a small one', async () => {
    const app = await listening()
    const sizes = [
      { head: 'PUT /_cluster/v1/kv/a', bytes: clientLimits.maxBodyBytes },
      { head: 'POST /_cluster/v1/members', bytes: clientLimits.maxAdminBodyBytes },
      { head: 'DELETE /_cluster/v1/members/n1', bytes: clientLimits.maxAdminBodyBytes },
      { head: 'POST /_cluster/v1/leader/transfer', bytes: clientLimits.maxAdminBodyBytes },
      { head: 'POST /_cluster/v1/snapshot', bytes: clientLimits.maxAdminBodyBytes }
    ]
    for (const { head, bytes } of sizes) {
      const client = await send(app, head, json, `content-length: ${bytes + 1}`)
      await until(`${head} is refused`, () => client.status === '413')
      expect(client.read).toContain('"code":"RAFT_TOO_LARGE"')
      expect(client.read).toContain(`larger than ${bytes} bytes`)
    }
  })

  it('let no client take all places, and keep one for probes and for others', async () => {
    const app = await listening()
    const bodies = Math.floor(clientLimits.maxBytesOfClient / clientLimits.maxBodyBytes)
    const slow: Client[] = []
    for (let count = 0; count <= bodies; count++) {
      slow.push(await send(app, 'PUT /_cluster/v1/kv/a', json, `content-length: ${clientLimits.maxBodyBytes}`))
    }
    await until('the last one is refused', () => slow.some(({ status }) => status === '503'))
    expect(slow.filter(({ status }) => status !== '')).toHaveLength(1)
    for (let count = 0; count < 200; count++) slow.push(await send(app, 'GET /_cluster/v1/kv/a', 'content-length: 1'))
    const later = await send(app, 'PUT /_cluster/v1/kv/a', json, `content-length: ${clientLimits.maxBodyBytes}`)
    await until('another one is refused', () => later.status === '503')
    for (const url of ['livez', 'readyz', 'leader/self']) {
      expect((await app.inject(`/_cluster/v1/${url}`)).statusCode, url).toBe(200)
    }
    const put = { method: 'PUT', url: '/_cluster/v1/kv/a', payload: { value: 1 }, remoteAddress: '127.0.0.2' } as const
    expect((await app.inject(put)).statusCode).toBe(200)
    for (const { socket } of slow) socket.destroy()
    await until('there is room again', async () => (await app.inject({ ...put, remoteAddress: '127.0.0.1' })).statusCode === 200)
  })

  it('refuse header fields and targets that are too large, as the server does', async () => {
    const app = await listening()
    for (const client of [
      await send(app, 'GET /_cluster/v1/status', `x-large: ${'x'.repeat(20_000)}`),
      await send(app, `GET /_cluster/v1/kv/${'x'.repeat(20_000)}`)
    ]) {
      await until('it is refused', () => client.status !== '')
      expect(client.status).toBe('431')
    }
  })

  it('refuse values that nest too deeply, however deep', async () => {
    const app = await listening()
    const put = async (depth: number): Promise<{ statusCode: number, body: string }> => await app.inject({
      method: 'PUT',
      url: '/_cluster/v1/kv/a',
      headers: { 'content-type': 'application/json' },
      payload: `{"value":${'['.repeat(depth)}${']'.repeat(depth)}}`
    })
    expect((await put(limits.maxValueDepth)).statusCode).toBe(200)
    for (const depth of [limits.maxValueDepth + 1, 5_000, 1_000_000]) {
      const { statusCode, body } = await put(depth)
      expect(statusCode).toBe(413)
      expect(body).toContain('"code":"RAFT_TOO_LARGE"')
    }
  })
})
