import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { Agent, request } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Gateway, GatewayListening, GatewayOptions, GatewayStatus } from '../../../src/gateway/index.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { createAuthority } from '../../support/certificates.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { elect, FakeMember, startMembers } from '../support/fake-cluster.ts'
import { deadUrl, RawClient, until } from '../support/servers.ts'

interface Started extends GatewayListening {
  readonly gateway: Gateway
  readonly admin: (path: string) => Promise<{ readonly statusCode: number, readonly text: string }>
}

async function start (nodes: readonly string[], options: Partial<GatewayOptions> = {}): Promise<Started> {
  const gateway = createGateway({ nodes, pollMs: 20, adminPort: 0, ...options })
  onTestFinished(async () => { await gateway.close() })
  const listening = await gateway.listen({ port: 0 })
  const admin = async (path: string): ReturnType<Started['admin']> => {
    const { statusCode, body } = await request(`${listening.adminUrl}${path}`)
    return { statusCode, text: await body.text() }
  }
  return { gateway, admin, ...listening }
}

async function startCluster (options?: Partial<GatewayOptions>): Promise<Started & { readonly members: FakeMember[] }> {
  const members = await startMembers(3, (req, res) => { res.end(req.url) })
  elect(members, members[0] ?? null, 3)
  const started = await start(members.map(({ url }) => url), options)
  await until(() => started.gateway.status().nodes.every(({ ready }) => ready), 'all are known')
  return { ...started, members }
}

describe('the own routes of a gateway', () => {
  it('are on a port of their own, and none of them among the traffic', async () => {
    const { url, admin } = await startCluster()
    expect(await admin('/livez')).toEqual({ statusCode: 200, text: '{"status":"ok"}' })
    expect(JSON.parse((await admin('/readyz')).text)).toMatchObject({
      status: 'ok',
      checks: { draining: { ok: true }, nodes: { ok: true, detail: '3 of 3 nodes can be reached' }, cluster: { ok: true } }
    })
    const status = JSON.parse((await admin('/status')).text) as GatewayStatus
    expect(status).toMatchObject({ leader: { id: 'n1', term: 3 }, waiting: 0, inFlight: 0, isReady: true, isDraining: false })
    expect(status.nodes.map(({ id, source }) => [id, source])).toEqual([1, 2, 3].map((at) => [`n${at}`, 'configured']))
    expect((await admin('/other')).statusCode).toBe(404)
    for (const path of ['/_gateway/status', '/status', '/metrics', '/livez']) {
      // The application may have such routes.
      expect(await (await request(url + path)).body.text()).toBe(path)
    }
  })

  it('are under /_gateway among the traffic when that is asked for', async () => {
    const { url } = await startCluster({ adminOnTraffic: true })
    for (const path of ['livez', 'readyz', 'status', 'metrics']) {
      const answer = await request(`${url}/_gateway/${path}`)
      expect([answer.statusCode, await answer.body.text()]).not.toEqual([200, `/_gateway/${path}`])
      expect(answer.statusCode).toBe(200)
    }
    const post = await request(`${url}/_gateway/livez`, { method: 'POST' })
    await post.body.dump()
    expect(post.statusCode).toBe(404)
    expect(await (await request(`${url}/_gatewayx`)).body.text()).toBe('/_gatewayx')
  })

  it('count what the gateway does, in the form that Prometheus reads', async () => {
    const { url, admin, members } = await startCluster()
    for (let count = 0; count < 3; count++) await (await request(`${url}/x`)).body.dump()
    await members[2]?.stop()
    await until(() => members.filter(({ probes }) => probes > 0).length === 3, 'all were asked')
    let text = ''
    await expect.poll(async () => {
      text = (await admin('/metrics')).text
      return text
    }).toContain(`fastify_raft_gateway_node_reachable{node="${members[2]?.url}"} 0`)
    for (const line of [
      'responses_total{status="200"} 3',
      'request_duration_seconds_count 3',
      'forged_fields_total 0',
      'leader_changes_total 1',
      'in_flight_requests 0',
      'ready 1',
      'leader_term 3',
      `node_leads{node="${members[0]?.url}"} 1`,
      `node_ready{node="${members[1]?.url}"} 1`
    ]) expect(text).toContain(`\nfastify_raft_gateway_${line}\n`)
    // Every line is a comment or a sample.
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(?:# (?:HELP|TYPE) \w+ .+|\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? (?:[\d.e+-]+|NaN|[+-]Inf))$/)
    }
  })
})

