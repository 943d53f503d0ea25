import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'
import { connect, createServer as createNetServer } from 'node:net'
import { onTestFinished } from 'vitest'
import { Forwarder } from '../../../src/gateway/forward/forwarder.ts'
import {
  checkHop,
  formatNotExecuted,
  hopHeader,
  notExecutedHeader,
  parseHop
} from '../../../src/gateway/forward/hop.ts'
import type { ForwarderOptions, ForwardRequest, LeaderSource } from '../../../src/gateway/forward/types.ts'
import type { LeaderInfo } from '../../../src/raft/index.ts'
import { MemberNonces, Prover } from '../../../src/raft/internal.ts'

/** Polls until the condition holds; fails after the deadline. */
export async function until (condition: () => boolean, what: string, timeoutMs = 5_000): Promise<void> {
  const endsAtMs = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > endsAtMs) throw new Error(`Timed out waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface Listening {
  readonly url: string
  readonly port: number
}

/** Starts an HTTP server on a free port of loopback and closes it when the test ends. */
export async function startServer (
  handler: RequestListener,
  port = 0
): Promise<Listening & { readonly server: Server; readonly stop: () => Promise<void> }> {
  const server = createServer(handler)
  const stop = async (): Promise<void> =>
    await new Promise((resolve) => {
      server.close(() => {
        resolve()
      })
      server.closeAllConnections()
    })
  onTestFinished(stop)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const address = server.address() as AddressInfo
  return { server, stop, port: address.port, url: `http://127.0.0.1:${address.port}` }
}

/** Starts a server that speaks whatever bytes the test wants. */
export async function startRawServer (
  onConnection: (socket: Socket) => void
): Promise<Listening & { readonly server: NetServer }> {
  const sockets = new Set<Socket>()
  const server = createNetServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {})
    onConnection(socket)
  })
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve()
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { server, port, url: `http://127.0.0.1:${port}` }
}

/** A URL on loopback where nobody listens. */
export async function deadUrl (): Promise<string> {
  const server = createNetServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => { server.close(() => { resolve() }) })
  return `http://127.0.0.1:${port}`
}

/** What a test says about leadership. */
export class FakeLeaders implements LeaderSource {
  #current: LeaderInfo | 'self' | null
  #self: LeaderInfo | null = null
  readonly #listeners = new Set<() => void>()

  constructor (current: LeaderInfo | 'self' | null) {
    this.#current = current
  }

  readonly current = (): LeaderInfo | 'self' | null => this.#current

  readonly self = (): LeaderInfo | null => this.#self

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  set (current: LeaderInfo | 'self' | null, self: LeaderInfo | null = null): void {
    this.#current = current
    this.#self = self
    for (const listener of [...this.#listeners]) listener()
  }
}

/** A node as far as the hop is concerned: refuses what is not meant for it, and counts what it executes. */
export class FakeNode {
  readonly executed: string[] = []
  readonly refused: string[] = []
  readonly id: string
  clusterUuid: string | undefined = undefined
  leadership: { readonly term: number } | null
  readonly #handler: RequestListener
  #refusesAs: string | undefined = undefined

  constructor (id: string, term: number | null, handler: RequestListener = (_req, res) => { res.end(`by ${id}`) }) {
    this.id = id
    this.leadership = term === null ? null : { term }
    this.#handler = handler
  }

  /** Refuses in the name of this cluster from now on. */
  refuseAs (clusterUuid: string): this {
    this.#refusesAs = clusterUuid
    return this
  }

  readonly listener = (req: IncomingMessage, res: ServerResponse): void => {
    const value = req.headers[hopHeader]
    const hop = parseHop(value)
    if (value !== undefined && checkHop(hop, { nodeId: this.id, leadership: this.leadership }) === 'not-executed') {
      this.refused.push(`${req.method} ${req.url}`)
      res.writeHead(503, { [notExecutedHeader]: formatNotExecuted(hop, 1, this.#refusesAs ?? this.clusterUuid), 'retry-after': '1' })
      res.end('{"code":"RAFT_NOT_LEADER"}')
      return
    }
    this.executed.push(`${req.method} ${req.url}`)
    res.setHeader('raft-node', this.id)
    this.#handler(req, res)
  }
}

export interface Follower extends Listening {
  readonly forwarder: Forwarder
  readonly leaders: FakeLeaders
  readonly server: Server
}

/** What a forwarder proves with that has heard nothing of any leader. */
export function unproven (): Pick<ForwarderOptions, 'prover' | 'nonces'> {
  return { prover: Prover.ofMember('n1', null), nonces: new MemberNonces('n1') }
}

/** A follower that forwards whatever it gets, as a node's `forward` routes do. */
export async function startFollower (
  leader: LeaderInfo | 'self' | null,
  options: Partial<ForwarderOptions> = {},
  forwardRequest: ForwardRequest = {}
): Promise<Follower> {
  const leaders = new FakeLeaders(leader)
  const forwarder = new Forwarder({
    selfId: 'n1',
    leaders,
    viaName: 'n1.test',
    waitForLeaderMs: 1_000,
    timeoutMs: 5_000,
    maxWaiting: 100,
    ...unproven(),
    ...options
  })
  onTestFinished(async () => {
    await forwarder.close()
  })
  const { url, port, server } = await startServer((req, res) => {
    const gone = new AbortController()
    res.on('close', () => {
      gone.abort()
    })
    forwarder
      .target(gone.signal)
      .then((target) => {
        if (target.kind === 'remote') forwarder.forward(req, res, target.leader, forwardRequest)
        else {
          res
            .writeHead(target.kind === 'local' ? 200 : 503, { 'x-target': target.kind })
            .end(target.kind === 'none' ? target.code : 'local')
        }
      })
      .catch((error: unknown) => {
        res.destroy(error as Error)
      })
  })
  return { url, port, server, forwarder, leaders }
}

export function leaderAt (url: string, term = 7, id = 'n2'): LeaderInfo {
  return { id, url, term }
}

export function readBody (req: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    req
      .on('data', (chunk: Buffer) => chunks.push(chunk))
      .on('end', () => {
        resolve(Buffer.concat(chunks))
      })
      .on('error', reject)
  })
}

/** A client that sends bytes and keeps all it gets. */
export class RawClient {
  readonly socket: Socket
  received = ''
  closed = false

  constructor (port: number) {
    this.socket = connect({ port, host: '127.0.0.1' })
    this.socket.setEncoding('latin1')
    this.socket.on('data', (text: string) => { this.received += text })
    this.socket.on('error', () => {})
    this.socket.on('close', () => { this.closed = true })
    onTestFinished(() => { this.socket.destroy() })
  }

  send (text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  async untilClosed (): Promise<string> {
    await until(() => this.closed, 'the connection is closed')
    return this.received
  }

  async untilReceived (text: string): Promise<string> {
    await until(
      () => this.received.includes(text),
      `"${text}" is received, and not only "${this.received.slice(0, 300)}"`
    )
    return this.received
  }

  get statusCodes (): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))
  }
}

/** Sends one raw request on a connection of its own and returns all that comes back until the server closes it. */
export async function rawExchange (port: number, text: string): Promise<string> {
  return await new RawClient(port).send(text).untilClosed()
}

/** Bodies of JSON errors, as far as tests look at them. */
export interface ErrorBody {
  readonly statusCode: number
  readonly code: string
  readonly error: string
  readonly message: string
  readonly leader: LeaderInfo | null
  readonly term: number
}
