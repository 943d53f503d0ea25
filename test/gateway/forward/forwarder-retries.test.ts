import { request } from 'undici'
import { describe, expect, it } from 'vitest'
import type { ForwardPolicy } from '../../../src/gateway/forward/types.ts'
import type { ErrorBody } from '../support/servers.ts'
import {
  deadUrl,
  FakeNode,
  leaderAt,
  RawClient,
  readBody,
  startFollower,
  startRawServer,
  startServer,
  until
} from '../support/servers.ts'

describe('requests that were surely not executed', () => {
  it('go to the new leader when the old one refuses connections', async () => {
    const node = new FakeNode('n3', 8)
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(await deadUrl()))
    const answering = request(`${follower.url}/x`, { method: 'POST', body: 'body' })
    await until(() => follower.forwarder.stats().waiting === 1, 'the request waits')
    follower.leaders.set(leaderAt(url, 8, 'n3'))
    const answer = await answering
    expect(await answer.body.text()).toBe('by n3')
    expect(node.executed).toEqual(['POST /x'])
  })

  it('B15 B13 go to the new leader, body included, when the named node refuses them', async () => {
    const old = new FakeNode('n2', null)
    const bodies: string[] = []
    const next = new FakeNode('n3', 8, (req, res) => {
      readBody(req).then((body) => {
        bodies.push(body.toString())
        res.end('done')
      }).catch(() => { res.destroy() })
    })
    const [oldServer, nextServer] = [await startServer(old.listener), await startServer(next.listener)]
    const follower = await startFollower(leaderAt(oldServer.url))
    const answering = request(`${follower.url}/x`, { method: 'POST', body: 'k'.repeat(60_000) })
    await until(() => old.refused.length > 0, 'the old leader has refused')
    follower.leaders.set(leaderAt(nextServer.url, 8, 'n3'))
    expect(await (await answering).body.text()).toBe('done')
    expect(bodies).toEqual(['k'.repeat(60_000)])
    expect(old.executed).toEqual([])
  })

  it('B15 wait for a leader that has not caught up yet, without an event to tell', async () => {
    const node = new FakeNode('n2', null)
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const answering = request(`${follower.url}/x`, { method: 'POST' })
    await until(() => node.refused.length >= 2, 'it was refused twice')
    node.leadership = { term: 7 }
    expect(await (await answering).body.text()).toBe('by n2')
    expect(node.executed).toEqual(['POST /x'])
  })

  it('B15 are not served by a leader of another term', async () => {
    const node = new FakeNode('n2', 8)
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url, 7), { waitForLeaderMs: 200 })
    const answer = await request(`${follower.url}/x`, { method: 'POST' })
    const body = await answer.body.json() as ErrorBody
    expect([answer.statusCode, body.code, answer.headers['retry-after']]).toEqual([503, 'RAFT_NO_LEADER', '1'])
    expect(body).toMatchObject({
      statusCode: 503,
      error: 'Service Unavailable',
      leader: { id: 'n2', url, term: 7 },
      term: 7
    })
    expect(node.executed).toEqual([])
  })

  it('B13 two nodes that name each other cost a bounded number of single hops', async () => {
    // n2 believes that n1 leads, n1 that n2 does; a request that has made a hop makes no other.
    const other = new FakeNode('n2', null)
    const { url } = await startServer(other.listener)
    const follower = await startFollower(leaderAt(url), { waitForLeaderMs: 300 })
    const answer = await request(`${follower.url}/x`, { method: 'POST' })
    await answer.body.dump()
    expect(answer.statusCode).toBe(503)
    expect(other.executed).toEqual([])
    expect(other.refused.length).toBeGreaterThan(0)
    expect(other.refused.length).toBeLessThan(10)
  })

  it('are sent to this node itself when it has become the leader', async () => {
    const self = new FakeNode('n1', 8)
    const { url } = await startServer(self.listener)
    const follower = await startFollower(leaderAt(await deadUrl()))
    const answering = request(`${follower.url}/x`, { method: 'POST', body: 'x' })
    await until(() => follower.forwarder.stats().waiting === 1, 'the request waits')
    follower.leaders.set('self', leaderAt(url, 8, 'n1'))
    expect(await (await answering).body.text()).toBe('by n1')
  })

  it('are answered 503 when the body is too large to be kept', async () => {
    const node = new FakeNode('n2', null)
    const { url } = await startServer((req, res) => {
      // Refused only after much of the body has been read.
      let received = 0
      req.on('data', (chunk: Buffer) => {
        received += chunk.length
        if (received > 200_000 && !res.headersSent) node.listener(req, res)
      })
    })
    const follower = await startFollower(leaderAt(url))
    const client = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
    client.socket.write(Buffer.alloc(400_000))
    const answer = await client.untilReceived('RAFT_BUSY')
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toContain('retry-after: 1')
    expect(node.refused).toHaveLength(1)
  })
})

