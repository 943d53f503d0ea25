import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OpenRequests } from '../../../src/raft/transport/open-requests.ts'
import { until } from '../../support/until.ts'

interface World {
  readonly requests: OpenRequests
  readonly responses: ServerResponse[]
  readonly send: (text: string) => Promise<{ readonly socket: Socket, readonly text: () => string }>
}

async function open (): Promise<World> {
  const requests = new OpenRequests()
  const responses: ServerResponse[] = []
  const server = createServer((request, response) => {
    requests.add(request, response)
    responses.push(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => { server.closeAllConnections(); server.close() })
  const send = async (text: string) => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    onTestFinished(() => { socket.destroy() })
    let received = ''
    socket.on('data', (bytes) => { received += bytes.toString() })
    socket.write(text)
    return { socket, text: () => received }
  }
  return { requests, responses, send }
}

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const half = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab'

describe('open requests', () => {
  it('end with their answers; the connection stays', async () => {
    const { requests, responses, send } = await open()
    await send(get)
    await until('it is open', () => requests.size === 1)
    expect([requests.connections, requests.isReceiving]).toEqual([1, false])
    const none = requests.until(() => requests.size === 0, 60_000)
    responses[0]?.end('a')
    expect(await none).toBe(true)
    expect([requests.size, requests.connections]).toEqual([0, 1])
  })

  it.each([
    ['a request without a body', get, 1],
    ['half of a body', half, 1],
    ['three requests in a row, of which two wait behind the first', get + get + get, 3]
  ])('end when the client leaves: %s', async (_what, text, count) => {
    const { requests, send } = await open()
    const { socket } = await send(text)
    await until('all are open', () => requests.size === count)
    expect(requests.isReceiving).toBe(text === half)
    socket.destroy()
    expect(await requests.until(() => requests.size === 0 && requests.connections === 0, 10_000)).toBe(true)
    expect(requests.isReceiving).toBe(false)
  })

  it('that wait behind another one are told of the end of their connection, once', async () => {
    const { requests, responses, send } = await open()
    const { socket } = await send(get + get + get)
    await until('all are open', () => requests.size === 3)
    const closed = responses.map(() => 0)
    for (const [index, response] of responses.entries()) {
      response.on('close', () => { closed[index] = (closed[index] ?? 0) + 1 })
    }
    responses[1]?.end('waits')
    socket.destroy()
    await until('all have closed', () => closed.every((count) => count > 0))
    expect(closed).toEqual([1, 1, 1])
    expect(responses.map(({ destroyed }) => destroyed)).toEqual([true, true, true])
  })

  it('end when their answer is cut', async () => {
    const { requests, responses, send } = await open()
    await send(get)
    await until('it is open', () => requests.size === 1)
    responses[0]?.write('begun')
    responses[0]?.destroy()
    expect(await requests.until(() => requests.size === 0, 10_000)).toBe(true)
  })

  it('are waited for no longer than told', async () => {
    const { requests, send } = await open()
    await send(get)
    await until('it is open', () => requests.size === 1)
    expect(await requests.until(() => requests.size === 0, 20)).toBe(false)
  })

  it('end their connection once told so, with the last answer on it', async () => {
    const { requests, responses, send } = await open()
    const { socket, text } = await send(get + get)
    await until('both are open', () => requests.size === 2)
    requests.endConnections()
    // One more on the same connection, whose client does not know yet.
    socket.write(get)
    await until('all are open', () => requests.size === 3)
    for (const response of responses) response.end('a')
    await once(socket, 'close')
    expect(text().match(/^Connection: [\w-]+/gmi)).toEqual([
      'Connection: keep-alive', 'Connection: keep-alive', 'Connection: close'
    ])
    const later = await send(get)
    await until('it is open', () => requests.size === 1)
    responses[3]?.end('a')
    await once(later.socket, 'close')
    expect(later.text()).toMatch(/^Connection: close/mi)
  })
})
