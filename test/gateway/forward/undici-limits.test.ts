import type { Socket } from 'node:net'
import { Client } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AdminClient } from '../../../src/gateway/internal.ts'
import { SmallRequest } from '../../../src/raft/internal.ts'
import type { ErrorBody } from '../support/servers.ts'
import { leaderAt, RawClient, startFollower, startRawServer, until } from '../support/servers.ts'

/** Well below the second in which undici's own timers count, and above what a busy machine takes. */
const timeoutMs = 200
const soonMs = 900

async function elapsedMs (work: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now()
  await work()
  return performance.now() - startedAtMs
}

/** A server that takes connections and never says anything: also in the middle of a TLS handshake. */
async function silentServer (): Promise<{ readonly port: number, readonly sockets: Socket[] }> {
  const sockets: Socket[] = []
  const { port } = await startRawServer((socket) => {
    sockets.push(socket)
    socket.resume()
  })
  return { port, sockets }
}

describe.each(['http', 'https'])('a peer that is silent at an %s URL', (protocol) => {
  it('holds a forwarded request no longer than its deadline, below a second too', async () => {
    const { port } = await silentServer()
    const follower = await startFollower(leaderAt(`${protocol}://127.0.0.1:${port}`), { timeoutMs, waitForLeaderMs: timeoutMs })
    const tookMs = await elapsedMs(async () => {
      // Over https it still connects: surely nothing was sent.
      expect((await fetch(follower.url, { method: 'POST' })).status).toBe(protocol === 'http' ? 504 : 503)
    })
    expect(tookMs).toBeGreaterThan(timeoutMs - 5)
    expect(tookMs).toBeLessThan(soonMs)
    expect(follower.forwarder.stats()).toEqual({ waiting: 0, inFlight: 0 })
  })

  it('holds a call of an admin route no longer than its deadline or its signal', async () => {
    const { port } = await silentServer()
    const client = new AdminClient()
    onTestFinished(async () => { await client.close() })
    const call = async (limits: { readonly timeoutMs: number, readonly signal?: AbortSignal }): Promise<unknown> =>
      await client.call(`${protocol}://127.0.0.1:${port}`, { method: 'GET', path: '/', body: null }, limits).catch((error: unknown) => error)
    let error: unknown
    expect(await elapsedMs(async () => { error = await call({ timeoutMs }) })).toBeLessThan(soonMs)
    expect(error).toMatchObject({ name: 'AdminCallError' })
    const signal = AbortSignal.timeout(timeoutMs)
    expect(await elapsedMs(async () => { error = await call({ timeoutMs: 30_000, signal }) })).toBeLessThan(soonMs)
    expect(error).toBe(signal.reason)
  })

  it('holds a client that goes no longer: its request ends, and so does the connection for it', async () => {
    const { port, sockets } = await silentServer()
    const follower = await startFollower(leaderAt(`${protocol}://127.0.0.1:${port}`), { timeoutMs: 30_000 })
    const client = new RawClient(follower.port).send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await until(() => sockets.length === 1, 'the peer is called')
    client.socket.destroy()
    const tookMs = await elapsedMs(async () => {
      await until(() => follower.forwarder.stats().inFlight === 0, 'the request has ended')
    })
    expect(tookMs).toBeLessThan(soonMs)
  })
})

describe('a request that waits behind another one on its connection', () => {
  it('ends with its own deadline, and when it is aborted, and is not sent later', async () => {
    const heard: string[] = []
    const { port } = await startRawServer((socket) => {
      socket.on('data', (chunk: Buffer) => { heard.push(chunk.toString().split(' ', 2)[1] ?? '') })
    })
    const client = new Client(`http://127.0.0.1:${port}`, { pipelining: 1, allowH2: false })
    onTestFinished(async () => { await client.destroy() })
    const failures: Record<string, { readonly error: Error, readonly afterMs: number }> = {}
    const startedAtMs = performance.now()
    const send = (path: string, deadlineMs: number): SmallRequest => {
      const request = new SmallRequest({
        method: 'POST',
        path,
        headers: [],
        body: 'x',
        timeoutMs: deadlineMs,
        maxAnswerBytes: 10,
        answered: () => {},
        failed: (error) => { failures[path] = { error, afterMs: performance.now() - startedAtMs } }
      })
      request.start(client)
      return request
    }
    send('/first', 1_500)
    send('/queued', timeoutMs)
    send('/aborted', 30_000).abort(new Error('no more'))
    await until(() => '/queued' in failures && '/aborted' in failures, 'both have ended')
    expect(failures['/queued']?.afterMs).toBeLessThan(soonMs)
    for (const path of ['/queued', '/aborted']) expect(failures[path]?.error.name).toBe('NotSentError')
    await until(() => '/first' in failures, 'the first has ended')
    send('/last', 100)
    await until(() => heard.includes('/last'), 'the next one is sent')
    expect(heard).toEqual(['/first', '/last'])
  })
})

describe('an upload whose client stops to send', () => {
  it('ends at the deadline, counted from its last piece: 504, and the leader sees it cut', async () => {
    const { port, sockets } = await silentServer()
    const follower = await startFollower(leaderAt(`http://127.0.0.1:${port}`), { timeoutMs: 400 })
    const client = new RawClient(follower.port).send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc')
    await until(() => sockets.length === 1, 'the upload has begun')
    await new Promise((resolve) => { setTimeout(resolve, 250) })
    client.send('def')
    const startedAtMs = performance.now()
    const answer = await client.untilReceived('RAFT_OUTCOME_UNKNOWN')
    const tookMs = performance.now() - startedAtMs
    expect(tookMs).toBeGreaterThan(300)
    expect(tookMs).toBeLessThan(1_500)
    expect(answer).toMatch(/^HTTP\/1\.1 504 /)
    expect((JSON.parse(answer.split('\r\n\r\n')[1] ?? '') as ErrorBody).statusCode).toBe(504)
    await until(() => sockets[0]?.destroyed === true, 'the leader sees the end')
  })
})
