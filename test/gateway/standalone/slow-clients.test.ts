import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { until } from '../../support/until.ts'
import { deadUrl, RawClient } from '../support/servers.ts'

async function start (options: Partial<Parameters<typeof createGateway>[0]>): Promise<number> {
  const gateway = createGateway({ nodes: [await deadUrl()], adminOnTraffic: true, ...options })
  onTestFinished(async () => { await gateway.close() })
  return Number(new URL((await gateway.listen({ port: 0 })).url).port)
}

describe('a gateway', () => {
  it('cuts off a client whose header fields or body do not come in time', async () => {
    const port = await start({ clientHeadersTimeoutMs: 200, clientRequestTimeoutMs: 400, closeTimeoutMs: 0 })
    const slow = [
      new RawClient(port).send('GET /x HTTP/1.1\r\nHost: a\r\n'),
      new RawClient(port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx')
    ]
    for (const client of slow) {
      await client.untilClosed()
      expect(client.statusCodes).toEqual([408])
    }
  })

  it('takes no more connections than it may', async () => {
    const port = await start({ maxConnections: 2 })
    const open = [new RawClient(port), new RawClient(port)]
    for (const client of open) await client.send('GET /_gateway/livez HTTP/1.1\r\nHost: a\r\n\r\n').untilReceived('ok')
    const more = new RawClient(port)
    await more.untilClosed()
    expect(more.received).toBe('')
    open[0]?.socket.destroy()
    await until('there is room again', async () => {
      const next = new RawClient(port).send('GET /_gateway/livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      return (await next.untilClosed()).includes('ok')
    })
  })

  it('refuses header fields that are too large', async () => {
    const client = new RawClient(await start({}))
    client.send(`GET /x HTTP/1.1\r\nHost: a\r\nX-Large: ${'x'.repeat(20_000)}\r\n\r\n`)
    await client.untilClosed()
    expect(client.statusCodes).toEqual([431])
  })
})
