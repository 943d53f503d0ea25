import type { OutgoingHttpHeaders } from 'node:http2'
import { connect } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { createClusterPlugin } from '../../../src/plugin/plugin.ts'
import { Prover } from '../../../src/raft/internal.ts'
import { makeSecret, readSecrets } from '../../../src/raft/trust/secret.ts'
import { createCertificates } from '../../support/certificates.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'
import { FakePeerEngine, threeMembers } from '../support/fake-app.ts'

const { ca, server: { cert, key } } = await createCertificates()

/** What a client gets over HTTP/2 for a body of no known length. */
async function post (
  url: string,
  fields: OutgoingHttpHeaders = { cookie: ['a=1', 'b=2'], te: 'trailers' }
): Promise<{ readonly statusCode: number, readonly answer: unknown }> {
  const client = connect(url, { ca })
  onTestFinished(() => { client.destroy() })
  const stream = client.request({
    ':method': 'POST',
    ':path': '/orders',
    'content-type': 'application/json',
    ...fields
  })
  stream.end('{"id":"1"}')
  return await new Promise((resolve, reject) => {
    let statusCode = 0
    let text = ''
    stream.setEncoding('utf8').on('error', reject)
    stream.on('response', (headers) => { statusCode = headers[':status'] ?? 0 })
    stream.on('data', (chunk: string) => { text += chunk })
    stream.on('end', () => { resolve({ statusCode, answer: JSON.parse(text) as unknown }) })
  })
}

it('B26 clients that speak HTTP/2 get the same answer from every node', async () => {
  const create = (): FastifyInstance =>
    Fastify({ http2: true, https: { allowHTTP1: true, cert, key } }) as unknown as FastifyInstance
  const nodes = await clusterOfThree(async (app, options) => {
    await app.register(cluster, { ...options, tls: { ca } })
    app.post('/orders', { forward: true }, async ({ body, protocol, headers }) =>
      ({ by: app.cluster.nodeId, body, protocol, cookie: headers.cookie, te: headers.te ?? null }))
  }, '127.0.0.1', { protocol: 'https', create })
  const leader = await agreedLeader(nodes)
  for (const { url } of nodes) {
    expect(await post(url)).toEqual({
      statusCode: 200,
      answer: { by: leader.id, body: { id: '1' }, protocol: 'https', cookie: 'a=1; b=2', te: 'trailers' }
    })
  }
})

it('a proven hop that comes over HTTP/2, through a proxy for instance, shows the client as any other', async () => {
  const text = makeSecret()
  const secrets = readSecrets([text])
  if (secrets.kind === 'faults') throw new Error('it is one')
  const app = Fastify({ http2: true, https: { allowHTTP1: true, cert, key } }) as unknown as FastifyInstance
  onTestFinished(async () => { await app.close() })
  let engine: FakePeerEngine | undefined
  const members = ['n1', 'n2'].map((name, at) => ({ id: name, url: `https://127.0.0.1:${at + 1}` }))
  await app.register(createClusterPlugin(async (request) => {
    engine = new FakePeerEngine(request)
    return engine
  }), { ...threeMembers(), members, secret: text, tls: { ca } })
  app.post('/orders', { forward: true }, async ({ ip, protocol, raw }) => ({ ip, protocol, port: raw.socket.remotePort }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const term = engine?.lead().term
  const prover = Prover.ofMember('n2', secrets)
  const id = prover.nextId()
  const hop = `v=1;from=n2;to=n1;term=${term};id=${id}`
  const parts = { method: 'POST', target: '/orders', hop, attempt: '', cluster: '' }
  const client = { address: '198.51.100.7', port: 4_000, isTls: false }
  const proof = prover.prove(engine?.request.nonces.own ?? null, parts, { id, client })
  const answer = await post(app.listeningOrigin, { 'raft-hop': hop, 'raft-proof': proof?.field })
  expect(answer).toEqual({ statusCode: 200, answer: { ip: '198.51.100.7', protocol: 'http', port: 4_000 } })
})
