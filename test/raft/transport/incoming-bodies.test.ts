import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createConnection } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { IncomingBodies } from '../../../src/raft/transport/incoming-bodies.ts'
import { until } from '../../support/until.ts'

const cleanUps: Array<() => void> = []

afterEach(() => { for (const cleanUp of cleanUps.splice(0)) cleanUp() })

interface Receiver {
  readonly bodies: IncomingBodies
  /** What became of each request, in order: `<sender> <bytes>` or `<sender> <code>`. */
  readonly outcomes: string[]
  /** Lets those answer that wait. */
  readonly answer: () => void
  readonly connect: () => Promise<Socket>
}

/** A server that takes bodies for the sender that the path names, and holds them until it is told to answer. */
async function receive (limits: Partial<ConstructorParameters<typeof IncomingBodies>[0]> = {}): Promise<Receiver> {
  const bodies = new IncomingBodies({
    maxBytesOfSender: 100,
    maxBytesOfAll: 150,
    leastBytes: 10,
    bodyTimeoutMs: 60_000,
    ...limits
  })
  const outcomes: string[] = []
  const held: Array<() => void> = []
  const server = createServer((request, response) => {
    const sender = request.url?.slice(1) ?? ''
    bodies.take(request, sender, 80, async (body) => {
      outcomes.push(`${sender} ${body.byteLength}`)
      await new Promise<void>((resolve) => { held.push(resolve) })
    }).then(() => { response.end() }, (error: unknown) => {
      outcomes.push(`${sender} ${String((error as { readonly code?: string }).code)}`)
      response.end()
    })
  })
  const port = await listen(server)
  return {
    bodies,
    outcomes,
    answer: () => { for (const resolve of held.splice(0)) resolve() },
    connect: async () => {
      const socket = createConnection({ port, host: '127.0.0.1' })
      cleanUps.push(() => { socket.destroy() })
      await once(socket, 'connect')
      return socket
    }
  }
}

async function listen (server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function post (sender: string, length: number, sent = length): string {
  return `POST /${sender} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n${'x'.repeat(sent)}`
}

describe('bodies that peers send', () => {
  it('count from before their first byte until their answer, and the next one is refused unread', async () => {
    const { bodies, outcomes, answer, connect } = await receive()
    const slow = await connect()
    slow.write(post('a', 60, 0))
    await until('room is kept for it', () => bodies.bytes === 60)
    ;(await connect()).write(post('a', 41, 0))
    await until('the next one is refused', () => outcomes.includes('a RAFT_BUSY'))
    slow.write('x'.repeat(60))
    await until('the first one is read', () => outcomes.includes('a 60'))
    expect(bodies.bytes).toBe(60)
    answer()
    await until('it counts no more', () => bodies.bytes === 0)
  })

  it('of one sender leave room for another one, up to what all may send', async () => {
    const { bodies, outcomes, connect } = await receive()
    for (const request of [post('a', 80, 0), post('a', 21, 0), post('b', 70), post('c', 10, 0)]) {
      const count = outcomes.length + bodies.bytes
      ;(await connect()).write(request)
      await until('it has arrived', () => outcomes.length + bodies.bytes > count)
    }
    await until('the last one is refused', () => outcomes.length === 3)
    expect(outcomes).toEqual(['a RAFT_BUSY', 'b 70', 'c RAFT_BUSY'])
  })

  it('count at least what a request takes', async () => {
    const { bodies, connect } = await receive()
    ;(await connect()).write(post('a', 0))
    await until('it counts', () => bodies.bytes === 10)
  })

  it('are refused when they are too large, or do not say how large they are', async () => {
    const { bodies, outcomes, connect } = await receive()
    ;(await connect()).write(post('a', 81, 0))
    await until('it is refused', () => outcomes.length === 1)
    ;(await connect()).write('POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n')
    await until('so is that one', () => outcomes.length === 2)
    expect(outcomes).toEqual(['a RAFT_TOO_LARGE', 'b RAFT_MALFORMED_MESSAGE'])
    expect(bodies.bytes).toBe(0)
  })

  it('are given up when they are slow, one byte after another too, and when the connection breaks', async () => {
    const { bodies, outcomes, connect } = await receive({ bodyTimeoutMs: 40 })
    const slow = await connect()
    slow.on('error', () => {})
    slow.write(post('slow', 80, 1))
    const trickle = setInterval(() => { slow.write('x') }, 10)
    cleanUps.push(() => { clearInterval(trickle) })
    await until('it is given up', () => outcomes.length === 1)
    const broken = await connect()
    broken.write(post('broken', 50, 10))
    await until('it counts', () => bodies.bytes === 50)
    broken.resetAndDestroy()
    await until('it is given up', () => outcomes.length === 2)
    expect(outcomes).toEqual(['slow RAFT_REQUEST_TIMEOUT', 'broken ECONNRESET'])
    expect(bodies.bytes).toBe(0)
  })
})