describe('a gateway that no node answers', () => {
  it('starts, says so once, answers 503 with retry-after, and recovers', async () => {
    const logger = new MemoryLogger()
    const urls = [await deadUrl(), await deadUrl()]
    const { url, admin, gateway } = await start(urls, { waitForLeaderMs: 50, logger, pollMs: 10 })
    const said = (text: string): number => logger.lines.filter((line) => line.message.includes(text)).length
    await until(() => said('no node can be reached') === 1, 'it has said so')
    const ready = await admin('/readyz')
    expect([ready.statusCode, ready.text]).toEqual([503, expect.stringContaining('0 of 2 nodes can be reached')])
    expect((await admin('/livez')).statusCode).toBe(200)
    for (let count = 0; count < 10; count++) {
      const answer = await request(`${url}/x`, { method: count % 2 === 0 ? 'POST' : 'GET' })
      const { code } = await answer.body.json() as { code: string }
      expect([answer.statusCode, answer.headers['retry-after'], code]).toEqual([503, '1', 'RAFT_NO_LEADER'])
    }
    const loud = logger.lines.filter(({ level }) => level !== 'debug')
    expect(loud.map(({ message }) => message)).toEqual([expect.stringContaining('no node can be reached')])
    const member = new FakeMember('n1', (_req, res) => { res.end('served') })
    await member.start(Number(new URL(urls[0] ?? '').port))
    elect([member], member, 1)
    await until(() => gateway.status().leader !== null, 'the leader is known')
    expect(await (await request(`${url}/x`, { method: 'POST' })).body.text()).toBe('served')
    expect((await admin('/readyz')).statusCode).toBe(200)
    expect([said('no node can be reached'), said('can be reached again')]).toEqual([1, 1])
  })
})

describe('nodes of different clusters in one list', () => {
  it('are named, and those that are not of the cluster of most get nothing', async () => {
    const members = await startMembers(3, (_req, res) => { res.end('ours') })
    members.forEach(({ node }) => { node.clusterUuid = 'u-1' })
    elect(members, members[0] ?? null, 3)
    const stranger = new FakeMember('n1', (_req, res) => { res.end('theirs') })
    await stranger.start()
    stranger.node.clusterUuid = 'u-2'
    elect([stranger], stranger, 99)
    const logger = new MemoryLogger()
    const urls = [stranger, ...members].map((member) => member.url)
    const { url, gateway } = await start(urls, { logger, reads: 'any' })
    await until(() => gateway.status().nodes.every(({ ready }) => ready), 'all have answered')
    expect(gateway.status().leader).toMatchObject({ url: members[0]?.url, term: 3 })
    for (let count = 0; count < 20; count++) {
      const answer = await request(`${url}/x`, { method: count % 2 === 0 ? 'POST' : 'GET' })
      expect(await answer.body.text()).toBe('ours')
    }
    expect(stranger.node.executed).toEqual([])
    expect(gateway.status().nodes.map(({ isForeign }) => isForeign)).toEqual([true, false, false, false])
    const errors = logger.lines.filter(({ level }) => level === 'error')
    expect(errors).toEqual([expect.objectContaining({
      details: { cluster: 'u-1', nodes: [expect.objectContaining({ url: stranger.url, id: 'n1', clusterUuid: 'u-2' })] }
    })])
  })

  it('are all refused when none of the clusters has most of them', async () => {
    const members = await startMembers(2, (_req, res) => { res.end('served') })
    members.forEach(({ node }, at) => { node.clusterUuid = `u-${at}` })
    members.forEach((member) => { elect([member], member, 3) })
    const logger = new MemoryLogger()
    const { url, admin, gateway } = await start(members.map((member) => member.url), { logger, waitForLeaderMs: 50 })
    await until(() => logger.lines.some(({ level }) => level === 'error'), 'it was said')
    const answer = await request(`${url}/x`, { method: 'POST' })
    await answer.body.dump()
    expect([answer.statusCode, gateway.status().leader]).toEqual([503, null])
    expect((await admin('/readyz')).text).toContain('the nodes belong to different clusters')
    expect(members.flatMap(({ node }) => node.executed)).toEqual([])
    expect(JSON.stringify(logger.lines.filter(({ level }) => level === 'error'))).toMatch(/u-0.*u-1/)
  })
})

