import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { agreedLeader, clusterOfThree, startNode, wholeMembership } from '../../plugin/support/cluster-of-three.ts'
import { createAuthority } from '../../support/certificates.ts'
import { DnsServer } from '../../support/dns-server.ts'
import { until } from '../../support/until.ts'

describe('a gateway that watches its nodes', () => {
  it('follows a leader, members and a node that drains by what they tell, however seldom it asks', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, options)
      app.get('/by', { forward: true }, async () => ({ by: app.cluster.nodeId }))
    })
    await wholeMembership(nodes)
    const [first] = nodes
    if (first === undefined) throw new Error('a node')
    const leader = await agreedLeader(nodes)
    // One node is enough to find the others.
    const gateway = createGateway({ nodes: [first.url], pollMs: 60_000 })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    const by = async (): Promise<string> => (await (await fetch(`${url}/by`)).json() as { by: string }).by
    await until('all are followed', () => {
      const seen = gateway.status().nodes
      return seen.length === 3 && seen.every(({ ready, isWatched }) => ready && isWatched)
    })
    expect(gateway.status().nodes.map(({ source }) => source)).toEqual(['configured', 'member', 'member'])
    expect(await by()).toBe(leader.id)
    const next = nodes.find((node) => node !== leader) ?? leader
    await leader.app.cluster.transferLeadership(next.id)
    await until('the gateway knows the next leader', () => gateway.status().leader?.id === next.id, 2_000)
    expect(await by()).toBe(next.id)

    const [port = 0] = await freePorts(1)
    const added = `http://127.0.0.1:${port}`
    const joined = await startNode({ id: 'n4', url: added, join: nodes.map((node) => node.url) }, added)
    await until('the gateway follows n4', () => gateway.status().nodes.some(({ id, ready }) => id === 'n4' && ready))
    await joined.app.cluster.leave()
    await until('the gateway has left n4', () => gateway.status().nodes.every(({ url }) => url !== added))

    const drained = nodes.find(({ id }) => id !== next.id) ?? next
    await drained.app.cluster.drain()
    await until('the gateway knows that it is not ready', () =>
      gateway.status().nodes.find(({ id }) => id === drained.id)?.ready === false, 2_000)
  }, 60_000)
})

describe('a gateway that finds an https node by the addresses of a name', () => {
  it.each([['app.test', 200], ['other.test', 503]] as const)('takes the certificate of %s with: %i', async (name, status) => {
    const authority = await createAuthority()
    const https = await authority.issue({ dns: [name], uses: { serverAuth: true } })
    const dns = await DnsServer.start()
    dns.addresses.set('app.test', ['127.0.0.1'])
    onTestFinished(async () => { await dns.stop() })
    const [port = 0] = await freePorts(1)
    const url = `https://127.0.0.1:${port}`
    const app = Fastify({ https }) as unknown as FastifyInstance
    await startNode({ id: 'n1', members: [{ id: 'n1', url }] }, url, (app) => {
      app.post('/by', { forward: true }, async () => ({ by: app.cluster.nodeId }))
    }, () => app)
    const gateway = createGateway({
      nodes: [`dns+https://app.test:${port}`],
      dnsServers: [dns.address],
      tls: { ca: authority.ca },
      waitForLeaderMs: status === 200 ? 5_000 : 500
    })
    onTestFinished(async () => { await gateway.close() })
    const { url: front } = await gateway.listen({ port: 0 })
    await until('the name is resolved', () => gateway.status().nodes.length === 1)
    expect((await fetch(`${front}/by`, { method: 'POST' })).status).toBe(status)
  })
})
