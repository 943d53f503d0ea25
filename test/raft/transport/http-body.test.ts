import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createConnection } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { readBody, sendBody } from '../../../src/raft/transport/http-body.ts'
import { until } from '../../support/until.ts'

const maxBytes = 10
const cleanUps: Array<() => void> = []

afterEach(() => { for (const cleanUp of cleanUps.splice(0)) cleanUp() })

/** A server that answers what it has read, or the code of the error; `outcomes` holds the same. */
async function connect (): Promise<{
  readonly socket: Socket
  readonly outcomes: string[]
  readonly answered: () => string
}> {
  const outcomes: string[] = []
  const server = createServer((request, response) => {
    readBody(request, maxBytes).then(
      (body) => {
        outcomes.push(Buffer.from(body).toString())
        sendBody(response, 200, 'text/plain', body)
      },
      (error: unknown) => {
        outcomes.push(String((error as { readonly code?: string }).code))
        sendBody(response, 413, 'text/plain', Buffer.from('too large'))
      }
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = createConnection({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' })
  await once(socket, 'connect')
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString()
  })
  cleanUps.push(() => {
    socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  return { socket, outcomes, answered: () => answer }
}

function head (field: string): string {
  return `POST / HTTP/1.1\r\nhost: a\r\n${field}\r\n\r\n`
}
function chunk (text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`
}

describe('bodies of HTTP', () => {
  it('are read whole, however they are split, up to the limit', async () => {
    const { socket, outcomes, answered } = await connect()
    socket.write(head('transfer-encoding: chunked') + chunk('012'))
    await new Promise(setImmediate)
    socket.write(chunk('3456') + chunk('789') + chunk(''))
    await until('the answer', () => answered().endsWith('0123456789'))
    expect(outcomes).toEqual(['0123456789'])
    expect(answered()).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-type: text\/plain\r\ncontent-length: 10\r\n/)
  })

  it('are refused by their announced length before any byte has come', async () => {
    const { socket, outcomes, answered } = await connect()
    socket.write(head('content-length: 11'))
    await until('the answer', () => answered().endsWith('too large'))
    expect(outcomes).toEqual(['RAFT_TOO_LARGE'])
  })

  it('are refused as soon as more has come than is allowed', async () => {
    const { socket, outcomes, answered } = await connect()
    socket.write(head('transfer-encoding: chunked') + chunk('0123456789'))
    socket.write(chunk('x'))
    await until('the answer', () => answered().endsWith('too large'))
    expect(outcomes).toEqual(['RAFT_TOO_LARGE'])
  })

  it('are given up when the connection breaks', async () => {
    const { socket, outcomes } = await connect()
    socket.write(head('content-length: 10') + 'half')
    socket.resetAndDestroy()
    await until('the outcome', () => outcomes.length > 0)
    expect(outcomes).toEqual(['ECONNRESET'])
  })
})
