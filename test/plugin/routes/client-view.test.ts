import { request as httpRequest } from 'node:http'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { Nonce, Prover } from '../../../src/raft/internal.ts'
import { gatewaySecretOf, makeSecret, readSecrets } from '../../../src/raft/trust/secret.ts'
import { until } from '../../support/until.ts'
import type { Node } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'
import { fakeApp, threeMembers } from '../support/fake-app.ts'

/** Where requests come from: all of 127.0.0.0/8 is this machine. Nodes and gateways call from 127.0.0.1. */
const balancer = '127.0.0.5'
const client = '192.0.2.7'

interface Seen {
  readonly ip: string
  readonly ips: readonly string[] | null
  readonly protocol: string
  readonly host: string
  readonly hostname: string
  readonly port: number | null
  readonly way: Readonly<Record<string, unknown>>
}

function seenIn ({ ip, ips, protocol, host, hostname, port, headers, socket, raw }: FastifyRequest): Seen {
  const { 'x-forwarded-for': xff, 'x-forwarded-proto': proto, 'x-forwarded-host': named, forwarded } = headers
  return {
    ip,
    ips: ips ?? null,
    protocol,
    host,
    hostname,
    port,
    way: {
      xff,
      proto,
      named,
      forwarded,
      address: socket.remoteAddress,
      family: socket.remoteFamily,
      isTls: 'encrypted' in raw.socket
    }
  }
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** A request from this address of this machine. */
function send (url: string, localAddress: string, headers: Record<string, string>, method = 'POST'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { method, localAddress, headers: { host: 'inside.test:8080', ...headers } }, (response) => {
      let body = ''
      response.setEncoding('utf8')
        .on('data', (chunk: string) => { body += chunk })
        .on('end', () => { resolve({ status: response.statusCode ?? 0, body }) })
    }).on('error', reject).end()
  })
}

async function start (
  serverOptions: FastifyServerOptions,
  declare: (app: FastifyInstance) => void | Promise<void> = () => {},
  secret?: string
): Promise<{ readonly nodes: readonly Node[], readonly leader: Node, readonly followers: readonly Node[] }> {
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, { ...options, ...(secret === undefined ? {} : { secret }) })
    await declare(app)
    app.post('/seen', { forward: true }, async (request) => seenIn(request))
    app.get('/seen', { forward: true }, async (request) => seenIn(request))
  }, '127.0.0.1', { protocol: 'http', create: () => Fastify(serverOptions) })
  const leader = await agreedLeader(nodes)
  return { nodes, leader, followers: nodes.filter((node) => node !== leader) }
}

/** What a gateway gets of a secret. */
function gatewayOf (secret: string): readonly string[] {
  const reading = readSecrets([secret])
  return reading.kind === 'faults' ? [] : reading.current.map(gatewaySecretOf)
}

/** Older releases of Fastify 5 count hops, newer ones trust nobody then, and their types know no number. */
const trusts: ReadonlyArray<readonly [string, unknown]> = [
  ['nobody', false],
  ['everybody', true],
  ['the balancer', balancer],
  ['a list', [balancer, '127.0.0.1']],
  ['one hop', 1],
  ['two hops', 2],
  ['what a function says', (address: string) => address === balancer],
  ['as many as a function says', (_address: string, hop: number) => hop < 1]
]

/** What a balancer that ends TLS adds, and what a client alone may forge. */
const ways: ReadonlyArray<Record<string, string>> = [
  {},
  { 'x-forwarded-for': client, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'app.test' },
  { 'x-forwarded-for': `203.0.113.9, ${client}`, 'x-forwarded-proto': 'http, https', forwarded: 'for=203.0.113.9' }
]

describe.each(trusts)('B28 with trustProxy for %s', (_name, trustProxy) => {
  it('the leader sees the same client and connection whichever node was called', async () => {
    const { leader, followers } = await start({ trustProxy } as FastifyServerOptions)
    for (const headers of ways) {
      for (const from of [balancer, '127.0.0.9']) {
        const direct = await send(`${leader.url}/seen`, from, headers)
        expect(direct.status).toBe(200)
        for (const { url } of followers) expect(await send(`${url}/seen`, from, headers)).toEqual(direct)
      }
    }
  })

  it('and with a secret behind a gateway as well, over a follower too', async () => {
    const secret = makeSecret()
    const { nodes, leader, followers } = await start({ trustProxy } as FastifyServerOptions, () => {}, secret)
    const gateway = createGateway({ nodes: nodes.map(({ url }) => url), pollMs: 20, secret: gatewayOf(secret) })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    await until('the gateway knows all', () => {
      const { leader: known, nodes: seen } = gateway.status()
      return known !== null && seen.every(({ ready }) => ready)
    })
    for (const headers of ways) {
      for (const from of [balancer, '127.0.0.9']) {
        const direct = await send(`${leader.url}/seen`, from, headers)
        expect(direct.status).toBe(200)
        for (const follower of followers) expect(await send(`${follower.url}/seen`, from, headers)).toEqual(direct)
        // Reads go to each node in turn, and followers forward them once more.
        for (const method of ['POST', 'GET', 'GET', 'GET']) {
          expect(await send(`${url}/seen`, from, headers, method)).toEqual(direct)
        }
      }
    }
  })
})