describe('requests that may have been executed', () => {
  it.each(['POST', 'PATCH', 'PUT', 'DELETE'])('B11 %s is never sent twice when the connection is lost', async (method) => {
    const { url, requests } = await startLossyServer()
    const follower = await startFollower(leaderAt(url))
    const answer = await request(`${follower.url}/x`, { method, body: 'x' })
    const body = await answer.body.json() as ErrorBody
    expect([answer.statusCode, body.code]).toEqual([502, 'RAFT_OUTCOME_UNKNOWN'])
    expect(requests).toHaveLength(1)
    const bodiless = await request(`${follower.url}/x`, { method })
    await bodiless.body.dump()
    expect(bodiless.statusCode).toBe(502)
    expect(requests).toHaveLength(2)
  })

  it.each(['GET', 'HEAD', 'OPTIONS'] as const)('%s is sent once more at most', async (method) => {
    const { url, requests } = await startLossyServer()
    const follower = await startFollower(leaderAt(url))
    const answer = await request(`${follower.url}/x`, { method })
    const text = await answer.body.text()
    expect([answer.statusCode, requests.length]).toEqual([502, 2])
    if (method !== 'HEAD') expect(JSON.parse(text)).toMatchObject({ code: 'RAFT_BAD_GATEWAY' })
  })

  it.each(['POST', 'PUT', 'DELETE'])('%s of a repeatable route is sent once more at most, with its body', async (method) => {
    const { url, requests } = await startLossyServer()
    const follower = await startFollower(leaderAt(url), {}, { repeatable: true })
    const answer = await request(`${follower.url}/x`, { method, body: 'the body' })
    const { code } = await answer.body.json() as ErrorBody
    expect([answer.statusCode, code]).toEqual([502, 'RAFT_OUTCOME_UNKNOWN'])
    expect(requests).toHaveLength(2)
    for (const text of requests) expect(text).toMatch(/\r\n\r\nthe body$/)
  })

  it('POST is sent once more at most when the leader knows it by its key, and once without a key', async () => {
    const { url, requests } = await startLossyServer()
    const follower = await startFollower(leaderAt(url), {}, { idempotent: true })
    const post = async (headers: Record<string, string>): Promise<number> => {
      const answer = await request(`${follower.url}/x`, { method: 'POST', body: 'x', headers })
      await answer.body.dump()
      return answer.statusCode
    }
    expect([await post({ 'idempotency-key': 'k1' }), requests.length]).toEqual([502, 2])
    expect([await post({}), requests.length]).toEqual([502, 3])
  })

  it('GETs that are lost again and again are not all sent twice', async () => {
    const { url, requests } = await startLossyServer()
    const follower = await startFollower(leaderAt(url), { maxInFlight: 512 })
    const get = async (): Promise<void> => { await (await request(`${follower.url}/x`)).body.dump() }
    for (let round = 0; round < 16; round++) await Promise.all(Array.from({ length: 50 }, get))
    // 512 at once, and one in five.
    expect(requests.length).toBeGreaterThan(800 + 512)
    expect(requests.length).toBeLessThan(800 + 512 + 200)
  }, 30_000)

  it('GETs that a leader owes when it dies are all sent to the next one', async () => {
    let held = 0
    const old = await startServer(() => { held++ })
    const next = new FakeNode('n3', 8)
    const { url } = await startServer(next.listener)
    const follower = await startFollower(leaderAt(old.url), {
      maxWaiting: 1_000,
      waitForLeaderMs: 10_000,
      timeoutMs: 30_000
    })
    const all = Array.from({ length: 800 }, async () => {
      const answer = await request(`${follower.url}/x`)
      await answer.body.dump()
      return answer.statusCode
    })
    await until(() => held === 800, 'all are under way', 20_000)
    follower.leaders.set(null)
    await old.stop()
    follower.leaders.set(leaderAt(url, 8, 'n3'))
    expect(new Set(await Promise.all(all))).toEqual(new Set([200]))
    expect(next.executed).toHaveLength(800)
  }, 60_000)

  it('are not sent again once too much of the body has gone, on a repeatable route either', async () => {
    let lost = 0
    const { url } = await startRawServer((socket) => {
      let received = 0
      socket.on('data', (chunk) => {
        received += chunk.length
        if (received > 20_000 && !socket.destroyed) {
          lost++
          socket.destroy()
        }
      })
    })
    const follower = await startFollower(leaderAt(url), { replayBytes: 10_000 }, { repeatable: true })
    const answer = await request(`${follower.url}/x`, { method: 'PUT', body: Buffer.alloc(30_000) })
    await answer.body.dump()
    expect([answer.statusCode, lost]).toEqual([502, 1])
  })

  it('GET is not sent again on a route that is declared not repeatable, and its outcome is called unknown', async () => {
    const { url, requests } = await startLossyServer()
    const follower = await startFollower(leaderAt(url), {}, { repeatable: false })
    const answer = await request(`${follower.url}/x`)
    const { code } = await answer.body.json() as ErrorBody
    expect([answer.statusCode, code, requests.length]).toEqual([502, 'RAFT_OUTCOME_UNKNOWN', 1])
  })

  it('B12 an idle connection that closes during the write: GET succeeds, POST is answered 502 and not repeated', async () => {
    const received: string[] = []
    const { url } = await startRawServer((socket) => {
      let onThisConnection = 0
      socket.on('data', (chunk) => {
        received.push(chunk.toString('latin1').split(' ', 1)[0] ?? '')
        if (++onThisConnection === 2) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      })
    })
    const follower = await startFollower(leaderAt(url))
    const get = async (): Promise<string> => await (await request(`${follower.url}/x`)).body.text()
    expect(await get()).toBe('ok')
    expect(await get()).toBe('ok')
    expect(received).toEqual(['GET', 'GET', 'GET'])
    const post = await request(`${follower.url}/x`, { method: 'POST' })
    await post.body.dump()
    expect(post.statusCode).toBe(502)
    expect(received).toEqual(['GET', 'GET', 'GET', 'POST'])
  })

  it('are answered 504 at the deadline, and only once sent', async () => {
    const node = new FakeNode('n2', 7, () => {})
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url), { timeoutMs: 200 })
    for (const [method, code] of [['POST', 'RAFT_OUTCOME_UNKNOWN'], ['GET', 'RAFT_TIMEOUT']] as const) {
      const answer = await request(`${follower.url}/x`, { method })
      const body = await answer.body.json() as ErrorBody
      expect([answer.statusCode, body.code]).toEqual([504, code])
    }
    expect(node.executed).toEqual(['POST /x', 'GET /x'])
  })

  it('are answered 504 at the deadline of their route, when that has one, sooner or later than that of all', async () => {
    const node = new FakeNode('n2', 7, (_req, res) => { setTimeout(() => { res.end('done') }, 400) })
    const { url } = await startServer(node.listener)
    const statusOf = async (timeoutMs: number, policy: ForwardPolicy): Promise<number> => {
      const follower = await startFollower(leaderAt(url), { timeoutMs }, policy)
      const answer = await request(`${follower.url}/x`, { method: 'POST' })
      await answer.body.dump()
      return answer.statusCode
    }
    expect(await statusOf(100, { timeoutMs: 5_000 })).toBe(200)
    expect(await statusOf(5_000, { timeoutMs: 100 })).toBe(504)
    expect(await statusOf(100, {})).toBe(504)
  })

  it('an upload that takes longer than the deadline is not cut while it makes progress', async () => {
    const node = new FakeNode('n2', 7, (req, res) => {
      readBody(req).then((body) => { res.end(`got ${body.length}`) }).catch(() => { res.destroy() })
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url), { timeoutMs: 600 })
    const client = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n')
    for (let sent = 0; sent < 10; sent++) {
      client.send('x')
      await new Promise((resolve) => setTimeout(resolve, 90))
    }
    expect(await client.untilReceived('got 10')).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('answers in place of the leader', () => {
  const ownHeaders = {
    'access-control-allow-origin': '*',
    'set-cookie': ['a=1', 'b=2'],
    'content-type': 'text/html',
    'content-encoding': 'gzip',
    'content-length': '9',
    'cache-control': 'public',
    etag: '"1"'
  }

  it('carry the fields of this node, but those of a body; those of the leader do not', async () => {
    const { url } = await startServer((_req, res) => { res.end('by n2') })
    const served = await startFollower(leaderAt(url), {}, { ownHeaders })
    const answer = await request(`${served.url}/x`)
    expect([await answer.body.text(), answer.headers['access-control-allow-origin']]).toEqual(['by n2', undefined])
    const lossy = await startLossyServer()
    const refused = await startFollower(leaderAt(lossy.url), {}, { ownHeaders })
    const refusal = await request(`${refused.url}/x`, { method: 'POST', body: 'x' })
    expect([refusal.statusCode, await refusal.body.json()]).toMatchObject([502, { code: 'RAFT_OUTCOME_UNKNOWN' }])
    expect(refusal.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'set-cookie': ['a=1', 'b=2'],
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'raft-leader': lossy.url
    })
    expect(Object.keys(refusal.headers)).not.toEqual(expect.arrayContaining(['content-encoding']))
    expect(Object.keys(refusal.headers)).not.toEqual(expect.arrayContaining(['etag']))
  })

  it('are given also when a field of this node is none that HTTP allows', async () => {
    const lossy = await startLossyServer()
    const { url } = await startFollower(leaderAt(lossy.url), {}, { ownHeaders: { 'x-broken': 'a\nb' } })
    const answer = await request(`${url}/x`, { method: 'POST' })
    expect([answer.statusCode, await answer.body.json()]).toMatchObject([502, { code: 'RAFT_OUTCOME_UNKNOWN' }])
  })
})

describe('B24 many requests during an election', () => {
  it('wait up to the limit, the rest are refused at once, and all waiting ones go when a leader is known', async () => {
    const node = new FakeNode('n2', 7)
    const { url } = await startServer(node.listener)
    const follower = await startFollower(null, { maxWaiting: 150, waitForLeaderMs: 10_000 })
    let answered = 0
    const answers = Array.from({ length: 200 }, async () => {
      const { statusCode, body } = await request(`${follower.url}/x`, { method: 'POST', body: 'x' })
      const text = `${statusCode} ${await body.text()}`
      answered++
      return text
    })
    await until(() => answered === 50, '50 are refused while the others wait')
    expect(follower.forwarder.stats().waiting).toBe(150)
    follower.leaders.set(leaderAt(url))
    const all = await Promise.all(answers)
    expect(all.filter((text) => text === '503 busy')).toHaveLength(50)
    expect(all.filter((text) => text === '200 by n2')).toHaveLength(150)
    expect(node.executed).toHaveLength(150)
    expect(follower.forwarder.stats()).toEqual({ waiting: 0, inFlight: 0 })
  })

  it('are local when this node becomes the leader meanwhile', async () => {
    const follower = await startFollower(null, { waitForLeaderMs: 10_000 })
    const answers = Array.from({ length: 50 }, async () => await (await request(`${follower.url}/x`)).body.text())
    await until(() => follower.forwarder.stats().waiting === 50, 'all wait')
    follower.leaders.set('self')
    expect(await Promise.all(answers)).toEqual(Array(50).fill('local'))
  })

  it('give up at the deadline, and when the forwarder closes', async () => {
    const follower = await startFollower(null, { waitForLeaderMs: 100 })
    expect(await follower.forwarder.target()).toEqual({
      kind: 'none',
      code: 'no-leader',
      reason: 'no leader was known within 100 ms'
    })
    expect(await follower.forwarder.target(AbortSignal.abort())).toMatchObject({ kind: 'none', code: 'aborted' })
    const waiting = follower.forwarder.target()
    await follower.forwarder.close()
    expect(await waiting).toMatchObject({ kind: 'none', code: 'closed' })
    expect(await follower.forwarder.target()).toMatchObject({ kind: 'none', code: 'closed' })
  })

  it('past maxInFlight are refused at once', async () => {
    const node = new FakeNode('n2', 7, () => {})
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url), { maxInFlight: 1 })
    const first = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => node.executed.length === 1, 'the first is on its way')
    const answer = await request(`${follower.url}/x`, { method: 'POST' })
    expect([answer.statusCode, (await answer.body.json() as ErrorBody).code]).toEqual([503, 'RAFT_BUSY'])
    first.socket.destroy()
  })
})

