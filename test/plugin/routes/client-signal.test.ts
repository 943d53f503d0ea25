import type { ClientHttp2Stream } from 'node:http2'
import { connect, constants } from 'node:http2'
import type { FastifyInstance, FastifyReply } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { RawClient } from '../../gateway/support/servers.ts'
import { createCertificates } from '../../support/certificates.ts'
import { until } from '../../support/until.ts'
import type { TwoCopies } from '../support/two-copies.ts'
import { twoCopies } from '../support/two-copies.ts'

interface Watched extends TwoCopies {
  /** The signals of the requests that a handler serves on the leader, in order. */
  readonly signals: AbortSignal[]
  /** Lets all handlers answer. */
  readonly answer: () => void
}

/** Copies whose handlers wait for `answer`, or until their client is gone. */
async function waitingCopies (): Promise<Watched> {
  const signals: AbortSignal[] = []
  let answer = (): void => {}
  const answered = new Promise<void>((resolve) => { answer = resolve })
  const wait = async (reply: FastifyReply): Promise<string> => {
    const signal = reply.clientSignal
    signals.push(signal)
    await Promise.race([answered, new Promise((resolve) => { signal.addEventListener('abort', resolve) })])
    return 'done'
  }
  const copies = await twoCopies(async (app, registerCluster) => {
    await registerCluster()
    app.post('/plain', { forward: true, handlerTimeout: 20_000 }, async (_request, reply) => await wait(reply))
    app.post('/leading', { forward: true }, async (_request, reply) =>
      await app.cluster.executeIfLeader(async () => await wait(reply)))
    app.get('/plain', { forward: true }, async (_request, reply) => await wait(reply))
  })
  return { ...copies, signals, answer }
}

const body = 'content-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
const requests = [
  ['a GET', 'GET /plain HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a POST with a body and a handlerTimeout', `POST /plain HTTP/1.1\r\nHost: x\r\n${body}`],
  ['a POST with a body, inside executeIfLeader', `POST /leading HTTP/1.1\r\nHost: x\r\n${body}`]
] as const

describe.each(['leader', 'follower'] as const)('reply.clientSignal of a request to the %s', (copy) => {
  it.each(requests)('aborts when the client of %s is gone, and not before', async (_what, text) => {
    const { [copy]: { url }, signals } = await waitingCopies()
    const client = new RawClient(Number(new URL(url).port)).send(text)
    const [signal] = await until('the handler runs', () => signals.length === 1 ? signals : null)
    await new Promise((resolve) => { setTimeout(resolve, 50) })
    expect(signal?.aborted).toBe(false)
    client.socket.destroy()
    await until('the signal aborts', () => signal?.aborted)
    expect(signal?.reason).toMatchObject({ name: 'AbortError' })
  })

  it.each(requests)('never aborts when the client of %s is answered, on a connection that is then used and cut', async (_what, text) => {
    const { [copy]: { url }, signals, answer } = await waitingCopies()
    answer()
    const client = new RawClient(Number(new URL(url).port)).send(text)
    await client.untilReceived('done')
    client.send('GET /plain HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the second is answered', () => client.received.split('done').length === 3)
    client.socket.destroy()
    await client.untilClosed()
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false])
  })
})

describe('reply.clientSignal', () => {
  it('is the same one for all who ask, and aborted for who asks too late', async () => {
    const seen: AbortSignal[] = []
    const cut: FastifyReply[] = []
    const { leader } = await twoCopies(async (app, registerCluster) => {
      await registerCluster()
      app.get('/x', async (_request, reply) => {
        seen.push(reply.clientSignal, reply.clientSignal)
        return 'x'
      })
      app.get('/cut', (_request, reply) => {
        cut.push(reply)
        reply.hijack()
        reply.raw.destroy()
      })
    })
    expect((await fetch(`${leader.url}/x`)).status).toBe(200)
    expect(seen[0]).toBe(seen[1])
    await expect(fetch(`${leader.url}/cut`)).rejects.toThrow()
    await until('the connection is cut', () => cut[0]?.raw.destroyed)
    expect(cut[0]?.clientSignal.aborted).toBe(true)
  })

  it('is right over HTTP/2 too, where Node calls a response finished that the client has reset', async () => {
    const { ca, server: { cert, key } } = await createCertificates()
    const signals: AbortSignal[] = []
    const finished: boolean[] = []
    const app = Fastify({ http2: true, https: { allowHTTP1: true, cert, key } }) as unknown as FastifyInstance
    onTestFinished(async () => { await app.close() })
    await app.register(cluster)
    const late: FastifyReply[] = []
    let closed = 0
    app.post('/asked-late', async (_request, reply) => {
      late.push(reply)
      reply.raw.once('close', () => { closed++ })
      return await new Promise(() => {})
    })
    app.post('/x', async ({ body }, reply) => {
      signals.push(reply.clientSignal)
      if (body === 'answer me') return 'x'
      reply.raw.once('close', () => { finished.push(reply.raw.writableFinished) })
      return await new Promise(() => {})
    })
    const client = connect(await app.listen({ port: 0, host: '127.0.0.1' }), { ca })
    onTestFinished(() => { client.destroy() })
    const post = (body: string, path = '/x'): ClientHttp2Stream => {
      const stream = client.request({ ':method': 'POST', ':path': path, 'content-type': 'text/plain' })
      stream.on('error', () => {}).resume().end(body)
      return stream
    }
    const answered = post('answer me')
    await until('the first is answered', () => answered.closed)
    const left = post('never mind')
    await until('the second runs', () => signals.length === 2)
    left.close(constants.NGHTTP2_CANCEL)
    await until('the signal aborts', () => signals[1]?.aborted)
    expect([signals[0]?.aborted, finished]).toEqual([false, [true]])
    const gone = post('gone before anybody asks', '/asked-late')
    await until('the third runs', () => late.length === 1)
    gone.close(constants.NGHTTP2_CANCEL)
    await until('it has closed', () => closed === 1)
    expect(late[0]?.clientSignal.aborted).toBe(true)
  })
})
