import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

describe('an answer that comes before the end of the body', () => {
  it('B9 leaves the connection of the forwarding node open, so that it is not reset over unread bytes', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.post('/orders', { forward: true }, async () => 'x')
    })
    engine.lead()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
      const upload = 'a'.repeat(3_000_000)
      const next =
        'POST /orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nraft-hop: v=1;from=n2;to=n1;term=1\r\nContent-Length: 0\r\n\r\n'
      const head = `POST /orders HTTP/1.1\r\nHost: a\r\nraft-hop: v=1;from=n2;to=n1;term=1\r\nContent-Type: application/json\r\nContent-Length: ${upload.length}\r\n\r\n`
      let received = ''
      socket
        .on('data', (data) => {
          received += data.toString()
        })
        .on('end', () => {
          resolve(received)
        })
        .on('error', reject)
      socket.write(head + upload + next)
    })
    expect(text).toMatch(/^HTTP\/1\.1 413 .*HTTP\/1\.1 200 /s)
  })
})