describe('a leader that cannot be connected to in time', () => {
  it('is given up at the deadline: 503, since nothing was sent', async () => {
    const { port } = await startRawServer(() => {})
    const follower = await startFollower(leaderAt(`https://127.0.0.1:${port}`), {
      connectTimeoutMs: 10_000,
      timeoutMs: 200
    })
    const answer = await request(`${follower.url}/x`, { method: 'POST', body: 'x' })
    const body = await answer.body.json() as ErrorBody
    expect([answer.statusCode, body.code, answer.headers['retry-after']]).toEqual([503, 'RAFT_NO_LEADER', '1'])
  })
})

describe('closing', () => {
  it('cuts what is under way: 502 where it may have been executed', async () => {
    const node = new FakeNode('n2', 7, () => {})
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const post = request(`${follower.url}/x`, { method: 'POST' })
    const get = request(`${follower.url}/x`)
    await until(() => node.executed.length === 2, 'both are on their way')
    await follower.forwarder.close()
    const statusCodes = [(await post).statusCode, (await get).statusCode]
    expect(statusCodes).toEqual([502, 503])
    expect(node.executed).toHaveLength(2)
  })
})

/** A leader whose connection is lost as soon as a request has come in; keeps the requests. */
async function startLossyServer (): Promise<{ readonly url: string, readonly requests: readonly string[] }> {
  const requests: string[] = []
  const { url } = await startRawServer((socket) => {
    let received = ''
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      received += text
      const [head, body] = received.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head ?? '')?.[1] ?? 0)
      if (body === undefined || body.length < length) return
      requests.push(received)
      socket.destroy()
    })
  })
  return { url, requests }
}