describe('B28 behind a gateway', () => {
  it.each([
    ['everybody', true],
    ['a list', [balancer, '127.0.0.1']],
    ['what a function says', (address: string) => address === balancer || address === '127.0.0.1'],
    ['as many as a function says', (_address: string, hop: number) => hop < 2]
  ] as const)('with trustProxy for %s the client of a balancer is the same as without the gateway', async (_name, trusted) => {
    const { nodes, leader } = await start({ trustProxy: typeof trusted === 'object' ? [...trusted] : trusted })
    const gateway = createGateway({ nodes: nodes.map(({ url }) => url), pollMs: 20, trustProxy: [balancer] })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    await until('the gateway knows the leader', () => gateway.status().leader !== null)
    const headers = { 'x-forwarded-for': client, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'app.test' }
    const { ip, protocol, host, hostname, port } = JSON.parse((await send(`${leader.url}/seen`, balancer, headers)).body) as Seen
    expect([ip, protocol, host]).toEqual([client, 'https', 'app.test'])
    // Reads go to any node, which forwards them.
    for (const method of ['POST', 'GET', 'GET', 'GET']) {
      const answer = await send(`${url}/seen`, balancer, headers, method)
      expect(JSON.parse(answer.body)).toMatchObject({ ip, protocol, host, hostname, port })
    }
    // A client that calls the gateway itself cannot choose what it is taken for.
    const forged = JSON.parse((await send(`${url}/seen`, '127.0.0.9', headers)).body) as Seen
    expect([forged.protocol, forged.host]).toEqual(['http', 'inside.test:8080'])
  })
})

describe('B28 what a plugin does by the client\'s address', () => {
  it('is right for requests that other nodes forward: a rate limit counts clients', async () => {
    const { followers } = await start({}, async (app) => {
      await app.register(rateLimit, { max: 4, timeWindow: 60_000 })
    })
    for (const from of ['127.0.0.11', '127.0.0.12', '127.0.0.13']) {
      const statuses: number[] = []
      for (let count = 0; count < 6; count++) {
        const node = followers[count % 2]
        statuses.push((await send(`${node?.url}/seen`, from, {})).status)
      }
      // Each follower has counted three, and the leader all.
      expect(statuses).toEqual([200, 200, 200, 200, 429, 429])
    }
  })
})

describe('B28 a client that writes a hop itself', () => {
  it('is not believed without the key, and its fields are its own', async () => {
    const { app, engine } = await fakeApp(threeMembers(), (app) => {
      app.get('/seen', async (request) => seenIn(request))
    }, { trustProxy: '127.0.0.1' })
    const { nonces } = engine.request
    const { term } = engine.lead()
    const base = await app.listen({ port: 0, host: '127.0.0.1' })
    const prover = Prover.ofMember('n2', null)
    const view = { address: client, port: 1, isTls: true }
    const hopOf = (id: string): string => `v=1;from=n2;to=n1;term=${term};id=${id}`
    const proofBy = (nonce: Nonce, from = prover): Record<string, string> => {
      const id = from.nextId()
      const parts = { method: 'GET', target: '/seen', hop: hopOf(id), attempt: '', cluster: '' }
      return { 'raft-hop': hopOf(id), 'raft-proof': from.prove(nonce, parts, { id, client: view })?.field ?? '' }
    }
    const ask = (headers: Record<string, string>): Promise<Answer> => send(`${base}/seen`, '127.0.0.1', headers, 'GET')
    const proven = await ask(proofBy(nonces.own))
    expect(JSON.parse(proven.body)).toMatchObject({ ip: client, protocol: 'https', way: { address: client, isTls: true } })
    const altered = proofBy(nonces.own)
    const unknownKey = proofBy(Nonce.draw())
    for (const headers of [
      unknownKey,
      { ...unknownKey, 'raft-proof': (unknownKey['raft-proof'] ?? '').replace(/nonce=[^;]+/, `nonce=${nonces.own.name}`) },
      { ...altered, 'raft-proof': (altered['raft-proof'] ?? '').replace(`for=${client}`, 'for=192.0.2.8') },
      { ...altered, 'raft-proof': 'x' },
      proofBy(nonces.own, Prover.ofMember('n3', null))
    ]) expect(await ask(headers)).toMatchObject({ status: 401 })
    // What was refused is not used up.
    expect(await ask(altered)).toMatchObject({ status: 200 })
    const kept = proofBy(nonces.own)
    nonces.drawAnew()
    expect(await ask(kept)).toMatchObject({ status: 401 })
    const plain = await ask({ 'raft-hop': `v=1;from=n2;to=n1;term=${term}` })
    expect(JSON.parse(plain.body)).toMatchObject({ ip: '127.0.0.1', protocol: 'http' })
  })
})
