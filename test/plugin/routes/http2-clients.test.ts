import { connect } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import { expect, it, onTestFinished } from 'vitest'
import { cluster } from '../../../src/plugin/index.ts'
import { createCertificates } from '../../support/certificates.ts'
import { agreedLeader, clusterOfThree } from '../support/cluster-of-three.ts'

const { ca, server: { cert, key } } = await createCertificates()

/** What a client gets over HTTP/2 for a body of no known length. */
async function post (url: string): Promise<{ readonly statusCode: number, readonly answer: unknown }> {
  const client = connect(url, { ca })
  onTestFinished(() => { client.destroy() })
  const stream = client.request({
    ':method': 'POST',
    ':path': '/orders',
    'content-type': 'application/json',
    cookie: ['a=1', 'b=2'],
    te: 'trailers'
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
  for (const { id, url } of nodes) {
    // The leader alone sees the field of the connection that it has with the client.
    const te = id === leader.id ? 'trailers' : null
    expect(await post(url)).toEqual({
      statusCode: 200,
      answer: { by: leader.id, body: { id: '1' }, protocol: 'https', cookie: 'a=1; b=2', te }
    })
  }
})
