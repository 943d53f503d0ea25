import type { RequestListener } from 'node:http'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'
import { connect, constants, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Forwarder } from '../../../src/gateway/forward/forwarder.ts'
import { RequestBody } from '../../../src/gateway/forward/request-body.ts'
import { FakeLeaders, FakeNode, leaderAt, readBody, startServer, unproven, until } from '../support/servers.ts'

/** A server for HTTP/2, and a client of it. */
async function startHttp2 (listener: RequestListener): Promise<ClientHttp2Session> {
  // Fastify hands both kinds of requests to its users as the one of HTTP/1.1.
  const server = createServer((req, res) => { listener(...[req, res] as unknown as Parameters<RequestListener>) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(async () => {
    client.destroy()
    await new Promise((resolve) => { server.close(resolve) })
  })
  return client
}

/** A forwarder to the leader at `url`. */
function forwarderTo (url: string): Forwarder {
  const forwarder = new Forwarder({
    selfId: 'n1',
    leaders: new FakeLeaders(leaderAt(url)),
    viaName: 'n1.test',
    waitForLeaderMs: 1_000,
    timeoutMs: 5_000,
    maxWaiting: 100,
    ...unproven()
  })
  onTestFinished(async () => { await forwarder.close() })
  return forwarder
}

/** A node with a server for HTTP/2 that forwards everything to `url`, and a client of it. */
async function startFollower (url: string): Promise<ClientHttp2Session> {
  const forwarder = forwarderTo(url)
  return await startHttp2((req, res) => {
    forwarder.forward(req, res, leaderAt(url))
  })
}

async function follow (handler: RequestListener): Promise<{ client: ClientHttp2Session, leader: FakeNode }> {
  const leader = new FakeNode('n2', 7, handler)
  const { url } = await startServer(leader.listener)
  return { client: await startFollower(url), leader }
}

interface Answer {
  readonly headers: IncomingHttpHeaders & { readonly ':status'?: number | undefined }
  readonly text: string
}

function answerOf (stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let headers: Answer['headers'] = {}
    let text = ''
    stream.setEncoding('utf8')
    stream.on('response', (got) => { headers = got })
    stream.on('data', (chunk: string) => { text += chunk })
    stream.on('end', () => { resolve({ headers, text }) }).on('error', reject)
  })
}

function ask (client: ClientHttp2Session, headers: OutgoingHttpHeaders, parts?: readonly string[]): Promise<Answer> {
  const stream = client.request(headers, { endStream: parts === undefined })
  for (const part of parts ?? []) stream.write(part)
  if (parts !== undefined) stream.end()
  return answerOf(stream)
}

const echo: RequestListener = (req, res) => {
  readBody(req).then((body) => {
    res.setHeader('set-cookie', ['a=1', 'b=2'])
    res.end(JSON.stringify({ raw: req.rawHeaders, headers: req.headers, body: body.toString() }))
  }, () => { res.destroy() })
}

