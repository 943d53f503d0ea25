import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { request } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Gateway, GatewayOptions } from '../../../src/gateway/index.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { elect, FakeMember, startMembers } from '../support/fake-cluster.ts'
import type { ErrorBody } from '../support/servers.ts'
import { deadUrl, RawClient, rawExchange, readBody, until } from '../support/servers.ts'

interface Started {
  readonly gateway: Gateway
  readonly url: string
  readonly adminUrl: string | null
  readonly port: number
}

async function startGateway (nodes: readonly string[], options: Partial<GatewayOptions> = {}): Promise<Started> {
  const gateway = createGateway({ nodes, pollMs: 30, waitForLeaderMs: 2_000, ...options })
  onTestFinished(async () => { await gateway.close() })
  const { url, adminUrl } = await gateway.listen({ port: 0 })
  return { gateway, url, adminUrl, port: Number(new URL(url).port) }
}

async function startCluster (options?: Partial<GatewayOptions>): Promise<Started & { members: FakeMember[] }> {
  const members = await startMembers(3, (req, res) => {
    readBody(req).then((body) => {
      res.writeHead(200, { 'x-hop': String(req.headers['raft-hop'] ?? ''), 'x-via': String(req.headers.via) })
      res.end(`${req.method} ${body.length}`)
    }).catch(() => { res.destroy() })
  })
  elect(members, members[0] ?? null, 3)
  const started = await startGateway(members.map((member) => member.url), options)
  await until(
    () => started.gateway.status().leader !== null && started.gateway.status().nodes.every((node) => node.ready),
    'all are known'
  )
  return { ...started, members }
}

function executed (members: readonly FakeMember[]): number[] {
  return members.map((member) => member.node.executed.length)
}