describe('a gateway that drains', () => {
  it('is not ready at once, goes on to take requests, on connections that end with them, and then closes', async () => {
    const { url, admin, gateway } = await startCluster({ drainMs: 400 })
    const client = new RawClient(Number(new URL(url).port)).send('GET /one HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.untilReceived('/one')
    expect(client.received).not.toMatch(/connection: close/i)
    const closing = gateway.close()
    const [ready, live] = [await admin('/readyz'), await admin('/livez')]
    expect([ready.statusCode, live.statusCode]).toEqual([503, 200])
    expect(JSON.parse(ready.text)).toMatchObject({ checks: { draining: { ok: false } } })
    client.send('GET /two HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await client.untilClosed()).toMatch(/connection: close[^]*\/two/i)
    // A balancer that has not noticed yet.
    const late = await request(`${url}/three`, { method: 'POST' })
    expect([late.statusCode, await late.body.text(), late.headers['connection']]).toEqual([200, '/three', 'close'])
    await closing
    await expect(request(`${url}/four`)).rejects.toThrow()
    await expect(admin('/livez')).rejects.toThrow()
  })
})

describe('a gateway over https', () => {
  it('shows clients its certificate, and the next one when the files change', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'fastify-raft-gateway-'))
    onTestFinished(async () => { await rm(directory, { recursive: true, force: true }) })
    const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
    const authority = await createAuthority()
    const write = async (commonName: string): Promise<void> => {
      const { cert, key } = await authority.issue({ commonName, ips: ['127.0.0.1'], uses: { serverAuth: true } })
      await writeFile(certFile, cert)
      await writeFile(keyFile, key, { mode: 0o600 })
    }
    await write('first')
    const { url, members } = await startCluster({ serverTls: { certFile, keyFile } })
    expect(url).toMatch(/^https:/)
    const agent = new Agent({ connect: { ca: authority.ca } })
    onTestFinished(async () => { await agent.destroy() })
    expect(await (await request(`${url}/x`, { method: 'POST', dispatcher: agent })).body.text()).toBe('/x')
    expect(members[0]?.node.executed).toHaveLength(1)
    const shown = async (): Promise<string | undefined> => await new Promise((resolve, reject) => {
      const { port } = new URL(url)
      const socket = connectTls({ host: '127.0.0.1', port: Number(port), ca: authority.ca }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      })
      socket.on('error', reject)
    })
    expect(await shown()).toBe('first')
    await write('second')
    await expect.poll(shown, { timeout: 30_000 }).toBe('second')
  })

  it('lists what is wrong with its certificate', async () => {
    const nodes = ['http://127.0.0.1:1']
    expect(() => createGateway({ nodes, serverTls: { certFile: '/nowhere/cert.pem', keyFile: '/nowhere/key.pem' } }))
      .toThrow(/serverTls\.certFile.*serverTls\.keyFile/)
    expect(() => createGateway({ nodes, serverTls: {} })).toThrow('serverTls: needs certFile and keyFile')
    const { cert, key } = await (await createAuthority()).issue({ uses: { clientAuth: true } })
    expect(() => createGateway({ nodes, serverTls: { cert, key } })).toThrow('serverTls.cert: must be issued for serverAuth')
    expect(() => createGateway({ nodes, serverTls: { cert } })).toThrow('serverTls.key: is required')
  })
})
