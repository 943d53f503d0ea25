import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { AdminClient } from '../../../src/gateway/forward/admin-client.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { agreedLeader, clusterOfThree, startNode } from '../../plugin/support/cluster-of-three.ts'
import { MemoryLogger } from '../../support/memory-logger.ts'
import { startServer } from '../support/servers.ts'

const token = 'Bearer of the proxy'

/** A proxy in front of a node that asks for credentials, and passes nothing on that it was not given them for. */
async function proxyOf (url: string, seen: string[] = []): Promise<string> {
  const proxy = await startServer((req, res) => {
    seen.push(`${req.method} ${req.url} ${req.headers.authorization ?? 'without'}`)
    if (req.headers.authorization !== token && req.url?.startsWith('/_cluster/') === true) {
      res.writeHead(401).end('who are you')
      return
    }
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const type = req.headers['content-type']
      fetch(url + (req.url ?? ''), {
        method: req.method ?? 'GET',
        headers: type === undefined ? {} : { 'content-type': type },
        ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) })
      }).then(async (answer) => {
        const names = ['content-type', 'raft-node'].filter((name) => answer.headers.has(name))
        res.writeHead(answer.status, Object.fromEntries(names.map((name) => [name, answer.headers.get(name) ?? ''])))
        res.end(await answer.text())
      }, () => { res.writeHead(502).end() })
    })
  })
  return proxy.url
}

describe('adminHeaders', () => {
  it('let a gateway ask through proxies that want credentials, and go along with no request of a client', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, options)
      app.post('/orders', async (request) => ({ authorization: request.headers.authorization ?? null }))
    })
    const leader = await agreedLeader(nodes)
    const seen: string[] = []
    const fronts = await Promise.all(nodes.map(async ({ url }) => await proxyOf(url, seen)))
    const logger = new MemoryLogger()
    const locked = createGateway({ nodes: fronts, pollMs: 10, logger })
    const gateway = createGateway({ nodes: fronts, pollMs: 10, adminHeaders: { authorization: token } })
    onTestFinished(async () => { await Promise.all([locked.close(), gateway.close()]) })
    await locked.listen({ port: 0 })
    const { url } = await gateway.listen({ port: 0 })
    await expect.poll(() => gateway.status().leader?.id).toBe(leader.id)
    const order = await fetch(`${url}/orders`, { method: 'POST' })
    expect([order.status, await order.json()]).toEqual([200, { authorization: null }])
    expect(seen).toContain('POST /orders without')
    // The other gateway says why it knows no leader, once for each node.
    expect(locked.status().leader).toBeNull()
    const warnings = (): object[] => logger.lines.filter(({ level }) => level === 'warn').map(({ details }) => details)
    await expect.poll(warnings).toHaveLength(3)
    expect(warnings()).toEqual(expect.arrayContaining(fronts.map((front) => ({ url: front, statusCode: 401 }))))
  })

  it('let a node join through a proxy that wants credentials', async () => {
    const nodes = await clusterOfThree(async (app, options) => { await app.register(cluster, options) })
    const join = await Promise.all(nodes.map(async ({ url }) => await proxyOf(url)))
    const [port] = await freePorts(1)
    const url = `http://127.0.0.1:${port}`
    const joined = await startNode({ id: 'n4', url, join, adminHeaders: { authorization: token } }, url)
    await expect
      .poll(() => joined.app.cluster.membership.members.find(({ id }) => id === 'n4')?.role, { timeout: 15_000 })
      .toBe('voter')
  })

  it('go along with every call', async () => {
    const seen: unknown[] = []
    const { url } = await startServer((req, res) => {
      seen.push([req.headers.authorization, req.headers['x-more'], req.headers['content-type']])
      res.end('{}')
    })
    const client = new AdminClient({ headers: { Authorization: 'a', 'x-more': 'b' } })
    onTestFinished(async () => { await client.close() })
    await client.call(url, { method: 'GET', path: '/', body: null }, { timeoutMs: 5_000 })
    await client.call(url, { method: 'POST', path: '/', body: {} }, { timeoutMs: 5_000, headers: ['x-other', 'c'] })
    expect(seen).toEqual([['a', 'b', undefined], ['a', 'b', 'application/json']])
  })

  it.each<[string, unknown, RegExp]>([
    ['no object', 'authorization: x', /adminHeaders must be object/],
    ['a value that is no text', { authorization: 1 }, /adminHeaders must be string/],
    ['a name that no field has', { 'a b': 'x' }, /adminHeaders\["a b"\] is not the name of a header field/],
    ['a line break', { authorization: 'x\r\nhost: y' }, /adminHeaders\["authorization"\] has a value that no field can/],
    ['a field of the connection', { Host: 'x' }, /adminHeaders\["Host"\] cannot be set/],
    ['a field of a proxy', { 'x-forwarded-for': 'x' }, /cannot be set/],
    ['a field of the cluster', { 'raft-hop': 'x' }, /cannot be set/]
  ])('are refused: %s', async (_what, adminHeaders, message) => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    const refusal = { code: 'RAFT_INVALID_OPTIONS', message: expect.stringMatching(message) as string }
    const options = { adminHeaders } as { adminHeaders: Record<string, string> }
    await expect(app.register(cluster, options)).rejects.toMatchObject(refusal)
    expect(() => createGateway({ nodes: ['http://127.0.0.1:1'], ...options })).toThrow(
      expect.objectContaining({ code: 'RAFT_INVALID_OPTIONS' })
    )
  })
})
