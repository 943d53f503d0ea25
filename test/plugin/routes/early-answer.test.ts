import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { describe, expect, it } from 'vitest'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** What a client gets that sends a large body in one go, and reads only then. */
async function upload (port: number, path: string, length: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    let received = ''
    const socket = connect({ port, host: '127.0.0.1' })
      .on('data', (data) => { received += data.toString() })
      .on('close', () => { resolve(received) })
      .on('error', reject)
    const head = `PUT ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n`
    socket.pause().write(`${head}Content-Length: ${length}\r\n\r\n${'a'.repeat(length)}`, () => { socket.resume() })
  })
}

describe('a refusal of ours that comes before the end of the body', () => {
  it.each([
    ['413 of the cluster\'s own routes', '/_cluster/v1/kv/large', 413, 'RAFT_TOO_LARGE'],
    ['403 of the cluster\'s own routes', '/_cluster/v1/kv/closed', 403, 'RAFT_UNAUTHORIZED'],
    ['503 of a route for the leader', '/only', 503, 'RAFT_NOT_LEADER'],
    ['503 without a leader', '/orders', 503, 'RAFT_NO_LEADER']
  ])('%s reaches a client that still sends', async (_what, path, status, code) => {
    const authorize = (request: FastifyRequest): boolean => request.url !== '/_cluster/v1/kv/closed'
    const { app } = await fakeApp({ ...threeMembers(), authorize, forward: { waitForLeaderMs: 50 } }, (app) => {
      app.put('/orders', { forward: true }, async () => 'x')
      app.put('/only', { leaderOnly: true }, async () => 'x')
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const answer = await upload(port, path, 12_000_000)
    expect([answer.split(' ', 2)[1], answer.includes(code)]).toEqual([String(status), true])
  })
})

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
