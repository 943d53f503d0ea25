import type { RequestListener } from 'node:http'
import { request } from 'undici'
import { describe, expect, it } from 'vitest'
import type { ForwarderOptions } from '../../../src/gateway/forward/types.ts'
import type { ErrorBody, Follower } from '../support/servers.ts'
import {
  FakeNode,
  leaderAt,
  RawClient,
  rawExchange,
  readBody,
  startFollower,
  startRawServer,
  startServer
} from '../support/servers.ts'

async function pair (
  handler?: RequestListener,
  options: Partial<ForwarderOptions> = {}
): Promise<{ readonly follower: Follower, readonly node: FakeNode, readonly url: string }> {
  const node = new FakeNode('n2', 7, handler)
  const { url } = await startServer(node.listener)
  return { node, url, follower: await startFollower(leaderAt(url), options) }
}

/** Answers with what arrived. */
const echo: RequestListener = (req, res) => {
  readBody(req).then((body) => {
    res.setHeader('content-type', 'application/json')
    res.end(
      JSON.stringify({
        method: req.method,
        url: req.url,
        headers: req.rawHeaders,
        length: body.length,
        body: body.toString('latin1').slice(0, 100)
      })
    )
  }).catch(() => { res.destroy() })
}

interface Echo { method: string, url: string, headers: string[], length: number, body: string }

