import type { RequestListener } from 'node:http'
import { createServer, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { checkHop, formatNotExecuted, parseHop } from '../../../src/gateway/forward/hop.ts'
import type { ForwarderOptions } from '../../../src/gateway/forward/types.ts'
import type { Follower, Listening } from '../support/servers.ts'
import { deadUrl, leaderAt, RawClient, startFollower, startRawServer, until } from '../support/servers.ts'

/** A copy that passes every request to switch protocols on to the leader. */
async function startCopy (url: string, options: Partial<ForwarderOptions> = {}): Promise<Follower> {
  const follower = await startFollower(leaderAt(url), options)
  follower.server.on('upgrade', (req, _socket, head) => {
    const res = new ServerResponse(req)
    res.assignSocket(req.socket)
    follower.forwarder.forwardUpgrade({ req, res, head }, follower.leaders.current() as ReturnType<typeof leaderAt>)
  })
  return follower
}

interface Leader extends Listening {
  readonly sockets: Socket[]
  readonly urls: string[]
}

/** A leader that switches protocols and sends back what it hears, or what `onSocket` does. */
async function startLeader (onSocket = (socket: Socket): void => { socket.pipe(socket) }, term = 7): Promise<Leader> {
  const sockets: Socket[] = []
  const urls: string[] = []
  const answer: RequestListener = (_req, res) => { res.end('no upgrade') }
  const server = createServer(answer)
  server.on('upgrade', (req, duplex) => {
    const socket = duplex as Socket
    sockets.push(socket)
    socket.on('error', () => {})
    const hop = parseHop(req.headers['raft-hop'])
    if (checkHop(hop, { nodeId: 'n2', leadership: { term } }) === 'not-executed') {
      const value = formatNotExecuted(hop, 1, undefined)
      socket.end(`HTTP/1.1 503 No\r\nraft-not-executed: ${value}\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    urls.push(`${req.url} ${req.headers.upgrade} ${req.headers.host} ${String(req.headers['x-kept'])}`)
    socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: test\r\nX-Own: 1\r\n\r\nhello ')
    onSocket(socket)
  })
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => { server.close(() => { resolve() }) })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, sockets, urls }
}

/** Whether the other end has closed, as far as this one can see. */
function hasEnded (socket: Socket): boolean {
  return socket.destroyed || socket.readableEnded
}

const head = 'GET /a%2Fb?c HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: test\r\nX-Kept: 1\r\n\r\n'

describe('requests to switch protocols', () => {
  it('reach the leader as they are, and then both ends send what they like, bytes behind the head included', async () => {
    const leader = await startLeader()
    const client = new RawClient((await startCopy(leader.url)).port).send(`${head}early `)
    await client.untilReceived('early ')
    await client.send('late').untilReceived('late')
    expect(client.received).toMatch(/^HTTP\/1\.1 101 Switching\r\n.*X-Own: 1\r\n.*\r\n\r\nhello early late$/s)
    expect(client.received).toContain(`raft-leader: ${leader.url}\r\n`)
    expect(leader.urls).toEqual(['/a%2Fb?c test app.test 1'])
  })

  it('end on both sides when one end does, with all that was sent before', async () => {
    const leader = await startLeader((socket) => {
      socket.once('data', () => { socket.end('x'.repeat(300_000)) }).once('end', () => { socket.end() })
    })
    const copy = await startCopy(leader.url)
    const first = new RawClient(copy.port).send(`${head}x`)
    expect((await first.untilClosed()).endsWith('x'.repeat(300_000))).toBe(true)
    const second = new RawClient(copy.port).send(head)
    await second.untilReceived('hello')
    second.socket.destroy()
    await until(() => leader.sockets.every(hasEnded), 'the leader sees it')
  })

  it('go to the next leader when the one that is named refuses them, and are answered in HTTP at last', async () => {
    const [old, next] = [await startLeader(undefined, 6), await startLeader()]
    const copy = await startCopy(old.url, { waitForLeaderMs: 5_000 })
    const client = new RawClient(copy.port).send(head)
    await until(() => old.sockets.length > 0, 'the old one is asked')
    copy.leaders.set(leaderAt(next.url))
    await client.untilReceived('hello')
    expect([old.urls.length, next.urls.length]).toEqual([0, 1])
    const lost = await startCopy(await deadUrl(), { waitForLeaderMs: 100 })
    expect(await new RawClient(lost.port).send(head).untilClosed()).toMatch(/^HTTP\/1\.1 503 .*RAFT_NO_LEADER/s)
  })

  it('are answered with what the leader answers in HTTP, and 504 when it says nothing', async () => {
    const refusing = await startRawServer((socket) => {
      socket.on('data', () => { socket.write('HTTP/1.1 403 No\r\nX-Why: 1\r\nContent-Length: 3\r\n\r\nno!') })
    })
    const copy = await startCopy(refusing.url)
    expect(await new RawClient(copy.port).send(head).untilClosed()).toMatch(/^HTTP\/1\.1 403 .*X-Why: 1.*no!$/s)
    const silent = await startRawServer(() => {})
    const waiting = await startCopy(silent.url, { timeoutMs: 200 })
    expect(await new RawClient(waiting.port).send(head).untilClosed()).toMatch(/^HTTP\/1\.1 504 /)
  })

  it.each(['leaves', 'is cut by the copy that closes'])('free the leader when a client %s in an answer in HTTP', async (what) => {
    let socket: Socket | undefined
    const endless = await startRawServer((accepted) => {
      socket = accepted
      accepted.on('data', () => {
        accepted.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n')
      })
    })
    const copy = await startCopy(endless.url)
    const client = new RawClient(copy.port).send(head)
    await client.untilReceived('begun')
    if (what === 'leaves') client.socket.destroy()
    else {
      await copy.forwarder.close()
      await client.untilClosed()
    }
    await until(() => socket !== undefined && hasEnded(socket), 'the leader sees it')
  })

  it('are taken up to a limit, and the next one is answered 503', async () => {
    const leader = await startLeader()
    const copy = await startCopy(leader.url, { maxTunnels: 2 })
    const clients = [1, 2].map(() => new RawClient(copy.port).send(head))
    for (const client of clients) await client.untilReceived('hello')
    expect(await new RawClient(copy.port).send(head).untilClosed()).toMatch(/^HTTP\/1\.1 503 .*RAFT_BUSY/s)
    clients[0]?.socket.destroy()
    await until(() => leader.sockets.some(hasEnded), 'one has ended')
    await new RawClient(copy.port).send(head).untilReceived('hello')
  })

  it('end when one end reads nothing for too long, and when the copy closes', async () => {
    const leader = await startLeader((socket) => { socket.resume() })
    const copy = await startCopy(leader.url, { stallTimeoutMs: 1_500 })
    const stalled = new RawClient(copy.port).send(head)
    await stalled.untilReceived('hello')
    stalled.socket.pause()
    for (const socket of leader.sockets) socket.write(Buffer.alloc(32_000_000))
    const quiet = new RawClient(copy.port).send(head)
    await quiet.untilReceived('hello')
    await until(() => leader.sockets[0]?.destroyed === true, 'the stalled one is cut', 15_000)
    expect([leader.sockets[1]?.destroyed, quiet.closed]).toEqual([false, false])
    await copy.forwarder.close()
    await quiet.untilClosed()
  })
})
