import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FakeNode, leaderAt, startFollower, startRawServer, startServer, until } from '../support/servers.ts'

interface Load {
  /** How often each status was given, by method. */
  readonly answers: Record<string, number>
  /** Posts by their id, as often as the leader executed them. */
  readonly executed: ReadonlyMap<string, number>
}

/** Sends requests with pauses about as long as connections to the leader stay idle. */
async function load (
  keepAliveTimeout: number,
  maxPauseMs: number,
  handler: (req: IncomingMessage, res: ServerResponse) => void
): Promise<Load> {
  const executed = new Map<string, number>()
  const node = new FakeNode('n2', 7, (req, res) => {
    const id = String(req.headers['x-id'])
    if (id.startsWith('POST')) executed.set(id, (executed.get(id) ?? 0) + 1)
    req.resume()
    handler(req, res)
  })
  const { url, server } = await startServer(node.listener)
  server.keepAliveTimeout = keepAliveTimeout
  const follower = await startFollower(leaderAt(url))
  const dispatcher = new Agent()
  onTestFinished(async () => { await dispatcher.close() })
  const answers: Record<string, number> = {}
  const endsAtMs = performance.now() + 3_000
  let count = 0
  const work = async (): Promise<void> => {
    while (performance.now() < endsAtMs) {
      const method = count % 2 === 0 ? 'GET' : 'POST'
      const headers = { 'x-id': `${method} ${++count}` }
      const { statusCode, body } = await request(`${follower.url}/x`, {
        method, headers, dispatcher, ...(method === 'POST' ? { body: 'x' } : {})
      })
      await body.dump()
      answers[`${method} ${statusCode}`] = (answers[`${method} ${statusCode}`] ?? 0) + 1
      await sleep(Math.random() * maxPauseMs)
    }
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return { answers, executed }
}

describe('B12 a leader that closes idle connections soon', () => {
  it.each([
    [1, 3],
    [100, 200],
    [1_500, 400],
    [2_500, 800],
    [3_000, 1_500]
  ])('after %i ms, which it announces, costs no request', async (keepAliveTimeout, maxPauseMs) => {
    const { answers, executed } = await load(keepAliveTimeout, maxPauseMs, (_req, res) => { res.end('ok') })
    expect(Object.keys(answers).sort()).toEqual(['GET 200', 'POST 200'])
    expect(Math.max(...executed.values())).toBe(1)
  })

  it('without announcing it keeps none that was idle for longer than a second', async () => {
    const closed: boolean[] = []
    const { url } = await startRawServer((socket) => {
      socket.on('data', () => { socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok') })
      socket.on('end', () => { closed.push(true) })
    })
    const follower = await startFollower(leaderAt(url))
    expect(await (await request(`${follower.url}/x`)).body.text()).toBe('ok')
    // undici's timers are late by up to half a second. By default it would keep the connection for four.
    await until(() => closed.length === 1, 'the connection is closed', 3_000)
  })

  it('and does not announce it costs no GET, and executes no POST twice', async () => {
    const { answers, executed } = await load(5, 14, (_req, res) => {
      // Node announces the end of no connection whose field the application has written.
      res.setHeader('connection', 'keep-alive')
      res.end('ok')
    })
    expect(Object.keys(answers).filter((answer) => answer.startsWith('GET'))).toEqual(['GET 200'])
    expect(Object.keys(answers).filter((answer) => !/^(GET 200|POST (200|502))$/.test(answer))).toEqual([])
    expect(Math.max(...executed.values())).toBe(1)
  })
})
