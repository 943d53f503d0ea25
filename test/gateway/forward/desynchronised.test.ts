import { request } from 'undici'
import { describe, expect, it } from 'vitest'
import { FakeNode, leaderAt, RawClient, readBody, startFollower, startServer } from '../support/servers.ts'

const next = 'GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
const post = 'POST /bad HTTP/1.1\r\nHost: a\r\n'

/** Malformed from some byte on, as they are sent; `next` is where a reader that goes astray would find a request. */
const malformed: ReadonlyArray<readonly [string, string]> = [
  ['a chunk that is longer than it says', `${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n${next}`],
  ['a chunk size that is no number', `${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n${next}`],
  ['a chunk size beyond all bounds', `${post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n${next}`],
  ['a signed chunk size', `${post}Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n${next}`],
  ['a chunk that ends with LF alone', `${post}Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n${next}`],
  ['a length and chunks', `${post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${next}`],
  ['two lengths in one line', `${post}Content-Length: 3, 4\r\n\r\nabc${next}`],
  ['chunked that is not the last coding', `${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n${next}`],
  ['a field name with a blank', `${post}Content Length: 3\r\n\r\nabc${next}`],
  ['a NUL in a value', `${post}X: a\0b\r\nContent-Length: 0\r\n\r\n${next}`],
  ['a bare CR in a trailer', `${post}Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\rb\r\n\r\n${next}`]
]

describe('B1 a malformed request', () => {
  it.each(malformed)('with %s reaches the leader once at most, and spoils no connection', async (_what, bytes) => {
    /** Requests that the leader got to their end, with their bodies. */
    const complete: string[] = []
    const node = new FakeNode('n2', 7, (req, res) => {
      readBody(req).then((body) => {
        complete.push(`${req.method} ${req.url} ${body.toString('latin1')}`)
        res.end(`${req.url} done`)
      }, () => {})
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    // The connection that the malformed one may get is open.
    expect(await (await request(`${follower.url}/before`)).body.text()).toBe('/before done')
    const client = new RawClient(follower.port).send(bytes)
    client.socket.end()
    await client.untilClosed()
    expect(client.received).not.toContain('/next done')
    // Others go on, each with its own answer.
    for (const path of ['/one', '/two', '/three']) {
      const answer = await request(follower.url + path, { method: 'POST', body: path })
      expect(await answer.body.text()).toBe(`${path} done`)
    }
    expect(complete).toEqual(['GET /before ', 'POST /one /one', 'POST /two /two', 'POST /three /three'])
    expect(node.executed.filter((call) => call === 'POST /bad').length).toBeLessThanOrEqual(1)
  })
})
