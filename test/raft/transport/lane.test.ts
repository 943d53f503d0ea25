import { once } from 'node:events'
import type { Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createNetServer } from 'node:net'
import { Pool } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { Lane } from '../../../src/raft/transport/lane.ts'
import { NotSentError } from '../../../src/raft/transport/not-sent.ts'
import { openChannel } from '../../../src/raft/transport/peer-channel.ts'
import { until } from '../../support/until.ts'

interface Received {
  readonly body: string
  readonly response: ServerResponse
}

interface Fixture {
  readonly lane: Lane<string>
  readonly received: Received[]
  readonly answers: Array<readonly [items: readonly string[], body: string]>
  readonly lost: Array<readonly [items: readonly string[], cause: unknown]>
  readonly abandoned: Array<{ readonly items: readonly string[], readonly notSent: boolean }>
}

const cleanUps: Array<() => Promise<void>> = []

afterEach(async () => { for (const cleanUp of cleanUps.splice(0)) await cleanUp() })

async function listen (): Promise<{ readonly server: Server, readonly received: Received[], readonly url: string }> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    let body = ''
    request
      .setEncoding('utf8')
      .on('data', (chunk: string) => {
        body += chunk
      })
      .on('end', () => {
        received.push({ body, response })
      })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { server, received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** Takes connections and says nothing. */
async function silentServer (): Promise<{ readonly url: string }> {
  const sockets = new Set<Socket>()
  const server = createNetServer((socket) => { sockets.add(socket.on('error', () => {})) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A lane of texts; what starts with a dot may wait, and what starts with a dash replaces queued ones of that kind. */
async function openLane (
  given: { readonly url?: string; readonly timeoutMs?: number; readonly maxQueuedItems?: number } = {}
): Promise<Fixture> {
  const { received, url } = await listen()
  const pool = new Pool(given.url ?? url, { connections: 3, pipelining: 1 })
  const answers: Fixture['answers'] = []
  const lost: Fixture['lost'] = []
  const abandoned: Fixture['abandoned'] = []
  const lane = new Lane<string>(pool, openChannel, {
    path: '/lane',
    timeoutMs: given.timeoutMs ?? 5_000,
    maxQueuedItems: given.maxQueuedItems ?? 100,
    maxQueuedBytes: 1_000,
    maxBatchBytes: 10,
    byteLength: (item) => item.length,
    supersedes: (newer, queued) => newer.startsWith('-') && queued.startsWith('-'),
    mayWait: (item) => item.startsWith('.'),
    encode: (items) => Buffer.from(items.join(' ')),
    answered: (items, body) => {
      if (body.byteLength === 0) throw new Error('an empty answer')
      answers.push([items, Buffer.from(body).toString()])
    },
    lost: (items, cause) => {
      lost.push([items, cause])
    },
    abandoned: (items, cause) => {
      abandoned.push({ items, notSent: isNotSent(cause) })
    }
  })
  cleanUps.unshift(async () => {
    lane.close()
    await pool.destroy()
  })
  return { lane, received, answers, lost, abandoned }
}

function isNotSent (cause: unknown): boolean {
  return cause instanceof NotSentError
}

async function request (received: readonly Received[], at: number): Promise<Received> {
  return until(`request ${at}`, () => received[at])
}

describe('a lane towards a peer', () => {
  it('has one request in flight, and sends items that come meanwhile together in the next', async () => {
    const { lane, received, answers } = await openLane()
    lane.push(['a'])
    const first = await request(received, 0)
    lane.push(['b'])
    lane.push(['c', 'd'])
    expect(received).toHaveLength(1)
    first.response.end('1')
    const second = await request(received, 1)
    second.response.end('2')
    await until('both answers', () => answers.length === 2)
    expect(received.map(({ body }) => body)).toEqual(['a', 'b c d'])
    expect(answers).toEqual([[['a'], '1'], [['b', 'c', 'd'], '2']])
  })

  it('keeps to the size of a batch, and to the order', async () => {
    const { lane, received } = await openLane()
    lane.push(['12345678', '1234', '12345678901234', 'x'])
    for (let at = 0; at < 3; at++) (await request(received, at)).response.end('ok')
    await request(received, 3)
    expect(received.map(({ body }) => body)).toEqual(['12345678', '1234', '12345678901234', 'x'])
  })

  it('drops queued items that are superseded', async () => {
    const { lane, received } = await openLane()
    lane.push(['a'])
    const first = await request(received, 0)
    lane.push(['-1', 'b'])
    lane.push(['-2'])
    first.response.end('ok')
    expect((await request(received, 1)).body).toBe('b -2')
  })

  it('holds items that may wait, until another item goes with them', async () => {
    const { lane, received } = await openLane()
    lane.push(['.a'])
    lane.push(['b'])
    expect((await request(received, 0)).body).toBe('.a b')
  })

  it('sends items that may wait after a moment at the latest', async () => {
    const { lane, received } = await openLane()
    lane.push(['.a'])
    const first = await request(received, 0)
    lane.push(['.b'])
    first.response.end('ok')
    expect((await request(received, 1)).body).toBe('.b')
  })

  it('reports items beyond its bounds as lost, but not within the call that sends', async () => {
    const { lane, received, lost } = await openLane({ maxQueuedItems: 1 })
    lane.push(['a'])
    await request(received, 0)
    lane.push(['b', 'c'])
    expect(lost).toEqual([])
    await until('the loss', () => lost.length > 0)
    expect(lost.map(([items, cause]) => [items, isNotSent(cause)])).toEqual([[['c'], true]])
  })

  it.each([
    {
      name: 'another status than 200',
      answer: (response: ServerResponse) => {
        response.writeHead(503).end('no')
      }
    },
    {
      name: 'an answer that cannot be taken',
      answer: (response: ServerResponse) => {
        response.end()
      }
    },
    {
      name: 'a connection that breaks',
      answer: (response: ServerResponse) => {
        response.destroy()
      }
    },
    {
      name: 'an answer that breaks off',
      answer: (response: ServerResponse) => {
        response.writeHead(200, { 'content-length': 9 }).write('half', () => response.destroy())
      }
    }
  ])('takes $name for a loss, and goes on', async ({ answer }) => {
    const { lane, received, answers, lost } = await openLane()
    lane.push(['a'])
    answer((await request(received, 0)).response)
    await until('the loss', () => lost.length === 1)
    expect(lost[0]?.[0]).toEqual(['a'])
    expect(isNotSent(lost[0]?.[1])).toBe(false)
    lane.push(['b'])
    const next = await request(received, 1)
    next.response.end('ok')
    await until('the answer', () => answers.length === 1)
    expect(answers).toEqual([[['b'], 'ok']])
  })

  it('waits for the whole answer no longer than its deadline', async () => {
    const { lane, received, answers, lost } = await openLane({ timeoutMs: 50 })
    lane.push(['a'])
    await until('the first loss', () => lost.length === 1)
    lane.push(['b'])
    const second = await request(received, 1)
    second.response.writeHead(200, { 'content-length': 9 }).write('half')
    await until('the second loss', () => lost.length === 2)
    expect(lost.map(([items, cause]) => [items, String(cause)])).toEqual([
      [['a'], 'Error: no answer within 50 ms'],
      [['b'], 'Error: no answer within 50 ms']
    ])
    expect(answers).toEqual([])
  })

  it('reports items as not sent when the connection is refused', async () => {
    const { url, server } = await listen()
    server.close()
    const { lane, lost } = await openLane({ url })
    lane.push(['a'])
    await until('the loss', () => lost.length === 1)
    expect(isNotSent(lost[0]?.[1])).toBe(true)
  })

  it('reports items as not sent when no connection is made in time, or before it is closed', async () => {
    // TLS is awaited for ever on a server that speaks none.
    const { url } = await silentServer()
    const late = await openLane({ url: url.replace('http:', 'https:'), timeoutMs: 50 })
    late.lane.push(['a'])
    await until('the loss', () => late.lost.length === 1)
    expect(late.lost.map(([, cause]) => [isNotSent(cause), (cause as Error).message])).toEqual([
      [true, 'no answer within 50 ms']
    ])
    const closed = await openLane({ url: url.replace('http:', 'https:') })
    closed.lane.push(['a'])
    closed.lane.close()
    expect(closed.abandoned).toEqual([{ items: ['a'], notSent: true }])
  })

  it('names the unanswered items once when it is closed, and which of them were not sent', async () => {
    const { lane, received, abandoned, lost } = await openLane()
    lane.push(['a'])
    await request(received, 0)
    lane.push(['b', 'c'])
    lane.close()
    lane.close()
    const named = [{ items: ['a'], notSent: false }, { items: ['b', 'c'], notSent: true }]
    expect(abandoned).toEqual(named)
    await once((await request(received, 0)).response, 'close')
    expect({ abandoned, lost }).toEqual({ abandoned: named, lost: [] })
  })

  it('reports nothing more once it is closed', async () => {
    const { lane, received, answers, lost } = await openLane()
    lane.push(['a'])
    const first = await request(received, 0)
    lane.push(['b'])
    lane.close()
    lane.push(['c'])
    await once(first.response, 'close')
    expect({ answers, lost, requests: received.length }).toEqual({ answers: [], lost: [], requests: 1 })
  })
})
