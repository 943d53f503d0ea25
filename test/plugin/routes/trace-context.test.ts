import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyOtelRequestContext } from '@fastify/otel'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGateway } from '../../../src/gateway/index.ts'
import { rawExchange } from '../../gateway/support/servers.ts'
import type { TwoCopies } from '../support/two-copies.ts'
import { twoCopies } from '../support/two-copies.ts'

const traceId = randomBytes(16).toString('hex')
const ofClient = `00-${traceId}-aaaaaaaaaaaaaaaa-01`
const ofFollower = `00-${traceId}-bbbbbbbbbbbbbbbb-01`
const ofHop = `00-${traceId}-cccccccccccccccc-01`

/** As much of an instrumentation of undici as there is to see: it adds fields to every request that is made. */
function instrumentUndici (fields: Readonly<Record<string, string>>): void {
  const add = (message: unknown): void => {
    const { request } = message as { readonly request: { readonly addHeader: (name: string, value: string) => void } }
    for (const [name, value] of Object.entries(fields)) request.addHeader(name, value)
  }
  subscribe('undici:request:create', add)
  onTestFinished(() => { unsubscribe('undici:request:create', add) })
}

/** As much of @fastify/otel: a span of each request on the follower. */
function traceRequests (app: FastifyInstance): void {
  const inject = (carrier: Record<string, string>): void => { carrier.traceparent = ofFollower }
  app.decorateRequest('opentelemetry', function (this: FastifyRequest) {
    return { instrumented: true, inject } as unknown as FastifyOtelRequestContext
  })
}

interface Traced extends TwoCopies {
  /** The field lines that the leader's application sees, of the fields of traces. */
  readonly arrived: Array<readonly [name: string, value: string]>
}

async function tracedCopies (onFollower: (app: FastifyInstance) => void = () => {}): Promise<Traced> {
  const arrived: Array<readonly [string, string]> = []
  const copies = await twoCopies(async (app, registerCluster, id) => {
    if (id === 'n1') onFollower(app)
    await registerCluster()
    app.post('/x', { forward: true }, async ({ raw: { rawHeaders } }) => {
      for (let index = 0; index < rawHeaders.length; index += 2) {
        const name = rawHeaders[index]?.toLowerCase() ?? ''
        if (['traceparent', 'tracestate', 'baggage', 'x-many'].includes(name)) arrived.push([name, rawHeaders[index + 1] ?? ''])
      }
    })
  })
  return { ...copies, arrived }
}

async function post (url: string, lines: readonly string[] = [`traceparent: ${ofClient}`, 'tracestate: a=1']): Promise<void> {
  const head = ['POST /x HTTP/1.1', 'Host: x', 'Connection: close', 'Content-Length: 0', ...lines]
  expect(await rawExchange(Number(new URL(url).port), `${head.join('\r\n')}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
}

describe('the trace of a forwarded request', () => {
  it('arrives as the client sent it when no copy traces', async () => {
    const { follower, arrived } = await tracedCopies()
    await post(follower.url)
    expect(arrived).toEqual([['traceparent', ofClient], ['tracestate', 'a=1']])
  })

  it('goes on from the span of the follower: its traceparent alone arrives', async () => {
    const { follower, arrived } = await tracedCopies(traceRequests)
    await post(follower.url)
    expect(arrived.filter(([name]) => name === 'traceparent')).toEqual([['traceparent', ofFollower]])
  })

  it.each([['the client alone', () => {}], ['@fastify/otel too', traceRequests]] as const)(
    'goes on from the span of the hop where undici is instrumented, and %s sends one',
    async (_what, onFollower) => {
      const { follower, arrived } = await tracedCopies(onFollower)
      instrumentUndici({ traceparent: ofHop, tracestate: 'b=2' })
      await post(follower.url)
      expect(arrived).toEqual([['traceparent', ofHop], ['tracestate', 'b=2']])
    }
  )

  it('has the state of its parent, and none that goes with another one', async () => {
    const { follower, arrived } = await tracedCopies()
    instrumentUndici({ traceparent: ofHop })
    await post(follower.url)
    expect(arrived).toEqual([['traceparent', ofHop]])
  })

  it('is begun by the hop when the client has none, and other fields are let be, repeated lines too', async () => {
    const { follower, arrived } = await tracedCopies()
    instrumentUndici({ traceparent: ofHop })
    await post(follower.url, ['baggage: k=v', 'X-Many: 1', 'X-Many: 2'])
    expect(arrived).toEqual([['baggage', 'k=v'], ['x-many', '1'], ['x-many', '2'], ['traceparent', ofHop]])
  })

  it('goes on from its own hop, however many requests are forwarded at once', async () => {
    const { follower, arrived } = await tracedCopies()
    instrumentUndici({ traceparent: ofHop })
    await Promise.all(Array.from({ length: 100 }, async () => { await post(follower.url) }))
    expect(arrived).toEqual(Array.from({ length: 100 }, () => ['traceparent', ofHop]))
  })

  it('goes on from the hop of a gateway too', async () => {
    const { leader, follower, arrived } = await tracedCopies()
    instrumentUndici({ traceparent: ofHop })
    const gateway = createGateway({ nodes: [leader.url, follower.url], pollMs: 20 })
    onTestFinished(async () => { await gateway.close() })
    const { url } = await gateway.listen({ port: 0 })
    await post(url)
    expect(arrived).toEqual([['traceparent', ofHop]])
  })
})
