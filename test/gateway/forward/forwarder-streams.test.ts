import { request } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { deadUrl, FakeNode, leaderAt, RawClient, startFollower, startRawServer, startServer, until } from '../support/servers.ts'

const mebibyte = Buffer.alloc(1_048_576, 'x')

describe('a client that does not read its answer', () => {
  /** A leader whose answer is that many mebibytes. */
  async function leaderWith (mebibytes: number): Promise<string> {
    const node = new FakeNode('n2', 7, (_req, res) => {
      for (let count = 0; count < mebibytes; count++) res.write(mebibyte)
      res.end()
    })
    return (await startServer(node.listener)).url
  }

  it('is cut off, however much of the answer has arrived here, and frees its slot', async () => {
    for (const mebibytes of [64, 8]) {
      const follower = await startFollower(leaderAt(await leaderWith(mebibytes)), { stallTimeoutMs: 200 })
      const client = new RawClient(follower.port)
      client.socket.pause()
      client.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
      await until(() => follower.forwarder.stats().inFlight === 1, 'it is under way')
      await until(() => follower.forwarder.stats().inFlight === 0, 'the slot is free')
    }
  })

  it('is left alone as long as it goes on to read, slow as it is', async () => {
    const follower = await startFollower(leaderAt(await leaderWith(64)), { stallTimeoutMs: 1_000 })
    const client = new RawClient(follower.port).send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    const startMs = performance.now()
    const slowDown = setInterval(() => {
      client.socket.pause()
      setTimeout(() => { client.socket.resume() }, 45)
    }, 50)
    onTestFinished(() => { clearInterval(slowDown) })
    await until(() => performance.now() - startMs > 2_500, 'it has taken longer than that')
    clearInterval(slowDown)
    await until(() => client.received.length > 64 * mebibyte.length, 'all of it has arrived')
  })
})