interface Echo {
  readonly raw: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

describe('B26 a request that came over HTTP/2', () => {
  it('is forwarded in HTTP/1.1, and its answer comes back with every line', async () => {
    const { client } = await follow(echo)
    const { headers, text } = await ask(client, {
      ':path': '/x?y=1',
      ':authority': 'app.test',
      te: 'trailers',
      cookie: ['a=1', 'b=2'],
      'x-own': '1'
    })
    const got = JSON.parse(text) as Echo
    expect(headers).toMatchObject({ ':status': 200, 'set-cookie': ['a=1', 'b=2'], 'raft-node': 'n2' })
    expect(got.headers).toMatchObject({ host: 'app.test', cookie: 'a=1; b=2', 'x-own': '1', via: '2.0 n1.test' })
    expect(got.headers.te).toBe('trailers')
    expect(got.headers['transfer-encoding']).toBeUndefined()
  })

  it.each([
    ['without a length', {}, 'chunked', undefined],
    ['with a length', { 'content-length': '9' }, undefined, '9']
  ])('arrives with its body, %s', async (_what, fields, transferEncoding, contentLength) => {
    const { client } = await follow(echo)
    const { text } = await ask(client, { ':method': 'POST', ':path': '/x', ...fields }, ['one', 'two', 'tri'])
    const { body, headers } = JSON.parse(text) as Echo
    expect([body, headers['transfer-encoding'], headers['content-length']]).toEqual([
      'onetwotri', transferEncoding, contentLength
    ])
  })

  it('arrives with an empty body that only the end of the stream shows', async () => {
    const { client } = await follow(echo)
    const { text } = await ask(client, { ':method': 'DELETE', ':path': '/x' }, [])
    expect((JSON.parse(text) as Echo).body).toBe('')
  })

  it.each([204, 304, 404])('gets an answer of status %i', async (statusCode) => {
    const { client } = await follow((_req, res) => { res.writeHead(statusCode, { etag: '"1"' }).end() })
    expect((await ask(client, { ':path': '/x' })).headers).toMatchObject({ ':status': statusCode, etag: '"1"' })
  })

  it('gets an answer that comes before its body has, and the other requests of the connection go on', async () => {
    const { client } = await follow((req, res) => {
      if (req.url === '/slow') setTimeout(() => { res.end('slow') }, 300)
      else res.writeHead(413).end('too large')
    })
    const slow = ask(client, { ':path': '/slow' })
    const upload = client.request({ ':method': 'POST', ':path': '/x' })
    upload.write('begun')
    const { headers, text } = await answerOf(upload)
    expect([headers[':status'], text]).toEqual([413, 'too large'])
    await until(() => upload.closed, 'the upload is stopped')
    expect((await slow).text).toBe('slow')
  })

  it('is refused like any other', async () => {
    const { client } = await follow(echo)
    const { headers, text } = await ask(client, { ':path': '/_cluster/v1/status' })
    expect([headers[':status'], JSON.parse(text)]).toMatchObject([404, { code: 'RAFT_NOT_FOUND' }])
  })

  it('is not executed in part when the client cuts its upload off', async () => {
    const bodies: string[] = []
    let begun = false
    let failed = false
    const { client } = await follow((req) => {
      req.on('data', () => { begun = true })
      readBody(req).then((body) => { bodies.push(body.toString()) }, () => { failed = true })
    })
    const stream = client.request({ ':method': 'POST', ':path': '/x' })
    stream.on('error', () => {})
    stream.write('half of it')
    await until(() => begun, 'the leader has the first part')
    stream.destroy()
    await until(() => failed || bodies.length > 0, 'the leader has seen the end')
    expect(bodies).toEqual([])
  })

  it.each(['its stream', 'the connection'])('is not sent, and takes no place, when %s ended before', async (what) => {
    const leader = new FakeNode('n2', 7)
    const { url } = await startServer(leader.listener)
    const forwarder = forwarderTo(url)
    const came: Array<Parameters<RequestListener>> = []
    let closed = 0
    const client = await startHttp2((req, res) => {
      came.push([req, res])
      res.on('close', () => { closed++ })
    })
    client.on('error', () => {})
    const stream = client.request({ ':path': '/x' })
    stream.on('error', () => {})
    await until(() => came.length === 1, 'the request has come')
    if (what === 'its stream') stream.close(constants.NGHTTP2_CANCEL)
    else client.destroy()
    await until(() => closed === 1, 'its client has gone')
    for (const [req, res] of came) forwarder.forward(req, res, leaderAt(url))
    expect(forwarder.stats().inFlight).toBe(0)
    await fetch(url)
    expect(leader.executed).toEqual(['GET /'])
  })

  it('has no end when the client cuts its upload off', async () => {
    const seen: string[] = []
    const client = await startHttp2((req) => {
      new RequestBody(req, 1_000, () => {}).open()
        .on('data', (chunk: Buffer) => { seen.push(chunk.toString()) })
        .on('end', () => { seen.push('end') })
        .on('error', () => { seen.push('error') })
    })
    const stream = client.request({ ':method': 'POST', ':path': '/x' })
    stream.on('error', () => {})
    stream.write('half of it')
    await until(() => seen.length > 0, 'the first part is there')
    stream.destroy()
    await until(() => seen.length > 1, 'it is over')
    expect(seen).toEqual(['half of it', 'error'])
  })
})