describe('the gateway', () => {
  it('gives no client but a proxy all places', async () => {
    const held: Array<() => void> = []
    const members = await startMembers(1, (req, res) => { held.push(() => { res.end(req.url) }) })
    elect(members, members[0] ?? null, 3)
    const urls = members.map(({ url }) => url)
    for (const trustProxy of [[], ['127.0.0.1']]) {
      const { gateway, port } = await startGateway(urls, { maxPerClient: 3, trustProxy })
      await until(() => gateway.status().nodes.every((node) => node.ready), 'it is ready')
      const clients = Array.from({ length: 5 }, () => new RawClient(port).send('POST /x HTTP/1.1\r\nHost: a\r\n\r\n'))
      const places = trustProxy.length === 0 ? 3 : 5
      await until(() => held.length === places, 'as many as may are under way')
      await until(() => clients.filter(({ statusCodes }) => statusCodes[0] === 503).length === 5 - places, 'the others are not')
      for (const answer of held.splice(0)) answer()
      await until(() => clients.every(({ statusCodes }) => statusCodes.length === 1), 'all are answered')
      const next = new RawClient(port).send('POST /x HTTP/1.1\r\nHost: a\r\n\r\n')
      await until(() => held.length === 1, 'there is room again')
      held.splice(0)[0]?.()
      await next.untilReceived('/x')
    }
  })

  it('frees the places of requests whose answers wait behind another one when their client leaves', async () => {
    const members = await startMembers(1, (req, res) => { if (req.url !== '/held') res.end(req.url) })
    elect(members, members[0] ?? null, 3)
    const { gateway, port } = await startGateway(members.map(({ url }) => url), { maxPerClient: 3 })
    await until(() => gateway.status().nodes.every((node) => node.ready), 'it is ready')
    for (let round = 0; round < 3; round++) {
      const client = new RawClient(port)
      for (const path of ['/held', '/answered', '/held']) client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      await until(() => gateway.status().inFlight === 3, 'all are under way')
      client.socket.destroy()
      await until(() => gateway.status().inFlight === 0, 'all have ended')
    }
  })

  it('sends writes to the leader, as hops, and reads to all ready nodes when any may have them', async () => {
    const { url, members } = await startCluster({ reads: 'any' })
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await request(`${url}/x`, { method, body: 'abc' })
      expect(await answer.body.text()).toBe(`${method} 3`)
      expect(answer.headers['raft-node']).toBe('n1')
      expect(answer.headers['x-hop']).toMatch(/^v=1;from=fastify-raft-gateway-[0-9a-f]{8};to=n1;term=3;id=/)
      expect(answer.headers['x-via']).toMatch(/^1\.1 fastify-raft-gateway-[0-9a-f]{8}$/)
    }
    expect(executed(members)).toEqual([4, 0, 0])
    for (let count = 0; count < 60; count++) {
      const answer = await request(`${url}/x`, { method: count % 2 === 0 ? 'GET' : 'HEAD' })
      await answer.body.dump()
      expect(answer.headers['x-hop']).toBe('')
    }
    // Drawn at random: that one of three gets none of sixty happens once in ten thousand million times.
    for (const count of executed(members)) expect(count).toBeGreaterThan(0)
    const options = await request(`${url}/x`, { method: 'OPTIONS' })
    await options.body.dump()
    expect(options.headers['raft-node']).toBe('n1')
  })

  it('sends reads to the leader, as hops, unless it is told otherwise', async () => {
    const { url, members } = await startCluster()
    for (let count = 0; count < 9; count++) {
      const answer = await request(`${url}/x`)
      await answer.body.dump()
      expect(answer.headers['x-hop']).toMatch(/;to=n1;term=3;/)
    }
    expect(executed(members)).toEqual([9, 0, 0])
  })

  it('sends reads to the nodes that answer soonest when it is told to, and to others once these are gone', async () => {
    const members = await startMembers(3)
    const [one, two, three] = members
    if (one === undefined || two === undefined || three === undefined) throw new Error('three members')
    elect(members, one, 3)
    // As if it stood on another continent.
    two.delayMs = 150
    three.delayMs = 150
    const { url, gateway } = await startGateway(members.map((member) => member.url), { reads: 'nearest', pollMs: 10 })
    await until(() => gateway.status().nodes.every(({ ready, latencyMs }) => ready && latencyMs !== null), 'all are known')
    for (let count = 0; count < 20; count++) await (await request(`${url}/x`)).body.dump()
    expect(executed(members)).toEqual([20, 0, 0])
    one.ready = false
    await until(() => gateway.status().nodes.filter(({ ready }) => ready).length === 2, 'it is noticed')
    for (let count = 0; count < 5; count++) await (await request(`${url}/x`)).body.dump()
    expect(executed(members)[0]).toBe(20)
  })

  it('gives a node no reads for a while whose reads fail in a row, however well it answers probes', async () => {
    let broken = true
    const members = await startMembers(2, (_req, res) => { res.end('well') })
    const bad = new FakeMember('n3', (_req, res) => {
      if (broken) res.destroy()
      else res.end('well')
    })
    await bad.start()
    const all = [...members, bad]
    elect(all, members[0] ?? null, 3)
    const options = { reads: 'any', pollMs: 10, ejectAfterFailures: 2, ejectMs: 400 } as const
    const { url, gateway } = await startGateway(all.map((member) => member.url), options)
    const isWell = (): boolean => gateway.status().nodes.every(({ ready }) => ready)
    const failed = async (): Promise<number> => {
      for (let count = 0; count < 10; count++) {
        await until(isWell, 'all answer their probes')
        const answer = await request(`${url}/x`)
        await answer.body.dump()
        expect(answer.statusCode).toBe(200)
      }
      return bad.node.executed.length
    }
    await until(() => bad.node.executed.length > 0 || isWell(), 'all are known')
    let before = 0
    for (let round = 0; round < 20 && before < 2; round++) before = await failed()
    expect(before).toBeGreaterThanOrEqual(2)
    const ejectedAt = bad.node.executed.length
    expect(await failed()).toBeLessThanOrEqual(ejectedAt + 1)
    broken = false
    await until(() => {
      request(`${url}/x`).then(async ({ body }) => { await body.dump() }).catch(() => {})
      return bad.node.executed.length > ejectedAt + 5
    }, 'it is given reads again', 10_000)
  })

  it('B11 repeats nothing but GET, HEAD and OPTIONS when the connection is lost: it knows no marks of routes', async () => {
    const members = await startMembers(3, (_req, res) => { res.destroy() })
    elect(members, members[0] ?? null, 3)
    const { url, gateway } = await startGateway(members.map((member) => member.url), { reads: 'any' })
    await until(() => gateway.status().nodes.filter((node) => node.ready).length === 3, 'all are ready')
    for (const [method, attempts] of [['DELETE', 1], ['PUT', 1], ['GET', 2], ['HEAD', 2]] as const) {
      const before = executed(members).reduce((sum, count) => sum + count, 0)
      const answer = await request(`${url}/x`, { method })
      await answer.body.dump()
      expect([method, answer.statusCode]).toEqual([method, 502])
      expect(executed(members).reduce((sum, count) => sum + count, 0) - before).toBe(attempts)
    }
  })

  it('sends no read to a node that is not ready or is gone', async () => {
    const { url, members, gateway } = await startCluster({ pollMs: 5_000, reads: 'any' })
    const [one, two, three] = members
    if (one === undefined || two === undefined || three === undefined) throw new Error('three members')
    await three.stop()
    expect(gateway.status().nodes.filter((node) => node.ready)).toHaveLength(3)
    for (let count = 0; count < 6; count++) {
      const answer = await request(`${url}/x`)
      await answer.body.dump()
      expect(answer.statusCode).toBe(200)
    }
    expect(one.node.executed.length + two.node.executed.length).toBe(6)
    two.ready = false
    const { url: other, gateway: second } = await startGateway(members.map((member) => member.url), { reads: 'any' })
    await until(() => second.status().nodes.filter((node) => node.ready).length === 1, 'only n1 is ready')
    const before = two.node.executed.length
    for (let count = 0; count < 4; count++) await (await request(`${other}/x`)).body.dump()
    expect(two.node.executed.length).toBe(before)
  })

  it('asks another node when the node that owes the answer to a read falls silent', async () => {
    const { url, members, gateway } = await startCluster({ pollTimeoutMs: 100, reads: 'any' })
    const [, two] = members
    if (two === undefined) throw new Error('three members')
    two.paused = true
    // All nodes still count as ready, so that some of them go to the silent one.
    expect(gateway.status().nodes.every((node) => node.ready)).toBe(true)
    const startedAtMs = performance.now()
    const answers = await Promise.all(Array.from({ length: 12 }, async () => {
      const answer = await request(`${url}/x`)
      await answer.body.dump()
      return answer.statusCode
    }))
    expect(answers).toEqual(Array(12).fill(200))
    // Far less than the deadline of 30 seconds.
    expect(performance.now() - startedAtMs).toBeLessThan(10_000)
    expect(executed(members)[1]).toBe(0)
  })

  it('waits for a node that is slow and still answers probes', async () => {
    const members = await startMembers(1, (_req, res) => { setTimeout(() => { res.end('slow') }, 600) })
    elect(members, members[0] ?? null, 3)
    const { url, gateway } = await startGateway(members.map((member) => member.url), { pollTimeoutMs: 100, reads: 'any' })
    await until(() => gateway.status().nodes.every((node) => node.ready), 'it is ready')
    const answer = await request(`${url}/x`)
    expect([answer.statusCode, await answer.body.text()]).toEqual([200, 'slow'])
    expect(executed(members)).toEqual([1])
  })

  it('follows the leader while traffic runs: every write succeeds once', async () => {
    const { url, members } = await startCluster()
    const done = new AbortController()
    let sent = 0
    const statusCodes = new Set<number>()
    const writers = Array.from({ length: 4 }, async () => {
      while (!done.signal.aborted) {
        sent++
        const answer = await request(`${url}/orders`, { method: 'POST', body: 'order' })
        await answer.body.dump()
        statusCodes.add(answer.statusCode)
      }
    })
    for (let term = 4; term < 10; term++) {
      await until(() => executed(members).reduce((a, b) => a + b) > (term - 3) * 20, 'traffic runs')
      elect(members, null, term)
      await new Promise((resolve) => setTimeout(resolve, 20))
      elect(members, members[term % 3] ?? null, term)
    }
    done.abort()
    await Promise.all(writers)
    expect([...statusCodes]).toEqual([200])
    expect(executed(members).reduce((a, b) => a + b)).toBe(sent)
    expect(executed(members).every((count) => count > 0)).toBe(true)
  })

  it('waits through the leader\'s death and goes on with the next', async () => {
    const { url, members, gateway } = await startCluster()
    const [one, two] = members
    await one?.stop()
    const answering = request(`${url}/x`, { method: 'POST', body: 'x'.repeat(10_000) })
    await until(() => gateway.status().waiting === 1, 'the write waits')
    elect(members.slice(1), two ?? null, 4)
    const answer = await answering
    expect([answer.statusCode, answer.headers['raft-node']]).toEqual([200, 'n2'])
    await answer.body.dump()
  })

  it('answers writes and reads with 503 and retry-after in time when no node can serve them', async () => {
    const { url } = await startGateway([await deadUrl(), await deadUrl()], { waitForLeaderMs: 200, reads: 'any' })
    for (const [method, code] of [['POST', 'RAFT_NO_LEADER'], ['GET', 'RAFT_NO_NODE']] as const) {
      const startedAtMs = performance.now()
      const answer = await request(`${url}/x`, { method })
      const body = await answer.body.json() as ErrorBody
      expect([answer.statusCode, answer.headers['retry-after'], body.code, body.leader]).toEqual([503, '1', code, null])
      expect(performance.now() - startedAtMs).toBeLessThan(1_500)
    }
  })

  it('B13 a leader that all nodes name and that refuses costs bounded hops and ends in 503', async () => {
    const { url, members } = await startCluster({ waitForLeaderMs: 300 })
    for (const member of members) member.node.leadership = null
    const answer = await request(`${url}/x`, { method: 'POST' })
    await answer.body.dump()
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
    expect(executed(members)).toEqual([0, 0, 0])
    expect(members[0]?.node.refused.length).toBeLessThan(15)
  })

  it('B13 refuses a request that it has forwarded before', async () => {
    const { url, members } = await startCluster({ viaName: 'gw.test' })
    const answer = await request(`${url}/x`, { headers: { via: '1.1 gw.test, 1.1 other' } })
    expect([answer.statusCode, (await answer.body.json() as ErrorBody).code]).toEqual([508, 'RAFT_LOOP_DETECTED'])
    expect(executed(members)).toEqual([0, 0, 0])
  })

  it('B14 forged internal fields do not pass and are counted, and a forged hop is replaced', async () => {
    const { url, adminUrl } = await startCluster({ reads: 'any', adminPort: 0 })
    const write = await request(`${url}/x`, { method: 'POST', headers: { 'raft-hop': 'v=1;from=a;to=n1;term=99' } })
    await write.body.dump()
    expect(write.headers['x-hop'])
      .toMatch(/^v=1;from=fastify-raft-gateway-[0-9a-f]{8};to=n1;term=3;id=[\w-]+;left=\d+$/)
    const forged = { 'raft-hop': 'v=1;from=a;to=n1;term=99', 'Raft-Anything': 'x' }
    const read = await request(`${url}/x`, { headers: forged })
    await read.body.dump()
    expect(read.headers['x-hop']).toBe('')
    const metrics = await (await request(`${adminUrl}/metrics`)).body.text()
    expect(metrics).toContain('\nfastify_raft_gateway_forged_fields_total 3\n')
  })

  it('B27 believes a refusal only from the cluster of the node that it asked', async () => {
    const { url, members, gateway } = await startCluster({ waitForLeaderMs: 300 })
    for (const { node } of members) node.clusterUuid = 'u-1'
    await until(() => gateway.status().nodes.every(({ clusterUuid }) => clusterUuid === 'u-1'), 'all have said so')
    const [leader] = members
    if (leader === undefined) throw new Error('three members')
    const post = async (): Promise<number> => {
      const answer = await request(`${url}/x`, { method: 'POST' })
      await answer.body.dump()
      return answer.statusCode
    }
    leader.node.leadership = null
    await post()
    expect(leader.node.refused.length).toBeGreaterThan(1)
    leader.node.refused.length = 0
    // As if its handler had passed the request on, and the refusal of the other cluster back.
    leader.node.refuseAs('u-2')
    expect(await post()).toBe(503)
    expect(leader.node.refused).toHaveLength(1)
  })

  it.each([
    '/_cluster/v1/status',
    '//_cluster',
    '/%5fCLUSTER/v1/kv/a',
    '/x/../_cluster',
    'http://a/_cluster/v1/leader',
    '/_cluster;x'
  ])('B18 answers %s itself with 404', async (target) => {
    const { port, members } = await startCluster()
    for (const method of ['GET', 'POST']) {
      const answer = await rawExchange(
        port,
        `${method} ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
      )
      expect(answer).toMatch(/^HTTP\/1\.1 404 /)
    }
    expect(executed(members)).toEqual([0, 0, 0])
  })
})

describe('requests that the gateway refuses', () => {
  const bad: Array<[string, string]> = [
    ['CL and TE', 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['two lengths', 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde'],
    ['a signed length', 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd'],
    ['a bare CR', 'POST /x HTTP/1.1\r\nHost: a\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n'],
    ['obs-fold', 'POST /x HTTP/1.1\r\nHost: a\r\nX: a\r\n Content-Length: 4\r\n\r\n'],
    ['a space before the colon', 'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length : 4\r\n\r\nabcd'],
    [
      'an unknown transfer coding',
      'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'
    ],
    ['a bad chunk size', 'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n'],
    ['two Hosts', 'POST /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'],
    ['no Host', 'POST /x HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n']
  ]
  it.each(bad)('B1 B20 %s: nothing is executed', async (name, text) => {
    const { port, members } = await startCluster()
    const client = new RawClient(port).send(`${text}`)
    client.socket.end()
    await client.untilClosed()
    // A body whose framing fails on the way may have begun to pass; no handler gets to its end.
    expect(client.statusCodes.filter((code) => code !== 400)).toEqual([])
    if (name !== 'a bad chunk size') expect(executed(members)).toEqual([0, 0, 0])
  })

  it('a refused CONNECT that stays open does not keep the gateway from closing', async () => {
    const gateway = createGateway({ nodes: ['http://127.0.0.1:1'], closeTimeoutMs: 200 })
    const { url } = await gateway.listen({ port: 0 })
    const client = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => { client.destroy() })
    client.on('error', () => {}).resume().write('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(client, 'end')
    await gateway.close()
  })

  it('B20 CONNECT, unknown upgrades and TRACE are answered 501, OPTIONS * by the gateway itself', async () => {
    const { port, members } = await startCluster()
    expect(await rawExchange(port, 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')).toMatch(/^HTTP\/1\.1 501 /)
    expect(
      await rawExchange(
        port,
        'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: irc\r\n\r\n'
      )
    ).toMatch(/^HTTP\/1\.1 501 /)
    expect(await rawExchange(port, 'TRACE /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 501 /
    )
    expect(await rawExchange(port, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 204 /
    )
    expect(executed(members)).toEqual([0, 0, 0])
    expect(
      await rawExchange(
        port,
        'GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n'
      )
    ).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('starting and closing the gateway', () => {
  it('lists every fault of its options at once', () => {
    const options = {
      nodes: ['ftp://a', 'http://a:1/path', 'http://user@b', 'http://c', 'http://c/', 'nonsense'],
      timeoutMs: 0,
      waitForLeaderMs: 'x',
      prefix: '_cluster',
      nodez: [],
      viaName: 'a b',
      trustProxy: ['10.0.0.0/8', 'localhost']
    } as unknown as GatewayOptions
    expect(() => createGateway(options)).toThrow(expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' }))
    expect(() => createGateway(options)).toThrow(/nodes\[0\].*nodes\[1\].*nodes\[2\].*nodes\[4\].*nodes\[5\]/)
    for (const name of ['timeoutMs', 'waitForLeaderMs', 'prefix', 'nodez', 'viaName', 'trustProxy[1]']) {
      expect(() => createGateway(options)).toThrow(name)
    }
    expect(() => createGateway({} as unknown as GatewayOptions)).toThrow('nodes: is required')
    expect(() => createGateway({ nodes: [] })).toThrow('nodes')
  })

  it('rejects when the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    onTestFinished(() => { taken.close() })
    const gateway = createGateway({ nodes: ['http://127.0.0.1:1'] })
    await expect(gateway.listen({ port: (taken.address() as AddressInfo).port })).rejects.toMatchObject({
      code: 'EADDRINUSE'
    })
    await gateway.close()
  })

  it('closes gracefully: what is under way finishes, connections end, and what still comes on them is served', async () => {
    const held: Array<() => void> = []
    const members = await startMembers(1, (req, res) => {
      if (req.url === '/held') held.push(() => { res.end('finished') })
      else res.end('served')
    })
    elect(members, members[0] ?? null, 1)
    const { gateway, url, port } = await startGateway(members.map((one) => one.url))
    await until(() => gateway.status().leader !== null, 'the leader is known')
    const idle = new RawClient(port)
    const underWay = request(`${url}/held`, { method: 'POST' })
    await until(() => held.length === 1, 'it is under way')
    const used = new RawClient(port).send('GET /one HTTP/1.1\r\nHost: a\r\n\r\n')
    await used.untilReceived('served')
    const closing = gateway.close()
    used.send('GET /two HTTP/1.1\r\nHost: a\r\n\r\n')
    await used.untilClosed()
    expect(used.statusCodes).toEqual([200, 200])
    expect(used.received.split('served')[1]).toMatch(/connection: close/i)
    held[0]?.()
    expect(await (await underWay).body.text()).toBe('finished')
    await closing
    await idle.untilClosed()
    await expect(request(`${url}/x`)).rejects.toThrow()
  })

  it('lets requests that wait for a leader go on to it while it closes', async () => {
    const members = await startMembers(1, (_req, res) => { res.end('by the leader') })
    elect(members, null, 1)
    const { gateway, url } = await startGateway(members.map((one) => one.url), { waitForLeaderMs: 60_000 })
    const waiting = request(`${url}/x`, { method: 'POST' })
    await until(() => gateway.status().waiting === 1, 'it waits')
    const closing = gateway.close()
    elect(members, members[0] ?? null, 2)
    expect(await (await waiting).body.text()).toBe('by the leader')
    await closing
  })

  it('refuses requests that still wait when the time is over', async () => {
    const members = await startMembers(1, () => {})
    elect(members, null, 1)
    const { gateway, url } = await startGateway(members.map((one) => one.url), { closeTimeoutMs: 100 })
    const waiting = request(`${url}/x`, { method: 'POST' })
    await until(() => gateway.status().waiting === 1, 'it waits')
    await gateway.close()
    const answer = await waiting
    expect([answer.statusCode, (await answer.body.json() as ErrorBody).code]).toEqual([503, 'RAFT_STOPPED'])
  })

  it('cuts requests that do not finish in time', async () => {
    const members = await startMembers(1, () => {})
    elect(members, members[0] ?? null, 1)
    const { gateway, url } = await startGateway(members.map((one) => one.url), { closeTimeoutMs: 100 })
    const underWay = request(`${url}/x`, { method: 'POST' }).then(async ({ statusCode, body }) => {
      await body.dump()
      return statusCode
    }, () => 'cut')
    await until(() => members[0]?.node.executed.length === 1, 'it is under way')
    const startedAtMs = performance.now()
    await gateway.close()
    expect(performance.now() - startedAtMs).toBeLessThan(2_000)
    expect([502, 'cut']).toContain(await underWay)
  })
})