describe('a client that goes away', () => {
  it('B8 while connecting: the slot is freed, and nothing is sent later', async () => {
    // TLS with somebody who never says hello: the connection stays in the making.
    let connections = 0
    const { port } = await startRawServer(() => { connections++ })
    const follower = await startFollower(leaderAt(`https://127.0.0.1:${port}`), { connectTimeoutMs: 10_000 })
    const client = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde')
    await until(() => connections === 1 && follower.forwarder.stats().inFlight === 1, 'it is connecting')
    client.socket.destroy()
    await until(() => follower.forwarder.stats().inFlight === 0, 'the slot is free')
  })

  it('B8 between two attempts: the slot and the place are freed', async () => {
    const follower = await startFollower(leaderAt(await deadUrl()), { waitForLeaderMs: 10_000 })
    const client = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde')
    await until(() => follower.forwarder.stats().waiting === 1, 'the request waits between attempts')
    client.socket.destroy()
    await until(
      () => follower.forwarder.stats().inFlight === 0 && follower.forwarder.stats().waiting === 0,
      'the slot is free'
    )
  })

  it('B8 while waiting for a leader: the place is freed', async () => {
    const follower = await startFollower(null, { waitForLeaderMs: 10_000 })
    const client = new RawClient(follower.port).send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => follower.forwarder.stats().waiting === 1, 'the request waits')
    client.socket.destroy()
    await until(() => follower.forwarder.stats().waiting === 0, 'the place is free')
  })

  it('B8 while uploading: the leader sees the abort', async () => {
    let state = 'none'
    const node = new FakeNode('n2', 7, (req) => {
      req.on('data', () => { state = 'receiving' })
      req.on('error', () => { state = 'aborted' })
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const client = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabcde')
    await until(() => state === 'receiving', 'the leader receives')
    client.socket.destroy()
    await until(() => state === 'aborted', 'the leader sees the abort')
    await until(() => follower.forwarder.stats().inFlight === 0, 'the slot is free')
    expect(node.executed).toHaveLength(1)
  })

  it('B8 while waiting for the answer, and while downloading: the leader sees it', async () => {
    let closed = 0
    const node = new FakeNode('n2', 7, (req, res) => {
      res.on('close', () => { closed++ })
      if (req.url === '/down') res.write(mebibyte)
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const waiting = new RawClient(follower.port).send('GET /wait HTTP/1.1\r\nHost: a\r\n\r\n')
    const downloading = new RawClient(follower.port).send('GET /down HTTP/1.1\r\nHost: a\r\n\r\n')
    await downloading.untilReceived('xxxx')
    await until(() => node.executed.length === 2, 'both are executed')
    waiting.socket.destroy()
    downloading.socket.destroy()
    await until(() => closed === 2, 'the leader sees both')
    await until(() => follower.forwarder.stats().inFlight === 0, 'the slots are free')
  })
})

describe('early and broken answers', () => {
  it('B9 a 413 while the client still uploads reaches the client, once', async () => {
    const node = new FakeNode('n2', 7, (_req, res) => {
      res.writeHead(413, { 'content-type': 'text/plain' }).end('too large')
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const client = new RawClient(follower.port).send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n')
    client.socket.write(mebibyte)
    await client.untilReceived('too large')
    const pump = setInterval(() => { client.socket.write('x') }, 5)
    await client.untilClosed().finally(() => { clearInterval(pump) })
    expect(client.statusCodes).toEqual([413])
    expect(node.executed).toHaveLength(1)
    await until(() => follower.forwarder.stats().inFlight === 0, 'the slot is free')
  })

  it('B9 a client that ends its upload after an early answer can go on with the connection', async () => {
    const node = new FakeNode('n2', 7, (req, res) => { res.end(req.url === '/early' ? 'enough' : 'next') })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const client = new RawClient(follower.port).send(
      'POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345'
    )
    await client.untilReceived('enough')
    await client.send('67890GET /next HTTP/1.1\r\nHost: a\r\n\r\n').untilReceived('next')
    expect(client.statusCodes).toEqual([200, 200])
  })

  it('B10 the leader dies in its answer: the connection is cut, and no second answer follows', async () => {
    for (const head of [
      'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n'
    ]) {
      let requests = 0
      const { url } = await startRawServer((socket) => {
        socket.once('data', () => {
          requests++
          socket.write(head, () => setTimeout(() => socket.destroy(), 20))
        })
      })
      const follower = await startFollower(leaderAt(url))
      const client = new RawClient(follower.port).send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
      const all = await client.untilClosed()
      expect(client.statusCodes).toEqual([200])
      expect(all).toContain('part')
      expect(all.endsWith('0\r\n\r\n')).toBe(false)
      expect(requests).toBe(1)
    }
  })
})

describe('B23 slow peers', () => {
  const totalBytes = 64 * mebibyte.length
  // What two sockets, their kernel buffers and the streams between them may hold.
  const maxInBetweenBytes = 24 * mebibyte.length

  it('a slow client holds back the leader', async () => {
    let written = 0
    const node = new FakeNode('n2', 7, (_req, res) => {
      const send = (): void => {
        while (written < totalBytes) {
          written += mebibyte.length
          if (!res.write(mebibyte)) {
            res.once('drain', send)
            return
          }
        }
        res.end()
      }
      send()
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const client = await request(`${follower.url}/down`)
    let read = 0
    let stalledAt = -1
    for await (const chunk of client.body as AsyncIterable<Buffer>) {
      read += chunk.length
      if (stalledAt === -1) {
        // Nothing is read until the leader has stopped writing.
        while (stalledAt !== written) {
          stalledAt = written
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        expect(written).toBeLessThan(maxInBetweenBytes)
      }
    }
    expect(read).toBe(totalBytes)
  })

  it('a slow leader holds back the client', async () => {
    let received = 0
    let readOn: () => void = () => {}
    const node = new FakeNode('n2', 7, (req, res) => {
      req.once('data', () => { req.pause() })
      readOn = () => { req.resume() }
      req.on('data', (chunk: Buffer) => { received += chunk.length }).on('end', () => { res.end(String(received)) })
    })
    const { url } = await startServer(node.listener)
    const follower = await startFollower(leaderAt(url))
    const client = new RawClient(follower.port).send(
      `PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: ${totalBytes}\r\n\r\n`
    )
    let sent = 0
    const send = (): void => {
      while (sent < totalBytes) {
        sent += mebibyte.length
        if (!client.socket.write(mebibyte)) {
          client.socket.once('drain', send)
          return
        }
      }
    }
    send()
    await until(() => received > 0, 'the leader has begun to read')
    let stalledAt = -1
    while (stalledAt !== sent) {
      stalledAt = sent
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(sent).toBeLessThan(maxInBetweenBytes)
    readOn()
    await client.untilReceived(String(totalBytes))
  })
})
