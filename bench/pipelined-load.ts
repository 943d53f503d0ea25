import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createConnection } from 'node:net'

/** The URL to request, and the load. */
export interface PipelinedLoad {
  readonly url: string
  readonly connections: number
  /** Requests under way on each connection. */
  readonly pipelining: number
  readonly milliseconds: number
}

/**
 * Requests one URL again and again and counts the answers and the milliseconds. Rejects when a connection fails, or
 * when an answer is not 200 or not as long as the first: a benchmark of refusals means nothing.
 *
 * It writes HTTP/1.1 itself and counts bytes, so that the server is the bottleneck and not this process.
 */
export async function loadPipelined ({
  url,
  connections,
  pipelining,
  milliseconds
}: PipelinedLoad): Promise<{ readonly answers: number; readonly elapsedMs: number }> {
  const { hostname, port, host, pathname } = new URL(url)
  const request = `GET ${pathname} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n\r\n`
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = createConnection({ host: hostname, port: Number(port), noDelay: true })
      await once(socket, 'connect')
      return socket
    })
  )
  const start = performance.now()
  try {
    const counts = await Promise.all(
      sockets.map((socket) => keepAsking(socket, request, pipelining, start + milliseconds))
    )
    return { answers: counts.reduce((sum, count) => sum + count, 0), elapsedMs: performance.now() - start }
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** Keeps so many requests under way on one connection until the time is up, then waits for the last answers. */
function keepAsking (socket: Socket, request: string, pipelining: number, endMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let answers = 0
    let underWay = pipelining
    let answerLength: number | null = null
    let rest = ''
    socket.on('error', reject)
    socket.on('close', () => { reject(new Error('the server closed a connection')) })
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      rest += chunk
      answerLength ??= lengthOfAnswer(rest)
      if (answerLength === null) return
      const arrived = Math.floor(rest.length / answerLength)
      for (let answer = 0; answer < arrived; answer++) {
        if (!rest.startsWith('HTTP/1.1 200 ', answer * answerLength)) {
          reject(new Error(`not the answer that was expected: ${rest.slice(answer * answerLength).slice(0, 200)}`))
          return
        }
      }
      rest = rest.slice(arrived * answerLength)
      answers += arrived
      underWay -= arrived
      if (performance.now() >= endMs) {
        if (underWay === 0) resolve(answers)
      } else if (arrived > 0) {
        underWay += arrived
        socket.write(request.repeat(arrived))
      }
    })
    socket.write(request.repeat(pipelining))
  })
}

/** Bytes of the first answer, head and body; null while its head has not arrived. */
function lengthOfAnswer (received: string): number | null {
  const endOfHead = received.indexOf('\r\n\r\n')
  if (endOfHead === -1) return null
  const bodyBytes = /\r\ncontent-length: (\d+)/i.exec(received.slice(0, endOfHead))?.[1]
  if (bodyBytes === undefined) throw new Error('the answer does not say how long it is')
  return endOfHead + 4 + Number(bodyBytes)
}
