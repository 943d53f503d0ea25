import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { RequestBody } from '../../../src/gateway/forward/request-body.ts'
import { RawClient, readBody, startServer, until } from '../support/servers.ts'

/** Sends the head and as much of the body with it, and resolves when that was gathered. */
async function gather (
  fields: string,
  withHead: string,
  replayBytes = 100
): Promise<{ readonly body: RequestBody, readonly client: RawClient, readonly req: IncomingMessage }> {
  const arrived: Array<{ body: RequestBody, req: IncomingMessage }> = []
  const { port } = await startServer((req) => {
    const body = new RequestBody(req, replayBytes, () => {})
    body.gather(() => { arrived.push({ body, req }) })
  })
  const client = new RawClient(port).send(`POST /x HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${withHead}`)
  await until(() => arrived.length > 0, 'the request is here')
  const [first] = arrived
  if (first === undefined) throw new Error('there is no request')
  return { ...first, client }
}

describe('the body of a request', () => {
  it('is one buffer when it is small and came with its head', async () => {
    const { body, req } = await gather('Content-Length: 5', 'abcde')
    expect([body.whole?.toString(), body.ended, body.replayable, req.complete]).toEqual(['abcde', true, true, true])
    // For the next attempt too.
    expect(body.whole?.toString()).toBe('abcde')
  })

  it('is a stream while some of it is on its way, and a buffer for the attempt after that', async () => {
    const { body, client } = await gather('Content-Length: 10', 'abcde')
    expect([body.whole, body.ended]).toEqual([null, false])
    const reading = readBody(body.open() as unknown as IncomingMessage)
    client.send('fghij')
    expect((await reading).toString()).toBe('abcdefghij')
    expect(body.whole?.toString()).toBe('abcdefghij')
  })

  it('is not read ahead when it may be too large to be kept', async () => {
    const { body, req } = await gather('Content-Length: 101', 'x'.repeat(101))
    expect([body.whole, body.ended, req.readableDidRead]).toEqual([null, false, false])
    expect((await readBody(body.open() as unknown as IncomingMessage)).toString()).toBe('x'.repeat(101))
  })

  it('keeps the framing of its client when that gave no length', async () => {
    const { body } = await gather('Transfer-Encoding: chunked', '3\r\nabc\r\n0\r\n\r\n')
    expect(body.whole).toBeNull()
    expect((await readBody(body.open() as unknown as IncomingMessage)).toString()).toBe('abc')
    expect(body.whole).toBeNull()
  })

  it('waits in the socket when nobody takes what is on its way', async () => {
    const { body, req, client } = await gather('Content-Length: 10', 'abcde')
    client.send('fghij')
    await new Promise((resolve) => setImmediate(resolve))
    expect([body.whole, req.isPaused()]).toEqual([null, true])
  })
})