describe('the request as the leader gets it', () => {
  it.each([
    '/a%2Fb',
    '/a/../b',
    '/./a//b',
    '//x',
    '/?a=%zz',
    '/x?',
    '/x?a=1&a=2&b',
    '/;p?q=;',
    '/%',
    '/x??y',
    "/'()*!$&,"
  ])('B19 the target %s arrives byte for byte', async (target) => {
    const { follower, node } = await pair()
    const answer = await rawExchange(follower.port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(node.executed).toEqual([`GET ${target}`])
  })

  it('B19 an absolute-form target loses its authority to Host, and nothing else', async () => {
    const { follower } = await pair(echo)
    const answer = await rawExchange(
      follower.port,
      'GET http://real.test:81/a/../b?x=%zz HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n'
    )
    expect(answer).toContain('"url":"/a/../b?x=%zz"')
    expect(answer).toContain('"host","real.test:81"')
    expect(
      await rawExchange(follower.port, 'GET http://real.test?x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n')
    ).toContain('"url":"/?x"')
  })

  it('B20 a request with two Host fields, or with a target that is not a path, is refused', async () => {
    const { follower, node } = await pair()
    expect(
      await rawExchange(follower.port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n')
    ).toMatch(/^HTTP\/1\.1 400 /)
    expect(await rawExchange(follower.port, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 400 /
    )
    expect(
      await rawExchange(follower.port, 'GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    ).toMatch(/^HTTP\/1\.1 400 /)
    expect(await rawExchange(follower.port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(node.executed).toEqual([])
    expect(await rawExchange(follower.port, 'GET /old HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /)
  })

  it.each(['/_cluster/v1/kv/a', '//_cluster/v1', '/%5fcluster', '/x/%2e%2e/_CLUSTER'])(
    'B18 %s is not forwarded',
    async (target) => {
      const { follower, node } = await pair()
      expect(
        await rawExchange(follower.port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      ).toMatch(/^HTTP\/1\.1 404 /)
      expect(node.executed).toEqual([])
    }
  )

  it('B4 Expect: 100-continue is answered here and not passed on', async () => {
    const { follower } = await pair(echo)
    const client = new RawClient(follower.port).send(
      'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n'
    )
    await client.untilReceived('100 Continue')
    const answer = await client.send('abc').untilClosed()
    expect(client.statusCodes).toEqual([100, 200])
    expect(answer).toContain('"body":"abc"')
    expect(answer.toLowerCase()).not.toContain('expect')
  })

  it('B5 a chunked body without length arrives, with trailers left out; so does an empty one', async () => {
    const { follower } = await pair(echo)
    const chunked = 'Host: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n'
    const answer = await rawExchange(
      follower.port,
      `POST /x HTTP/1.1\r\n${chunked}3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n`
    )
    expect(answer).toContain('"length":5,"body":"abcde"')
    expect(answer).not.toContain('X-Sum')
    expect(await rawExchange(follower.port, `POST /x HTTP/1.1\r\n${chunked}0\r\n\r\n`)).toContain('"length":0')
  })

  it.each(['GET', 'DELETE', 'PUT', 'POST', 'PATCH', 'OPTIONS'])(
    'B6 %s with a body, chunked and with a length, and with length 0',
    async (method) => {
      const { follower, node } = await pair(echo)
      expect(
        await rawExchange(
          follower.port,
          `${method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde`
        )
      ).toContain('"length":5,"body":"abcde"')
      expect(
        await rawExchange(
          follower.port,
          `${method} /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nabcde\r\n0\r\n\r\n`
        )
      ).toContain('"length":5,"body":"abcde"')
      expect(
        await rawExchange(
          follower.port,
          `${method} /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
        )
      ).toContain('"length":0')
      expect(node.executed).toEqual(Array(3).fill(`${method} /x`))
    }
  )

  it('B14 a forged hop is refused as a loop, a forged Via of ours too, other internal fields are dropped', async () => {
    const { follower, node } = await pair(echo)
    const forgedHop = await request(`${follower.url}/x`, { headers: { 'raft-hop': 'v=1;from=n9;to=n2;term=7' } })
    expect(forgedHop.statusCode).toBe(508)
    expect((await forgedHop.body.json() as ErrorBody).code).toBe('RAFT_LOOP_DETECTED')
    const forgedVia = await request(`${follower.url}/x`, { headers: { via: '1.1 n1.test' } })
    await forgedVia.body.dump()
    expect(forgedVia.statusCode).toBe(508)
    expect(node.executed).toEqual([])
    const { headers } = (await (
      await request(`${follower.url}/x`, { headers: { 'raft-not-executed': '1', 'raft-node': 'n9' } })
    ).body.json()) as Echo
    expect(headers.filter((name) => name.startsWith('raft-'))).toEqual(['raft-hop'])
  })

  it('B22 large header fields, bytes above ASCII and __proto__ pass both ways', async () => {
    const { follower } = await pair((req, res) => {
      res.writeHead(200, [
        '__proto__',
        'x',
        'X-Latin',
        'caf\u00e9',
        'X-Large',
        'y'.repeat(16_000),
        'X-Length',
        String(String(req.headers['x-large']).length),
        'X-Proto',
        String(req.rawHeaders.includes('__proto__'))
      ])
      res.end()
    })
    const answer = await rawExchange(
      follower.port,
      `GET /x HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(15_000)}\r\n__proto__: 1\r\nX-Latin: caf\u00e9\r\nConnection: close\r\n\r\n`
    )
    expect(answer).toContain('X-Length: 15000\r\n')
    expect(answer).toContain('X-Proto: true\r\n')
    expect(answer).toContain('__proto__: x\r\n')
    expect(answer).toContain('X-Latin: caf\u00e9\r\n')
    expect(answer).toContain(`X-Large: ${'y'.repeat(16_000)}\r\n`)
    const tooLarge = await rawExchange(
      follower.port,
      `GET /x HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(17_000)}\r\nConnection: close\r\n\r\n`
    )
    expect(tooLarge).toMatch(/^HTTP\/1\.1 431 /)
  })
})

describe('the answer as the client gets it', () => {
  it('B7 HEAD, 204 and 304 are answered without a body, and the connection serves the next request', async () => {
    const { follower } = await pair((req, res) => {
      if (req.url === '/204') res.writeHead(204).end()
      else if (req.url === '/304') res.writeHead(304, { etag: '"1"' }).end()
      else res.writeHead(200, { 'content-length': '1234' }).end(req.method === 'HEAD' ? '' : 'x'.repeat(1_234))
    })
    const client = new RawClient(follower.port)
    const rounds: Array<[string, number]> = [
      ['HEAD /', 200],
      ['GET /204', 204],
      ['GET /304', 304],
      ['HEAD /', 200],
      ['GET /', 200]
    ]
    for (const [index, [line]] of rounds.entries()) {
      client.send(`${line} HTTP/1.1\r\nHost: a\r\n${index === rounds.length - 1 ? 'Connection: close\r\n' : ''}\r\n`)
      while (client.statusCodes.length <= index) {
        await client.untilReceived('HTTP/1.1 ').then(() => new Promise((resolve) => setTimeout(resolve, 5)))
      }
    }
    const all = await client.untilClosed()
    expect(client.statusCodes).toEqual(rounds.map(([, statusCode]) => statusCode))
    expect(all.match(/x{2,}/g)).toEqual(['x'.repeat(1_234)])
    expect(all.match(/content-length: 1234/gi)).toHaveLength(3)
  })

  it.each([
    [304, /^HTTP\/1\.1 304 .*content-length: 10\r\n.*\r\n\r\nHTTP\/1\.1 200 .*next/s],
    [204, /^HTTP\/1\.1 204 (?:(?!content-length).)*\r\n\r\nHTTP\/1\.1 200 .*next/is]
  ])('B7 a %i with the length of a body that it does not have keeps the connection', async (statusCode, expected) => {
    const { follower } = await pair((req, res) => {
      if (req.url === '/empty') res.writeHead(statusCode, { 'content-length': '10' }).end()
      else res.end('next')
    })
    const answers = await rawExchange(
      follower.port,
      'GET /empty HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    )
    expect(answers).toMatch(expected)
  })

  it('B7 a body forged behind a 204 never becomes the answer to another request', async () => {
    let connections = 0
    const { url } = await startRawServer((socket) => {
      connections++
      socket.on('data', (chunk) => {
        if (chunk.includes('/first')) {
          socket.write('HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged')
        } else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ngenuine')
      })
    })
    const follower = await startFollower(leaderAt(url))
    const first = await request(`${follower.url}/first`)
    await first.body.dump()
    expect(first.statusCode).toBe(204)
    const second = await request(`${follower.url}/second`)
    expect(await second.body.text()).toBe('genuine')
    expect(connections).toBe(2)
  })

  it('B21 many set-cookie lines, the status text and repeated fields pass as they are', async () => {
    const { follower } = await pair((_req, res) => {
      res
        .appendHeader('Set-Cookie', 'a=1')
        .appendHeader('Set-Cookie', 'b=2')
        .appendHeader('X-Two', '1')
        .appendHeader('X-Two', '2')
      res.writeHead(299, 'Quite Fine', ['Connection', 'X-Hop', 'X-Hop', '1'])
      res.end('ok')
    })
    const answer = await rawExchange(follower.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 299 Quite Fine\r\n/)
    expect(answer).toContain('Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Two: 1\r\nX-Two: 2\r\n')
    expect(answer).not.toContain('X-Hop')
    expect(answer).toContain('raft-node: n2')
  })

  it('B21 repeated fields replace the ones that this node had set before', async () => {
    const { url } = await startServer((_req, res) => {
      res.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']).end()
    })
    const follower = await startFollower(leaderAt(url))
    follower.server.prependListener('request', (_req, res) => {
      res.setHeader('set-cookie', 'old=1').setHeader('x-kept', '1')
    })
    const answer = await request(`${follower.url}/x`)
    await answer.body.dump()
    expect(answer.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], 'x-kept': '1' })
  })

  it('B25 status 999, a malformed header and an answer that is not HTTP become 502', async () => {
    for (const bytes of [
      'HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n',
      'HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n',
      'SSH-2.0-x\r\n',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
      'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'
    ]) {
      let requests = 0
      const { url } = await startRawServer((socket) => {
        socket.on('data', () => {
          requests++
          socket.write(bytes)
        })
      })
      const follower = await startFollower(leaderAt(url), { timeoutMs: 2_000, waitForLeaderMs: 200 })
      const answer = await request(`${follower.url}/x`, { method: 'POST', body: 'x' })
      const body = (await answer.body.json()) as ErrorBody
      expect([bytes, answer.statusCode, body.code]).toEqual([bytes, 502, 'RAFT_OUTCOME_UNKNOWN'])
      expect(requests).toBeLessThanOrEqual(2)
    }
  })

  /** A leader that gives two early hints and a 102 before its answer. */
  const hinting: RequestListener = (_req, res) => {
    res.writeProcessing()
    res.writeEarlyHints({ link: ['</x.css>; rel=preload', '</a,b.js>; rel="x,y"'], 'raft-x': '1', connection: 'x-own', 'x-own': '1', 'x-kept': '1' })
    res.writeEarlyHints({ link: '</y.css>; rel=preload' }, () => { res.end('fine') })
  }
  const plainGet = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

  it('B4 informational answers of the leader reach the client before its answer, without fields of the hop', async () => {
    const { follower } = await pair(hinting)
    const answer = await rawExchange(follower.port, plainGet)
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 102', 'HTTP/1.1 103', 'HTTP/1.1 103', 'HTTP/1.1 200'])
    expect(answer).toContain('Link: </x.css>; rel=preload, </a,b.js>; rel="x,y"\r\nx-kept: 1\r\n\r\n')
    expect(answer).toContain('Link: </y.css>; rel=preload\r\n\r\n')
    expect(answer).not.toMatch(/raft-x|x-own/)
    expect(answer).toContain('fine')
  })

  it('B4 they are left out where an option says so, and for clients of HTTP/1.0', async () => {
    const off = await pair(hinting, { informational: false })
    const old = await pair(hinting)
    for (const answer of [
      await rawExchange(off.follower.port, plainGet),
      await rawExchange(old.follower.port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    ]) {
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200'])
      expect(answer).toContain('fine')
    }
  })

  it('names the leader in its answer, unless that does', async () => {
    const { follower, url } = await pair((req, res) => {
      if (req.url === '/own') res.setHeader('raft-leader', 'http://10.0.0.9:1')
      res.end()
    })
    const named = async (path: string): Promise<unknown> => {
      const { headers, body } = await request(follower.url + path)
      await body.dump()
      return headers['raft-leader']
    }
    expect([await named('/'), await named('/own')]).toEqual([url, 'http://10.0.0.9:1'])
  })

  /** A leader that sends three trailers: one it declares, one that may be none, and one it does not declare. */
  const trailing: RequestListener = (req, res) => {
    res.writeHead(200, { trailer: 'X-Sum, Content-Type', 'x-te': req.headers.te ?? 'none' })
    res.write('some ')
    res.addTrailers([['X-Sum', '42'], ['Content-Type', 'text/evil'], ['X-Other', '1']])
    res.end('text')
  }

  it('B5 trailers of an answer reach a client that takes them: declared ones, and none that frame or describe', async () => {
    const { follower } = await pair(trailing)
    const answer = await rawExchange(follower.port, 'GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, deflate;q=0.5\r\nConnection: TE, close\r\n\r\n')
    expect(answer).toContain('\r\ntrailer: x-sum\r\n')
    expect(answer).toContain('x-te: trailers\r\n')
    expect(answer).toMatch(/\r\n0\r\nX-Sum: 42\r\n\r\n$/)
    expect(answer).not.toMatch(/evil|X-Other/)
  })

  it('B5 a client that does not ask for them, or cannot take them, gets none, and the same body', async () => {
    const { follower } = await pair(trailing)
    for (const head of [
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close',
      'GET / HTTP/1.1\r\nHost: a\r\nTE: gzip\r\nConnection: TE, close',
      'GET / HTTP/1.0\r\nTE: trailers'
    ]) {
      const answer = await rawExchange(follower.port, `${head}\r\n\r\n`)
      expect(answer).toMatch(/^HTTP\/1\.1 200 .*some /s)
      expect(answer.toLowerCase()).not.toMatch(/x-sum|trailer: /)
    }
  })

  it('B25 an unmarked 503 is the answer, and is not repeated', async () => {
    const { follower, node } = await pair((_req, res) => { res.writeHead(503, { 'retry-after': '9' }).end('closing') })
    const answer = await request(`${follower.url}/x`, { method: 'POST' })
    expect([answer.statusCode, answer.headers['retry-after'], await answer.body.text()]).toEqual([503, '9', 'closing'])
    expect(node.executed).toHaveLength(1)
  })

  it('B14 a marker that an application passes on is no reason to repeat, and does not reach the client', async () => {
    const { follower, node } = await pair((_req, res) => {
      res.writeHead(503, { 'raft-not-executed': '7;id=AAAAAAAAAAAAAAAA' }).end('executed')
    })
    const answer = await request(`${follower.url}/x`, { method: 'POST', body: 'x' })
    expect([answer.statusCode, await answer.body.text()]).toEqual([503, 'executed'])
    expect(answer.headers['raft-not-executed']).toBeUndefined()
    expect(node.executed).toHaveLength(1)
  })

  it('begins a silent answer at once: server-sent events', async () => {
    const { follower } = await pair((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
    })
    const client = new RawClient(follower.port).send('GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.untilReceived('\r\n\r\n')).toContain('text/event-stream')
  })
})
