import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { Agent, fetch } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../../src/cli/local/ports.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import type { ClusterOptions } from '../../../src/plugin/index.ts'
import { cluster } from '../../../src/plugin/index.ts'
import { createCertificates } from '../../support/certificates.ts'
import type { ServerKind } from '../support/cluster-of-three.ts'
import { agreedLeader, clusterOfThree, startNode } from '../support/cluster-of-three.ts'

const { ca, server: { cert, key } } = await createCertificates()

/** Fastify has a type of its own for each kind of server; the plugin is declared for all of them. */
function asInstance (app: object): FastifyInstance {
  return app as FastifyInstance
}

const kinds: ReadonlyArray<ServerKind & { readonly name: string }> = [
  { name: 'https', protocol: 'https', create: () => asInstance(Fastify({ https: { cert, key } })) },
  {
    name: 'http2 with allowHTTP1',
    protocol: 'https',
    create: () => asInstance(Fastify({ http2: true, https: { allowHTTP1: true, cert, key } }))
  }
]

function trusting (): Agent {
  const agent = new Agent({ connect: { ca } })
  onTestFinished(async () => { await agent.close() })
  return agent
}

function declareOrders (app: FastifyInstance): void {
  app.post<{ Body: { id: string } }>('/orders', { forward: true }, async ({ body }) => {
    await app.cluster.map('orders').set(body.id, body.id)
    return { by: app.cluster.nodeId }
  })
}

describe.each(kinds)('a cluster over $name', ({ name: _name, ...kind }) => {
  it('elects, replicates, forwards, takes in a node that joins, and serves a gateway', async () => {
    const nodes = await clusterOfThree(async (app, options) => {
      await app.register(cluster, { ...options, tls: { ca } })
      declareOrders(app)
    }, '127.0.0.1', kind)
    const leader = await agreedLeader(nodes)
    const dispatcher = trusting()
    const order = async (url: string, id: string): Promise<unknown> => {
      const answer = await fetch(`${url}/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id }),
        dispatcher
      })
      return [answer.status, await answer.json()]
    }
    for (const { id, url } of nodes) expect(await order(url, id)).toEqual([200, { by: leader.id }])

    const [port] = await freePorts(1)
    const url = `https://127.0.0.1:${port}`
    const joined = await startNode(
      { id: 'n4', url, join: nodes.map((node) => node.url), tls: { ca } },
      url,
      declareOrders,
      kind.create
    )
    await expect
      .poll(() => joined.app.cluster.membership.members.find(({ id }) => id === 'n4')?.role, { timeout: 15_000 })
      .toBe('voter')
    expect(await order(url, 'n4')).toEqual([200, { by: leader.id }])
    expect((await joined.app.cluster.map('orders').list()).entries.map((entry) => entry.key)).toEqual(
      ['n1', 'n2', 'n3', 'n4']
    )

    const gateway = createGateway({ nodes: nodes.map((node) => node.url), tls: { ca } })
    onTestFinished(async () => { await gateway.close() })
    expect(await order((await gateway.listen({ port: 0 })).url, 'by gateway')).toEqual([200, { by: leader.id }])
  })
})

describe('the authorities that a node trusts', () => {
  it('are those of Node without the option: a gateway does not speak to a server that nobody vouches for', async () => {
    const [port] = await freePorts(1)
    const node = await startNode(
      { id: 'n1', members: [{ id: 'n1', url: `https://127.0.0.1:${port}` }] },
      `https://127.0.0.1:${port}`,
      () => {},
      kinds[0]?.create
    )
    const seen: unknown[] = []
    const logger = {
      debug: ({ err }: { err?: { code?: string } }) => { seen.push(err?.code) },
      info: () => {},
      warn: () => {},
      error: () => {}
    }
    const gateway = createGateway({ nodes: [node.url], logger, pollMs: 10 })
    onTestFinished(async () => { await gateway.close() })
    await gateway.listen({ port: 0 })
    await expect.poll(() => seen).toContain('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    expect(gateway.status()).toMatchObject({ leader: null, nodes: [{ reachable: false }] })
  })
})

describe('a server that the other members cannot talk to is refused at registration', () => {
  const own = (url: string): ClusterOptions => ({ id: 'n1', members: [{ id: 'n1', url }] })

  it.each<[string, () => object, ClusterOptions, RegExp]>([
    [
      'HTTP/2 without TLS',
      () => Fastify({ http2: true }),
      {},
      /leave out http2, or serve both over TLS.*allowHTTP1: true/
    ],
    [
      'HTTP/2 alone',
      () => Fastify({ http2: true, https: { cert, key } }),
      own('https://127.0.0.1:1'),
      /add allowHTTP1, as in Fastify\(\{ http2: true, https: \{ allowHTTP1: true, key, cert \} \}\)/
    ],
    [
      'TLS at a URL without',
      () => Fastify({ https: { cert, key } }),
      own('http://127.0.0.1:1'),
      /the URL of this node is http:\/\/127\.0\.0\.1:1.*let its URL start with https/
    ]
  ])('%s', async (_what, create, options, message) => {
    const app = asInstance(create())
    onTestFinished(async () => { await app.close() })
    await expect(app.register(cluster, options)).rejects.toMatchObject({
      code: 'RAFT_INVALID_OPTIONS',
      message: expect.stringMatching(message) as string
    })
  })

  it('but not one without TLS whose URL has it: something in front may end TLS', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster, own('https://127.0.0.1:1'))
    expect(app.cluster.nodeId).toBe('n1')
  })
})

describe('tls.ca', () => {
  it.each([
    ['the name of a file', './ca.pem'],
    ['a certificate that is none', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
    ['a broken one behind a good one', `${ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`]
  ])('is refused when it is %s, since Node would trust nobody and say nothing', async (_what, given) => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    const refusal = { code: 'RAFT_INVALID_OPTIONS', message: expect.stringContaining('tls.ca') as string }
    await expect(app.register(cluster, { tls: { ca: given } })).rejects.toMatchObject(refusal)
    expect(() => createGateway({ nodes: ['https://127.0.0.1:1'], tls: { ca: given } })).toThrow(
      expect.objectContaining(refusal)
    )
  })

  it('may hold several certificates', async () => {
    const app = Fastify()
    onTestFinished(async () => { await app.close() })
    await app.register(cluster, { tls: { ca: `# one\n${ca}# two\n${cert}` } })
    expect(app.cluster.nodeId).toBe('n1')
  })
})
